//! One fsync of the directory for all who changed it before the fsync began.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use super::faults::{Faults, Step};
use crate::{StoreError, lock};

/// Counts the changes of a directory, and how many of them are durable.
#[derive(Default)]
pub(super) struct DirectorySync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Renames and removals made so far.
    made: u64,
    /// How many of them are durable.
    durable: u64,
    running: bool,
    failed: bool,
}

impl DirectorySync {
    /// Counts a change that was made. In the turn of its key, so that whoever has the turn next
    /// and answers by what it finds there waits for it to be durable.
    pub(super) fn changed(&self) {
        lock(&self.state).made += 1;
    }

    /// Refuses when an fsync has failed before: the system may have dropped the changes that it
    /// could not write, and the next fsync would say that all is well.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if lock(&self.state).failed {
            return Err(StoreError::not_applied(
                "the directory could not be synced before; the store must be opened again",
            ));
        }
        Ok(())
    }

    /// Returns when every change counted so far is durable.
    ///
    /// Whoever comes while an fsync runs waits for the next one, which then serves all who wait.
    pub(super) fn settle(&self, directory: &Path, faults: &Faults) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        let target = state.made;
        loop {
            if state.durable >= target {
                return Ok(());
            }
            if state.failed {
                return Err(in_doubt(io::Error::other(
                    "the fsync of another call failed",
                )));
            }
            if state.running {
                let woken = self.ended.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.running = true;
            let made = state.made;
            drop(state);
            let opened = faults
                .check(Step::OpenDirectory)
                .and_then(|()| open(directory));
            let synced = opened.map(|directory| {
                faults.check(Step::SyncDirectory)?;
                sync(directory.as_ref())
            });
            state = lock(&self.state);
            state.running = false;
            self.ended.notify_all();
            match synced {
                Ok(Ok(())) => state.durable = state.durable.max(made),
                Ok(Err(error)) => {
                    state.failed = true;
                    return Err(in_doubt(error));
                }
                // Nothing was lost by not asking: the next call asks again.
                Err(error) => return Err(in_doubt(error)),
            }
        }
    }
}

/// Makes what was created in or renamed into `directory` durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    sync(open(directory)?.as_ref())
}

/// By its path each time: had the directory been replaced by another, a handle that was kept would
/// sync the wrong one.
///
/// Nothing where the system has no such call. Windows opens no directory as a file, and how long a
/// rename takes to be durable there is for the file system to say.
fn open(directory: &Path) -> io::Result<Option<File>> {
    if cfg!(unix) {
        File::open(directory).map(Some)
    } else {
        Ok(None)
    }
}

fn sync(directory: Option<&File>) -> io::Result<()> {
    directory.map_or(Ok(()), File::sync_all)
}

fn in_doubt(error: io::Error) -> StoreError {
    StoreError::unknown("the directory could not be synced").caused_by(error)
}
