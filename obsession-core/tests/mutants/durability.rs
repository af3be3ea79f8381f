//! What is acknowledged and not there any more when the store is opened again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use obsession_core::{
    Create, Delete, Record, Revision, SessionIndex, SessionKey, SessionStore, Timestamp, Touch,
    Update,
};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};
use crate::unflushed::Unflushed;

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<CreateIsNotFlushed>(),
        Entry::of::<UpdateIsNotFlushed>(),
        Entry::of::<TouchIsNotFlushed>(),
        Entry::of::<DeleteIsNotFlushed>(),
        Entry::of::<LargeBodiesAreNotFlushed>(),
        Entry::of::<DeadlinesAreInMemory>(),
        Entry::of::<RetriesAreInMemory>(),
        Entry::of::<IndexIsInMemory>(),
    ]
}

/// Acknowledged before it is on the disk.
#[derive(Debug, Default)]
pub(crate) struct CreateIsNotFlushed(Unflushed);

#[async_trait]
impl Bug for CreateIsNotFlushed {
    fn caught_by(&self) -> &'static str {
        "reopen_keeps_what_was_created"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        self.0.load(at, key)
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.0.settle(at, &record.key)?;
        let before = at.live(&record.key)?;
        let answer = at.create(record).await?;
        if answer == Create::Created {
            self.0.hold_back(at, &record.key, before.as_ref())?;
        }
        Ok(answer)
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        self.0.settle(at, &record.key)?;
        at.update(expected, record).await
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.0.settle(at, key)?;
        at.touch(key, expected, expires_at).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        self.0.settle(at, key)?;
        at.delete(key).await
    }
}

/// The last update is in a buffer.
#[derive(Debug, Default)]
pub(crate) struct UpdateIsNotFlushed(Unflushed);

#[async_trait]
impl Bug for UpdateIsNotFlushed {
    fn caught_by(&self) -> &'static str {
        "reopen_keeps_the_last_update"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        self.0.load(at, key)
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        self.0.settle(at, &record.key)?;
        let before = at.live(&record.key)?;
        let answer = at.update(expected, record).await?;
        if answer == Update::Updated {
            self.0.hold_back(at, &record.key, before.as_ref())?;
        }
        Ok(answer)
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.0.settle(at, key)?;
        at.touch(key, expected, expires_at).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        self.0.settle(at, key)?;
        at.delete(key).await
    }
}

/// A moved deadline is written with the next update.
#[derive(Debug, Default)]
pub(crate) struct TouchIsNotFlushed(Unflushed);

#[async_trait]
impl Bug for TouchIsNotFlushed {
    fn caught_by(&self) -> &'static str {
        "reopen_keeps_a_touched_deadline"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        self.0.load(at, key)
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        self.0.settle(at, &record.key)?;
        at.update(expected, record).await
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.0.settle(at, key)?;
        let before = at.live(key)?;
        let answer = at.touch(key, expected, expires_at).await?;
        if answer == Touch::Touched {
            self.0.hold_back(at, key, before.as_ref())?;
        }
        Ok(answer)
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        self.0.settle(at, key)?;
        at.delete(key).await
    }
}

/// A delete is of this process's memory, and of the disk later.
#[derive(Debug, Default)]
pub(crate) struct DeleteIsNotFlushed(Unflushed);

#[async_trait]
impl Bug for DeleteIsNotFlushed {
    fn caught_by(&self) -> &'static str {
        "reopen_does_not_revive_a_deleted_record"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        self.0.load(at, key)
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.0.settle(at, &record.key)?;
        at.create(record).await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        self.0.settle(at, &record.key)?;
        at.update(expected, record).await
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.0.settle(at, key)?;
        at.touch(key, expected, expires_at).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        self.0.settle(at, key)?;
        let before = at.live(key)?;
        let answer = at.delete(key).await?;
        if answer == Delete::Deleted {
            self.0.hold_back(at, key, before.as_ref())?;
        }
        Ok(answer)
    }
}

/// A long body is in a file of its own, which is not synced.
#[derive(Debug, Default)]
pub(crate) struct LargeBodiesAreNotFlushed(Mutex<HashMap<Revision, Arc<[u8]>>>);

#[async_trait]
impl Bug for LargeBodiesAreNotFlushed {
    fn caught_by(&self) -> &'static str {
        "reopen_keeps_a_large_body"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let found = at.load(key).await?;
        let files = self.0.lock().unwrap();
        Ok(found.map(|mut record| {
            if let Some(body) = files.get(&record.revision) {
                record.body = Arc::clone(body);
            }
            record
        }))
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        if record.body.len() < 100_000 {
            return at.create(record).await;
        }
        self.0
            .lock()
            .unwrap()
            .insert(record.revision, Arc::clone(&record.body));
        let head = Record {
            body: [].into(),
            ..record.clone()
        };
        at.create(&head).await
    }
}

/// A row has no deadline: a timer of this process removes it.
#[derive(Debug, Default)]
pub(crate) struct DeadlinesAreInMemory(Mutex<HashSet<SessionKey>>);

#[async_trait]
impl Bug for DeadlinesAreInMemory {
    fn caught_by(&self) -> &'static str {
        "reopen_serves_nothing_that_expired_meanwhile"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        match at.row(key)? {
            Some(mut record) if !self.0.lock().unwrap().contains(key) => {
                record.expires_at = record
                    .expires_at
                    .max(at.now().saturating_add(std::time::Duration::from_secs(1)));
                Ok(Some(record))
            }
            _ => at.load(key).await,
        }
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.0.lock().unwrap().insert(record.key);
        at.create(record).await
    }
}

/// Which writes were applied is known by the process that made them.
#[derive(Debug, Default)]
pub(crate) struct RetriesAreInMemory(Mutex<HashSet<Revision>>);

#[async_trait]
impl Bug for RetriesAreInMemory {
    fn caught_by(&self) -> &'static str {
        "reopen_recognises_writes_of_before"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let known = !self.0.lock().unwrap().insert(record.revision);
        match at.live(&record.key)? {
            Some(_) if !known => Ok(Create::KeyTaken),
            _ => at.create(record).await,
        }
    }
}

/// The index is built as records are written, and not when the store is opened.
#[derive(Debug, Default)]
pub(crate) struct IndexIsInMemory(Mutex<HashSet<SessionKey>>);

#[async_trait]
impl Bug for IndexIsInMemory {
    fn caught_by(&self) -> &'static str {
        "reopen_index_agrees_with_the_records"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.0.lock().unwrap().insert(record.key);
        at.create(record).await
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut listed = at.list(subject, after, limit).await?;
        listed.retain(|record| self.0.lock().unwrap().contains(&record.key));
        Ok(listed)
    }
}
