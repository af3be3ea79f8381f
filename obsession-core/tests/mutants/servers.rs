//! A server that is away, and one that has two tables.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use obsession_core::{
    Create, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore, StoreError,
    Update,
};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<LoadFailsAsNoSession>(),
        Entry::of::<WritesFailAsGone>(),
        Entry::of::<WritesAreQueuedInAnOutage>(),
        Entry::of::<AnOutageNeverEnds>(),
        Entry::of::<TablesAreOne>(),
        Entry::of::<KeysAreOfAllTables>(),
        Entry::of::<CleanupIsOfAllTables>(),
        Entry::of::<IndexIsOfAllTables>(),
        Entry::of::<EndsTheSubjectInAllTables>(),
    ]
}

/// `.ok().flatten()`.
#[derive(Debug, Default)]
pub(crate) struct LoadFailsAsNoSession;

#[async_trait]
impl Bug for LoadFailsAsNoSession {
    fn caught_by(&self) -> &'static str {
        "outage_of_a_load_is_an_error"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        Ok(at.load(key).await.ok().flatten())
    }
}

/// A write that fails is an outcome.
#[derive(Debug, Default)]
pub(crate) struct WritesFailAsGone;

#[async_trait]
impl Bug for WritesFailAsGone {
    fn caught_by(&self) -> &'static str {
        "outage_of_writes_is_told_as_it_is"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        Ok(at.update(expected, record).await.unwrap_or(Update::Gone))
    }
}

/// A write that failed is tried again when the server is back, though it was said not to be applied.
#[derive(Debug, Default)]
pub(crate) struct WritesAreQueuedInAnOutage(Mutex<Vec<(Revision, Record)>>);

#[async_trait]
impl Bug for WritesAreQueuedInAnOutage {
    fn caught_by(&self) -> &'static str {
        "outage_of_writes_is_told_as_it_is"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        drop(at.rows()?);
        let queued = std::mem::take(&mut *self.0.lock().unwrap());
        for (expected, record) in queued {
            let _ = at.update(expected, &record).await?;
        }
        at.load(key).await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let answer = at.update(expected, record).await;
        if answer.is_err() {
            let mut queued = self.0.lock().unwrap();
            queued.push((expected, record.clone()));
        }
        answer
    }
}

/// A connection that has failed once is never replaced.
#[derive(Debug, Default)]
pub(crate) struct AnOutageNeverEnds(AtomicBool);

impl AnOutageNeverEnds {
    fn check<T>(&self, answer: Answer<T>) -> Answer<T> {
        if answer.is_err() {
            self.0.store(true, Ordering::SeqCst);
        }
        if self.0.load(Ordering::SeqCst) {
            return Err(StoreError::not_applied("the connection is closed"));
        }
        answer
    }
}

#[async_trait]
impl Bug for AnOutageNeverEnds {
    fn caught_by(&self) -> &'static str {
        "outage_ends_and_everything_works"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        self.check(at.load(key).await)
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.check(at.create(record).await)
    }
}

/// The name of the table is not used everywhere.
#[derive(Debug, Default)]
pub(crate) struct TablesAreOne;

#[async_trait]
impl Bug for TablesAreOne {
    fn caught_by(&self) -> &'static str {
        "neighbour_does_not_see_the_other_store"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        at.of_table(0).load(key).await
    }
}

/// A key that one table has is taken in all.
#[derive(Debug, Default)]
pub(crate) struct KeysAreOfAllTables;

#[async_trait]
impl Bug for KeysAreOfAllTables {
    fn caught_by(&self) -> &'static str {
        "neighbour_may_have_the_same_key"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        match at.of_table(0).live(&record.key)? {
            Some(old) if old.revision != record.revision => Ok(Create::KeyTaken),
            _ => at.create(record).await,
        }
    }
}

/// The list of deadlines is one for all tables, and says nothing of the table.
#[derive(Debug, Default)]
pub(crate) struct CleanupIsOfAllTables;

#[async_trait]
impl Bug for CleanupIsOfAllTables {
    fn caught_by(&self) -> &'static str {
        "neighbour_is_not_cleaned_up"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let now = at.now();
        let due: Vec<_> = {
            let rows = at.rows()?;
            let expired = rows.iter().filter(|(_, record)| !record.is_live(now));
            expired.map(|((_, key), _)| *key).take(limit).collect()
        };
        let other = at.of_table(1);
        for key in &due {
            other.take(key)?;
        }
        at.delete_expired(limit).await
    }
}

/// The index has a name that does not depend on the table's.
#[derive(Debug, Default)]
pub(crate) struct IndexIsOfAllTables;

#[async_trait]
impl Bug for IndexIsOfAllTables {
    fn caught_by(&self) -> &'static str {
        "neighbour_is_neither_listed_nor_counted"
    }

    async fn count(&self, at: &Sound) -> Answer<u64> {
        Ok(at.of_table(0).count().await? + at.of_table(1).count().await?)
    }
}

/// "Log out everywhere" is meant too literally.
#[derive(Debug, Default)]
pub(crate) struct EndsTheSubjectInAllTables;

#[async_trait]
impl Bug for EndsTheSubjectInAllTables {
    fn caught_by(&self) -> &'static str {
        "neighbour_keeps_its_sessions_of_the_same_subject"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        at.of_table(1).delete_subject(subject, except).await?;
        at.delete_subject(subject, except).await
    }

    async fn scan(
        &self,
        at: &Sound,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        at.scan(after, limit).await
    }
}
