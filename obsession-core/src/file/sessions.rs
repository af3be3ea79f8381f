//! What the store does, blocking.
//!
//! The files are the truth. Every change of one is made in the turn of its key, and the index
//! follows in the same turn; what waits for the disk to confirm a rename waits outside of it, so
//! that several can wait for one fsync. A load needs no turn: a rename shows it the old bytes or
//! the new ones.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::{fs, io};

use super::OpenError;
use super::directory::{Directory, Name};
use super::index::{Entry, Index};
use super::open::take;
use crate::{
    Clock, CorruptRow, Create, Delete, Effect, Record, Revision, ScanCursor, SessionKey,
    StoreError, Timestamp, Touch, Update, lock,
};

/// Writers of different keys wait for each other only if their keys share a turn, for as long as
/// an fsync of one file takes.
const TURNS: usize = 256;

pub(super) struct Sessions {
    pub(super) directory: Directory,
    turns: Box<[Mutex<()>]>,
    /// Locked in a turn or without one, never before one.
    index: Mutex<Index>,
    clock: Arc<dyn Clock>,
}

/// What there is under a key.
enum Found {
    Nothing,
    Record(Record),
    Damaged,
}

impl Sessions {
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let path =
            std::path::absolute(path).map_err(OpenError::io("finding the directory", path))?;
        let marker = take(&path)?;
        let sessions = Self {
            directory: Directory::new(path, marker),
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
            index: Mutex::default(),
            clock,
        };
        sessions.read_all()?;
        Ok(sessions)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        match self.read(key)? {
            Some(record) if !record.is_live(self.clock.now()) => {
                // A touch that began before the deadline may be on its way, and with it the record
                // would be back after it was said to be absent.
                let _turn = self.turn(key);
                let now = self.clock.now();
                Ok(self.read(key)?.filter(|record| record.is_live(now)))
            }
            found => Ok(found),
        }
    }

    pub(super) fn create(&self, record: &Record) -> Result<Create, StoreError> {
        self.write(&record.key, |now| {
            match self.read(&record.key)?.filter(|old| old.is_live(now)) {
                Some(old) if old.revision == record.revision => Ok(Create::Created),
                Some(_) => Ok(Create::KeyTaken),
                None => self.put(record).map(|()| Create::Created),
            }
        })
    }

    pub(super) fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        self.write(&record.key, |now| {
            match self.read(&record.key)?.filter(|old| old.is_live(now)) {
                None => Ok(Update::Gone),
                Some(old) if old.revision == record.revision => Ok(Update::Updated),
                Some(old) if old.revision != expected => Ok(Update::Conflict(old)),
                Some(_) => self.put(record).map(|()| Update::Updated),
            }
        })
    }

    pub(super) fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        self.write(key, |now| {
            match self.read(key)?.filter(|old| old.is_live(now)) {
                None => Ok(Touch::Gone),
                Some(old) if old.revision != expected => Ok(Touch::Changed),
                Some(old) if old.expires_at >= expires_at => Ok(Touch::Touched),
                Some(old) => self
                    .put(&Record { expires_at, ..old })
                    .map(|()| Touch::Touched),
            }
        })
    }

    pub(super) fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.write(key, |now| {
            // A file whose deadline nobody can read may have been a live record.
            let live = lock(&self.index)
                .get(key)
                .is_none_or(|entry| now < entry.expires_at);
            let removed = self.remove(key)?;
            Ok(if removed && live {
                Delete::Deleted
            } else {
                Delete::Gone
            })
        })
    }

    pub(super) fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.directory.check()?;
        let now = self.clock.now();
        let (mut removed, mut failed, mut after) = (0, None, None);
        while removed < limit {
            let next = lock(&self.index).next_expired(after, now);
            let Some(at) = next else { break };
            after = next;
            // A touch may have moved it since.
            match self.remove_if(&at.key, |entry| entry.expires_at <= now) {
                Ok(entry) => removed += usize::from(entry.is_some()),
                // One file that cannot be removed does not keep the others.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        self.settle_all(removed, failed)
    }

    pub(super) fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        self.directory.check()?;
        let now = self.clock.now();
        let keys = lock(&self.index).keys_of(subject, None, usize::MAX);
        let (mut ended, mut failed) = (0, None);
        for key in keys.iter().filter(|key| Some(*key) != except) {
            match self.remove_if(key, |entry| entry.subject.as_deref() == Some(subject)) {
                Ok(entry) => ended += usize::from(entry.is_some_and(|e| now < e.expires_at)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        self.settle_all(ended, failed)
    }

    pub(super) fn list(
        &self,
        subject: &str,
        mut after: Option<SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let now = self.clock.now();
        let mut listed = Vec::new();
        while listed.len() < limit {
            let wanted = limit - listed.len();
            let keys = lock(&self.index).keys_of(subject, after.as_ref(), wanted);
            let Some(last) = keys.last() else { break };
            after = Some(*last);
            for key in &keys {
                // The keys were copied, so each record is looked at again.
                if let Found::Record(record) = self.find(key)?
                    && record.is_live(now)
                    && record.subject.as_deref() == Some(subject)
                {
                    listed.push(record);
                }
            }
        }
        Ok(listed)
    }

    pub(super) fn scan(
        &self,
        mut after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let now = self.clock.now();
        let mut scanned = Vec::new();
        while scanned.len() < limit {
            let wanted = limit - scanned.len();
            let places = lock(&self.index).live_ahead(after, now, wanted);
            if places.is_empty() {
                break;
            }
            for place in places {
                match self.find(&place.key)? {
                    Found::Record(record) if record.expires_at == place.expires_at => {
                        scanned.push(record);
                    }
                    Found::Damaged => {}
                    // It has moved since, perhaps to a place before the next one.
                    Found::Record(_) | Found::Nothing => {
                        let _turn = self.turn(&place.key);
                        self.look_again(&place.key)?;
                        break;
                    }
                }
                after = Some(place);
            }
        }
        Ok(scanned)
    }

    pub(super) fn count(&self) -> u64 {
        lock(&self.index).live(self.clock.now()) as u64
    }

    /// Makes a change in the turn of `key`, and waits until it is durable.
    ///
    /// Also if nothing was changed: the answer may rest on a change that another call has made and
    /// still waits for. Were "gone" to be answered while a delete can come undone by a power cut,
    /// a session that somebody was told has ended would live again.
    fn write<T>(
        &self,
        key: &SessionKey,
        change: impl FnOnce(Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let answer = {
            let _turn = self.turn(key);
            self.directory.check()?;
            change(self.clock.now())?
        };
        self.directory.settle()?;
        Ok(answer)
    }

    /// Removes the file of `key` if its entry is as it should be, and gives the entry.
    fn remove_if(
        &self,
        key: &SessionKey,
        condition: impl FnOnce(&Entry) -> bool,
    ) -> Result<Option<Entry>, StoreError> {
        let _turn = self.turn(key);
        let entry = lock(&self.index).get(key).cloned();
        let Some(entry) = entry.filter(condition) else {
            return Ok(None);
        };
        Ok(self.remove(key)?.then_some(entry))
    }

    fn settle_all(&self, count: usize, failed: Option<StoreError>) -> Result<usize, StoreError> {
        self.directory.settle()?;
        match failed {
            None => Ok(count),
            Some(error) if count == 0 => Err(error),
            Some(error) => {
                let message = "some of the files could not be removed";
                Err(StoreError::unknown(message).caused_by(error))
            }
        }
    }

    /// Writes a record, in the turn of its key.
    pub(super) fn put(&self, record: &Record) -> Result<(), StoreError> {
        if record
            .subject
            .as_ref()
            .is_some_and(|s| s.len() > Record::MAX_SUBJECT)
        {
            return Err(StoreError::not_applied("the subject is too long"));
        }
        match self.directory.replace(&record.key, &record.to_row()) {
            Ok(()) => {
                lock(&self.index).insert(record.key, record.into());
                Ok(())
            }
            Err(error) => Err(self.failed(&record.key, error)),
        }
    }

    /// Removes a file, in the turn of its key, and says whether there was one.
    fn remove(&self, key: &SessionKey) -> Result<bool, StoreError> {
        match self.directory.remove(key) {
            Ok(removed) => {
                lock(&self.index).remove(key);
                Ok(removed)
            }
            Err(error) => Err(self.failed(key, error)),
        }
    }

    fn failed(&self, key: &SessionKey, error: StoreError) -> StoreError {
        if error.effect() == Effect::Unknown
            && let Err(unread) = self.look_again(key)
        {
            let error = &unread as &dyn std::error::Error;
            tracing::warn!(%key, error, "a session in doubt could not be read");
        }
        error
    }

    /// Makes the index say what the file says, in the turn of its key.
    fn look_again(&self, key: &SessionKey) -> Result<(), StoreError> {
        match self.find(key)? {
            Found::Record(record) => lock(&self.index).insert(*key, (&record).into()),
            Found::Nothing => lock(&self.index).remove(key),
            // What was known of it is right until somebody writes it.
            Found::Damaged => {}
        }
        Ok(())
    }

    fn read(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        match self.find(key)? {
            Found::Nothing => Ok(None),
            Found::Record(record) => Ok(Some(record)),
            Found::Damaged => {
                let message = "the file of this session is damaged";
                Err(StoreError::not_applied(message).caused_by(CorruptRow))
            }
        }
    }

    fn find(&self, key: &SessionKey) -> Result<Found, StoreError> {
        self.examine(key).map_err(|error| {
            StoreError::not_applied("the file of a session could not be read").caused_by(error)
        })
    }

    fn examine(&self, key: &SessionKey) -> io::Result<Found> {
        let row = match self.directory.read(key) {
            Ok(None) => return Ok(Found::Nothing),
            Ok(Some(row)) => Record::from_row(*key, &row),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(CorruptRow),
            Err(error) => return Err(error),
        };
        Ok(row.map_or_else(
            |CorruptRow| {
                tracing::warn!(%key, "the file of a session is damaged; it is left alone");
                Found::Damaged
            },
            Found::Record,
        ))
    }

    /// Fills the index, and removes what interrupted writes have left.
    fn read_all(&self) -> Result<(), OpenError> {
        let path = self.path();
        let listing = || OpenError::io("listing the directory", path);
        let (mut damaged, mut leftovers) = (0_usize, 0_usize);
        for entry in fs::read_dir(path).map_err(listing())? {
            let entry = entry.map_err(listing())?;
            match Name::of(&entry) {
                Name::Session(key) => match self.examine(&key) {
                    Ok(Found::Record(record)) => lock(&self.index).insert(key, (&record).into()),
                    Ok(Found::Damaged) => damaged += 1,
                    Ok(Found::Nothing) => {}
                    Err(error) => {
                        return Err(OpenError::io("reading a session", &entry.path())(error));
                    }
                },
                Name::Temporary => match fs::remove_file(entry.path()) {
                    Ok(()) => leftovers += 1,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "a leftover file could not be removed");
                    }
                },
                Name::Foreign => {}
            }
        }
        // What an earlier process renamed or removed without waiting for the disk is served from
        // now on, so it must be durable.
        super::sync::sync_directory(path).map_err(OpenError::io("syncing the directory", path))?;
        let sessions = self.count();
        tracing::info!(path = %path.display(), sessions, damaged, leftovers, "file store opened");
        Ok(())
    }

    pub(super) fn turn(&self, key: &SessionKey) -> MutexGuard<'_, ()> {
        let [a, b, ..] = key.as_bytes();
        lock(&self.turns[(usize::from(*a) * 64 + usize::from(*b)) % TURNS])
    }
}
