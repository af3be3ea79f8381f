//! A store of your own, and the run of its conformance suite:
//! `cargo test -p examples --bin custom_store`.
//!
//! This one keeps records in a map, under one lock. `MemoryStore` is the better one of its kind; what
//! counts here is what a store has to do, and how little that is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use obsession_core::{
    Clock, Create, Delete, Error, Record, Revision, SessionKey, SessionManager, SessionStore,
    StoreError, SystemClock, Timestamp, Touch, Update,
};

type Records = BTreeMap<SessionKey, Record>;

#[derive(Debug)]
struct MapStore {
    records: Mutex<Records>,
    clock: Arc<dyn Clock>,
}

impl MapStore {
    fn new(clock: impl Clock) -> Self {
        Self {
            records: Mutex::default(),
            clock: Arc::new(clock),
        }
    }

    /// The records, and the instant at which this call takes effect.
    fn locked(&self) -> (MutexGuard<'_, Records>, Timestamp) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        (records, self.clock.now())
    }
}

#[async_trait]
impl SessionStore for MapStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let (records, now) = self.locked();
        Ok(records
            .get(key)
            .filter(|record| record.is_live(now))
            .cloned())
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        let (mut records, now) = self.locked();
        match records.get(&record.key).filter(|old| old.is_live(now)) {
            // The same revision is the same write: somebody has not seen our first answer.
            Some(old) if old.revision != record.revision => return Ok(Create::KeyTaken),
            Some(_) => {}
            None => drop(records.insert(record.key, record.clone())),
        }
        Ok(Create::Created)
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        let (mut records, now) = self.locked();
        Ok(
            match records.get_mut(&record.key).filter(|old| old.is_live(now)) {
                None => Update::Gone,
                Some(old) if old.revision == record.revision => Update::Updated,
                Some(old) if old.revision != expected => Update::Conflict(old.clone()),
                Some(old) => {
                    *old = record.clone();
                    Update::Updated
                }
            },
        )
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let (mut records, now) = self.locked();
        Ok(
            match records.get_mut(key).filter(|record| record.is_live(now)) {
                None => Touch::Gone,
                Some(record) if record.revision != expected => Touch::Changed,
                Some(record) => {
                    record.expires_at = record.expires_at.max(expires_at);
                    Touch::Touched
                }
            },
        )
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        let (mut records, now) = self.locked();
        let ended = records
            .remove(key)
            .is_some_and(|record| record.is_live(now));
        Ok(if ended { Delete::Deleted } else { Delete::Gone })
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let (mut records, now) = self.locked();
        let expired = records.values().filter(|record| !record.is_live(now));
        let expired: Vec<_> = expired.map(|record| record.key).take(limit).collect();
        for key in &expired {
            records.remove(key);
        }
        Ok(expired.len())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let manager = SessionManager::new(MapStore::new(SystemClock));
    let session = manager.open(None);
    session.insert("greeting", "hello from a store of your own")?;
    session.save().await?;
    let again = manager.open(session.id().await?);
    println!("{:?}", again.get::<String>("greeting").await?);
    Ok(())
}

/// One line: every clause of the contract is a test.
#[cfg(test)]
mod conformance {
    use obsession_core::conformance::Time;

    async fn make(time: Time) -> super::MapStore {
        super::MapStore::new(time.clock())
    }

    obsession_core::conformance!(make);
}
