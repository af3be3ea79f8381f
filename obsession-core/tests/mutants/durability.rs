//! What is acknowledged and not there any more when the store is opened again.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Mutex;

use async_trait::async_trait;
use obsession_core::{
    Create, Delete, Record, RecordBody, Revision, SessionIndex, SessionKey, SessionStore,
    Timestamp, Touch, Update,
};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};
use crate::unflushed::Unflushed;

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<NotFlushed<CreateIsNotFlushed>>(),
        Entry::of::<NotFlushed<UpdateIsNotFlushed>>(),
        Entry::of::<NotFlushed<TouchIsNotFlushed>>(),
        Entry::of::<NotFlushed<DeleteIsNotFlushed>>(),
        Entry::of::<LargeBodiesAreNotFlushed>(),
        Entry::of::<DeadlinesAreInMemory>(),
        Entry::of::<RetriesAreInMemory>(),
        Entry::of::<IndexIsInMemory>(),
    ]
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    Create,
    Update,
    Touch,
    Delete,
}

/// An operation that is acknowledged before it is on the disk.
pub(crate) trait Held: Debug + Default + Send + Sync + 'static {
    const CAUGHT_BY: &'static str;
    const OPERATION: Operation;
}

/// A store that keeps what was done last in its memory, where the next call of the same process finds
/// it and no other.
#[derive(Debug, Default)]
pub(crate) struct NotFlushed<H> {
    unflushed: Unflushed,
    _held: H,
}

impl<H: Held> NotFlushed<H> {
    async fn run<T>(
        &self,
        at: &Sound,
        key: &SessionKey,
        operation: Operation,
        call: impl Future<Output = Answer<T>>,
        applied: impl Fn(&T) -> bool,
    ) -> Answer<T> {
        self.unflushed.settle(at, key)?;
        let before = at.live(key)?;
        let answer = call.await?;
        if operation == H::OPERATION && applied(&answer) {
            self.unflushed.hold_back(at, key, before.as_ref())?;
        }
        Ok(answer)
    }
}

#[async_trait]
impl<H: Held> Bug for NotFlushed<H> {
    fn caught_by(&self) -> &'static str {
        H::CAUGHT_BY
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        self.unflushed.load(at, key)
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let created = |answer: &Create| *answer == Create::Created;
        let call = at.create(record);
        self.run(at, &record.key, Operation::Create, call, created)
            .await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let updated = |answer: &Update| *answer == Update::Updated;
        let call = at.update(expected, record);
        self.run(at, &record.key, Operation::Update, call, updated)
            .await
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let touched = |answer: &Touch| *answer == Touch::Touched;
        let call = at.touch(key, expected, expires_at);
        self.run(at, key, Operation::Touch, call, touched).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        let deleted = |answer: &Delete| *answer == Delete::Deleted;
        self.run(at, key, Operation::Delete, at.delete(key), deleted)
            .await
    }
}

/// A new session is in a buffer.
#[derive(Debug, Default)]
pub(crate) struct CreateIsNotFlushed;

impl Held for CreateIsNotFlushed {
    const CAUGHT_BY: &'static str = "reopen_keeps_what_was_created";
    const OPERATION: Operation = Operation::Create;
}

/// The last update is in a buffer.
#[derive(Debug, Default)]
pub(crate) struct UpdateIsNotFlushed;

impl Held for UpdateIsNotFlushed {
    const CAUGHT_BY: &'static str = "reopen_keeps_the_last_update";
    const OPERATION: Operation = Operation::Update;
}

/// A moved deadline is written with the next update.
#[derive(Debug, Default)]
pub(crate) struct TouchIsNotFlushed;

impl Held for TouchIsNotFlushed {
    const CAUGHT_BY: &'static str = "reopen_keeps_a_touched_deadline";
    const OPERATION: Operation = Operation::Touch;
}

/// A delete is of this process's memory, and of the disk later.
#[derive(Debug, Default)]
pub(crate) struct DeleteIsNotFlushed;

impl Held for DeleteIsNotFlushed {
    const CAUGHT_BY: &'static str = "reopen_does_not_revive_a_deleted_record";
    const OPERATION: Operation = Operation::Delete;
}

/// A long body is in a file of its own, which is not synced.
#[derive(Debug, Default)]
pub(crate) struct LargeBodiesAreNotFlushed(Mutex<HashMap<Revision, RecordBody>>);

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
                record.body = body.clone();
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
            .insert(record.revision, record.body.clone());
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
