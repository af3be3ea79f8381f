//! A cache that gives what is there no more, though all who write use it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use obsession_core::{
    Delete, Record, Revision, SessionIndex, SessionKey, SessionStore, Timestamp, Touch, Update,
};

use crate::around::Inner;
use crate::bug::{Bug, Entry};
use crate::cache::Cache;
use crate::sound::Answer;

type Cached = Arc<Cache<Inner>>;

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::around::<Cached, CacheOfWhatWasNotThere>(),
        Entry::around::<Cached, CacheForgetsTheDeadline>(),
        Entry::around::<Cached, CacheIsNotToldOfTouches>(),
        Entry::around::<Cached, CacheIsNotToldOfSubjects>(),
        Entry::around::<Cached, CacheIsFilledByALateLoad>(),
        Entry::around::<Cached, CacheIsFilledByItsWriters>(),
        Entry::around::<Cached, CacheIsToldAfterwards>(),
        Entry::around::<Cached, CacheIsToldOfSuccess>(),
    ]
}

/// That a key is not there is remembered, and a create does not end it.
#[derive(Debug, Default)]
struct CacheOfWhatWasNotThere(Mutex<HashSet<SessionKey>>);

#[async_trait]
impl Bug<Cached> for CacheOfWhatWasNotThere {
    fn caught_by(&self) -> &'static str {
        "peer_sees_what_was_created"
    }

    async fn load(&self, at: &Cached, key: &SessionKey) -> Answer<Option<Record>> {
        if self.0.lock().unwrap().contains(key) {
            return Ok(None);
        }
        let found = at.load(key).await?;
        if found.is_none() {
            self.0.lock().unwrap().insert(*key);
        }
        Ok(found)
    }
}

/// What was live when it was loaded is given for ever.
#[derive(Debug, Default)]
struct CacheForgetsTheDeadline;

#[async_trait]
impl Bug<Cached> for CacheForgetsTheDeadline {
    fn caught_by(&self) -> &'static str {
        "load_before_the_deadline_but_not_at_it"
    }

    async fn load(&self, at: &Cached, key: &SessionKey) -> Answer<Option<Record>> {
        let kept = at.kept().records.get(key).cloned();
        match kept {
            Some(record) => Ok(Some(record)),
            None => at.load(key).await,
        }
    }
}

/// "A touch writes nothing."
#[derive(Debug, Default)]
struct CacheIsNotToldOfTouches;

#[async_trait]
impl Bug<Cached> for CacheIsNotToldOfTouches {
    fn caught_by(&self) -> &'static str {
        "touch_moves_by_a_millisecond"
    }

    async fn touch(
        &self,
        at: &Cached,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        at.store.touch(key, expected, expires_at).await
    }
}

/// The cache knows keys alone, and the end of a subject names none.
#[derive(Debug, Default)]
struct CacheIsNotToldOfSubjects;

#[async_trait]
impl Bug<Cached> for CacheIsNotToldOfSubjects {
    fn caught_by(&self) -> &'static str {
        "peer_ends_all_of_a_subject_everywhere"
    }

    async fn delete_subject(
        &self,
        at: &Cached,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        at.store.delete_subject(subject, except).await
    }
}

/// A load puts what it has found into the cache, whatever was written and forgotten meanwhile.
#[derive(Debug, Default)]
struct CacheIsFilledByALateLoad;

#[async_trait]
impl Bug<Cached> for CacheIsFilledByALateLoad {
    fn caught_by(&self) -> &'static str {
        "storm_on_one_record_is_linearizable"
    }

    async fn load(&self, at: &Cached, key: &SessionKey) -> Answer<Option<Record>> {
        let found = at.load(key).await?;
        if let Some(record) = &found {
            at.kept().records.insert(*key, record.clone());
        }
        Ok(found)
    }
}

/// Whoever writes puts that into the cache, whatever the store has answered.
#[derive(Debug, Default)]
struct CacheIsFilledByItsWriters;

#[async_trait]
impl Bug<Cached> for CacheIsFilledByItsWriters {
    fn caught_by(&self) -> &'static str {
        "update_of_a_deleted_record_does_not_revive_it"
    }

    async fn update(&self, at: &Cached, expected: Revision, record: &Record) -> Answer<Update> {
        let answer = at.update(expected, record).await?;
        at.kept().records.insert(record.key, record.clone());
        Ok(answer)
    }
}

/// What a delete ends is taken out of the cache when it has answered, if somebody still waits.
#[derive(Debug, Default)]
struct CacheIsToldAfterwards;

#[async_trait]
impl Bug<Cached> for CacheIsToldAfterwards {
    fn caught_by(&self) -> &'static str {
        "cancel_of_a_write_is_not_hidden_from_loads"
    }

    async fn delete(&self, at: &Cached, key: &SessionKey) -> Answer<Delete> {
        let answer = at.store.delete(key).await;
        at.kept().forget(key);
        answer
    }
}

/// What a failed write was to replace stays in the cache, also when the write may have been made.
#[derive(Debug, Default)]
struct CacheIsToldOfSuccess;

#[async_trait]
impl Bug<Cached> for CacheIsToldOfSuccess {
    fn caught_by(&self) -> &'static str {
        "outage_of_a_write_is_not_hidden_from_loads"
    }

    async fn update(&self, at: &Cached, expected: Revision, record: &Record) -> Answer<Update> {
        let kept = at.kept().records.get(&record.key).cloned();
        let answer = at.update(expected, record).await;
        if let Some(kept) = kept.filter(|_| answer.is_err()) {
            at.kept().records.insert(kept.key, kept);
        }
        answer
    }
}
