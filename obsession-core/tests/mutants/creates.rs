//! Creates that are wrong without any concurrency.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use obsession_core::{Create, Delete, Record, Revision, SessionKey, SessionStore};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};
use crate::updates::without_past;

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<CreateOverwrites>(),
        Entry::of::<CreateIgnoresResult>(),
        Entry::of::<CreateRetriedIsTaken>(),
        Entry::of::<CreateTakesEveryRevisionForARetry>(),
        Entry::of::<CreateRetriedAfterItsEnd>(),
        Entry::of::<CreateKeepsTheExpired>(),
        Entry::of::<CreateMergesTheExpired>(),
        Entry::of::<CreateIsBlockedByADelete>(),
        Entry::of::<CreateInThePastIsForever>(),
    ]
}

/// A new session takes the place of another one of the same key.
#[derive(Debug, Default)]
pub(crate) struct CreateOverwrites;

#[async_trait]
impl Bug for CreateOverwrites {
    fn caught_by(&self) -> &'static str {
        "create_of_a_taken_key_changes_nothing"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        at.put(record).map(|()| Create::Created)
    }
}

/// The answer of "insert if absent" is thrown away.
#[derive(Debug, Default)]
pub(crate) struct CreateIgnoresResult;

#[async_trait]
impl Bug for CreateIgnoresResult {
    fn caught_by(&self) -> &'static str {
        "race_of_creates_has_one_winner"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        at.create(record).await.map(|_| Create::Created)
    }
}

/// The writer's own create, sent again, finds the key taken.
#[derive(Debug, Default)]
pub(crate) struct CreateRetriedIsTaken;

#[async_trait]
impl Bug for CreateRetriedIsTaken {
    fn caught_by(&self) -> &'static str {
        "create_again_is_recognised"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        match at.live(&record.key)? {
            Some(_) => Ok(Create::KeyTaken),
            None => at.create(record).await,
        }
    }
}

/// A create that was answered once is answered so for ever.
#[derive(Debug, Default)]
pub(crate) struct CreateTakesEveryRevisionForARetry {
    written: Mutex<HashSet<Revision>>,
}

#[async_trait]
impl Bug for CreateTakesEveryRevisionForARetry {
    fn caught_by(&self) -> &'static str {
        "create_again_after_an_update_is_taken"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        if self.written.lock().unwrap().contains(&record.revision) {
            return Ok(Create::Created);
        }
        let answer = at.create(record).await?;
        if answer == Create::Created {
            self.written.lock().unwrap().insert(record.revision);
        }
        Ok(answer)
    }
}

/// A retry is recognised before the deadline is looked at.
#[derive(Debug, Default)]
pub(crate) struct CreateRetriedAfterItsEnd;

#[async_trait]
impl Bug for CreateRetriedAfterItsEnd {
    fn caught_by(&self) -> &'static str {
        "create_again_of_what_has_expired_makes_it"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        match at.row(&record.key)? {
            Some(old) if old.revision == record.revision => Ok(Create::Created),
            _ => at.create(record).await,
        }
    }
}

/// A row that nobody has cleaned up keeps its key.
#[derive(Debug, Default)]
pub(crate) struct CreateKeepsTheExpired;

#[async_trait]
impl Bug for CreateKeepsTheExpired {
    fn caught_by(&self) -> &'static str {
        "create_over_an_expired_record_replaces_it"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        match at.row(&record.key)? {
            Some(old) if !old.is_live(at.now()) => Ok(Create::KeyTaken),
            _ => at.create(record).await,
        }
    }
}

/// An expired row is updated to the new record, with what is not given left as it was.
#[derive(Debug, Default)]
pub(crate) struct CreateMergesTheExpired;

#[async_trait]
impl Bug for CreateMergesTheExpired {
    fn caught_by(&self) -> &'static str {
        "create_over_an_expired_record_takes_nothing_from_it"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let old = at.row(&record.key)?.filter(|old| !old.is_live(at.now()));
        let record = Record {
            subject: record.subject.clone().or(old.and_then(|old| old.subject)),
            ..record.clone()
        };
        at.create(&record).await
    }
}

/// A tombstone keeps the key from ever being used again.
#[derive(Debug, Default)]
pub(crate) struct CreateIsBlockedByADelete {
    tombstones: Mutex<HashSet<SessionKey>>,
}

#[async_trait]
impl Bug for CreateIsBlockedByADelete {
    fn caught_by(&self) -> &'static str {
        "create_after_a_delete"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        if self.tombstones.lock().unwrap().contains(&record.key) {
            return Ok(Create::KeyTaken);
        }
        at.create(record).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        self.tombstones.lock().unwrap().insert(*key);
        at.delete(key).await
    }
}

/// A time to live of nothing or less is none at all, in the insert.
#[derive(Debug, Default)]
pub(crate) struct CreateInThePastIsForever;

#[async_trait]
impl Bug for CreateInThePastIsForever {
    fn caught_by(&self) -> &'static str {
        "create_of_an_expired_record_is_never_served"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        at.create(&without_past(at, record)).await
    }
}
