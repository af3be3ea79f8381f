//! What the handles of a store and its writer thread share.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use obsession_core::{Clock, SessionKey, StoreError, Timestamp};
use tokio::sync::watch;

use crate::error::Trouble;
use crate::layout::Trees;
use crate::open::Database;

pub(crate) struct Shared {
    /// Nothing once the store is closed. The writer takes it for writing while it applies a batch,
    /// so whoever reads sees whole batches, and a walk over an index is a walk over one state.
    database: RwLock<Option<Database>>,
    /// Whether what is in memory may differ from what is on disk for good.
    failed: AtomicBool,
    /// How many batches have been applied, and how many of them are on disk.
    applied: AtomicU64,
    flushed: watch::Sender<u64>,
    /// Whose records the batch under way changes.
    unflushed: Mutex<HashSet<SessionKey>>,
    /// How many entries the index of deadlines has, once somebody has counted. Only changed with
    /// `database` locked for writing, and first set with it locked for reading.
    entries: Mutex<Option<u64>>,
    clock: Arc<dyn Clock>,
    pub(crate) path: PathBuf,
}

/// What was read, and the batch that must be on disk before it is told to anybody.
///
/// A batch is in memory before it is on disk. A load that answered from memory could show a
/// session signed out that is signed in again after a power cut.
pub(crate) struct Seen<T> {
    value: T,
    batch: Option<u64>,
}

impl Shared {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, path: PathBuf) -> Self {
        Self {
            database: RwLock::new(Some(database)),
            failed: AtomicBool::new(false),
            applied: AtomicU64::new(0),
            flushed: watch::Sender::new(0),
            unflushed: Mutex::default(),
            entries: Mutex::default(),
            clock,
            path,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Reads `key`, or all keys, with `ask`. For threads that may block.
    pub(crate) fn read<T>(
        &self,
        key: Option<&SessionKey>,
        ask: impl FnOnce(&Trees, Timestamp) -> Result<T, Trouble>,
    ) -> Result<Seen<T>, StoreError> {
        let guard = self.database.read();
        let database = self.usable(guard.as_deref().ok())?;
        let value = ask(&database.trees, self.now()).map_err(Trouble::refusal)?;
        let unflushed = lock(&self.unflushed);
        let waits = key.map_or(!unflushed.is_empty(), |key| unflushed.contains(key));
        let batch = waits.then(|| self.applied.load(Ordering::SeqCst));
        Ok(Seen { value, batch })
    }

    /// What was seen, once it is on disk.
    pub(crate) async fn settled<T>(&self, seen: Seen<T>) -> Result<T, StoreError> {
        if let Some(batch) = seen.batch {
            let mut flushed = self.flushed.subscribe();
            let on_disk = flushed.wait_for(|done| *done >= batch || self.has_failed());
            // The sender is in `self`.
            drop(on_disk.await);
            if self.has_failed() {
                return Err(self.refusal());
            }
        }
        Ok(seen.value)
    }

    /// How many records of the index have not expired.
    pub(crate) fn count(&self, trees: &Trees, now: Timestamp) -> Result<u64, Trouble> {
        let mut entries = lock(&self.entries);
        let all = match *entries {
            Some(all) => all,
            None => *entries.insert(trees.count_all()?),
        };
        drop(entries);
        Ok(all.saturating_sub(trees.count_due(now)?))
    }

    /// For the writer: applies a batch with `apply`, which says what it changed.
    pub(crate) fn apply<E>(
        &self,
        apply: impl FnOnce(&Trees, Timestamp) -> Result<Applied, E>,
    ) -> Result<bool, E> {
        let mut guard = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &mut *guard else {
            return Ok(false);
        };
        let Applied { keys, entries, any } = apply(&database.trees, self.now())?;
        if any {
            if let Some(all) = &mut *lock(&self.entries) {
                *all = all.saturating_add_signed(entries);
            }
            *lock(&self.unflushed) = keys;
            self.applied.fetch_add(1, Ordering::SeqCst);
        }
        Ok(any)
    }

    /// For the writer: puts the batch on disk with `flush`.
    pub(crate) fn flush<E>(&self, flush: impl FnOnce(&Database) -> Result<(), E>) -> Result<(), E> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*guard else {
            return Ok(());
        };
        flush(database)?;
        lock(&self.unflushed).clear();
        let batches = self.applied.load(Ordering::SeqCst);
        self.flushed.send_replace(batches);
        Ok(())
    }

    /// Ends the use of a store of which nobody can say any more what is on disk.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        // Wakes those who wait for a flush that will not come.
        self.flushed.send_modify(|_| ());
    }

    /// Closes the database. The directory is free when this returns.
    pub(crate) fn release(&self) {
        let mut guard = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *guard = None;
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// How many batches have been put on disk.
    pub(crate) fn flushes(&self) -> u64 {
        *self.flushed.borrow()
    }

    /// Why no call is served.
    pub(crate) fn refusal(&self) -> StoreError {
        StoreError::not_applied(if self.has_failed() {
            "the sled store has failed and must be opened again"
        } else {
            "the sled store is closed"
        })
    }

    fn usable<'a>(
        &self,
        database: Option<&'a Option<Database>>,
    ) -> Result<&'a Database, StoreError> {
        match database {
            Some(Some(database)) if !self.has_failed() => Ok(database),
            // Somebody panicked while a batch was half applied.
            None => {
                self.fail();
                Err(self.refusal())
            }
            _ => Err(self.refusal()),
        }
    }
}

/// What a batch has changed.
pub(crate) struct Applied {
    pub(crate) keys: HashSet<SessionKey>,
    pub(crate) entries: i64,
    pub(crate) any: bool,
}

/// Locks, also after a panic elsewhere: what is behind these locks is whole at every step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
