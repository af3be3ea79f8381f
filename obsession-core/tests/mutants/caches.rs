//! What is right for a process that is alone.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use obsession_core::{
    Create, Delete, Record, Revision, SessionKey, SessionStore, Timestamp, Touch, Update,
};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound, trip};
use crate::unflushed::Unflushed;

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<CacheOfWhatIsNotThere>(),
        Entry::of::<CacheOfRecords>(),
        Entry::of::<CacheOfDeadlines>(),
        Entry::of::<CacheForConflicts>(),
        Entry::of::<LockInOneProcess>(),
    ]
}

/// That a key is not there is remembered.
#[derive(Debug, Default)]
pub(crate) struct CacheOfWhatIsNotThere(Mutex<HashSet<SessionKey>>);

#[async_trait]
impl Bug for CacheOfWhatIsNotThere {
    fn caught_by(&self) -> &'static str {
        "peer_sees_what_was_created"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        if self.0.lock().unwrap().contains(key) {
            return Ok(None);
        }
        let found = at.load(key).await?;
        if found.is_none() {
            self.0.lock().unwrap().insert(*key);
        }
        Ok(found)
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.0.lock().unwrap().remove(&record.key);
        at.create(record).await
    }
}

/// A cache that each process keeps up to date with its own writes.
#[derive(Debug, Default)]
pub(crate) struct CacheOfRecords(Unflushed);

#[async_trait]
impl Bug for CacheOfRecords {
    fn caught_by(&self) -> &'static str {
        "peer_sees_every_update"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let found = self.0.load(at, key)?;
        self.0.note(at, key, found.clone());
        Ok(found)
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let answer = at.create(record).await;
        self.0.forget(at, &record.key);
        answer
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let answer = at.update(expected, record).await;
        self.0.forget(at, &record.key);
        answer
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let answer = at.touch(key, expected, expires_at).await;
        self.0.forget(at, key);
        answer
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        let answer = at.delete(key).await;
        self.0.forget(at, key);
        answer
    }
}

/// The deadline is remembered as it was read first.
#[derive(Debug, Default)]
pub(crate) struct CacheOfDeadlines(Mutex<HashMap<Revision, Timestamp>>);

#[async_trait]
impl Bug for CacheOfDeadlines {
    fn caught_by(&self) -> &'static str {
        "peer_sees_a_moved_deadline"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let Some(mut record) = at.load(key).await? else {
            return Ok(None);
        };
        let mut cached = self.0.lock().unwrap();
        record.expires_at = *cached.entry(record.revision).or_insert(record.expires_at);
        Ok(Some(record).filter(|record| record.is_live(at.now())))
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.0.lock().unwrap().remove(&expected);
        at.touch(key, expected, expires_at).await
    }
}

/// A conflict brings what this process has read, to spare a round trip.
#[derive(Debug, Default)]
pub(crate) struct CacheForConflicts(Mutex<HashMap<SessionKey, Record>>);

#[async_trait]
impl Bug for CacheForConflicts {
    fn caught_by(&self) -> &'static str {
        "peer_answers_a_stale_write_with_the_newest_record"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let found = at.load(key).await?;
        if let Some(record) = &found {
            self.0.lock().unwrap().insert(*key, record.clone());
        }
        Ok(found)
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.update(expected, record).await? {
            Update::Conflict(current) => {
                let cached = self.0.lock().unwrap();
                let seen = cached.get(&record.key).cloned();
                Ok(Update::Conflict(seen.unwrap_or(current)))
            }
            answer => Ok(answer),
        }
    }
}

/// Load, compare and store, under a lock that other processes do not know.
#[derive(Debug, Default)]
pub(crate) struct LockInOneProcess(tokio::sync::Mutex<()>);

#[async_trait]
impl Bug for LockInOneProcess {
    fn caught_by(&self) -> &'static str {
        "peer_races_lose_no_increment"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let _locked = self.0.lock().await;
        match at.load(&record.key).await? {
            Some(old) if old.revision == expected => {
                trip().await;
                let now = at.live(&record.key)?.map_or(expected, |now| now.revision);
                at.update(now, record).await
            }
            _ => at.update(expected, record).await,
        }
    }
}
