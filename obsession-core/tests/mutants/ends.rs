//! Loads of what has ended, and deletes that do not end it.

use std::time::Duration;

use async_trait::async_trait;
use obsession_core::{Delete, Record, Revision, SessionKey, SessionStore, Timestamp};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<LoadIgnoresTheDeadline>(),
        Entry::of::<LoadServesAtTheDeadline>(),
        Entry::of::<LoadByALocalClock>(),
        Entry::of::<LoadMovesTheDeadline>(),
        Entry::of::<LoadMakesAnEmptyOne>(),
        Entry::of::<DeleteDoesNothing>(),
        Entry::of::<DeleteIsAlwaysDeleted>(),
        Entry::of::<DeleteCountsExpired>(),
        Entry::of::<DeleteTakesItsContemporaries>(),
    ]
}

/// Whatever has not been cleaned up is served.
#[derive(Debug, Default)]
pub(crate) struct LoadIgnoresTheDeadline;

#[async_trait]
impl Bug for LoadIgnoresTheDeadline {
    fn caught_by(&self) -> &'static str {
        "load_before_the_deadline_but_not_at_it"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        // Also from core's own look at the deadline.
        Ok(at.row(key)?.map(|mut record| {
            if !record.is_live(at.now()) {
                record.expires_at = Timestamp::MAX;
            }
            record
        }))
    }
}

/// At the deadline is before the deadline.
#[derive(Debug, Default)]
pub(crate) struct LoadServesAtTheDeadline;

#[async_trait]
impl Bug for LoadServesAtTheDeadline {
    fn caught_by(&self) -> &'static str {
        "load_before_the_deadline_but_not_at_it"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        Ok(at.row(key)?.filter(|record| at.now() <= record.expires_at))
    }
}

/// The time of day at the server's place, which is an hour behind.
#[derive(Debug, Default)]
pub(crate) struct LoadByALocalClock;

#[async_trait]
impl Bug for LoadByALocalClock {
    fn caught_by(&self) -> &'static str {
        "load_before_the_deadline_but_not_at_it"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let hour = Duration::from_secs(3600);
        let served = |record: &Record| at.now() < record.expires_at.saturating_add(hour);
        Ok(at.row(key)?.filter(served))
    }
}

/// To look at a session is to use it.
#[derive(Debug, Default)]
pub(crate) struct LoadMovesTheDeadline;

#[async_trait]
impl Bug for LoadMovesTheDeadline {
    fn caught_by(&self) -> &'static str {
        "load_changes_nothing"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        if let Some(mut record) = at.live(key)? {
            record.expires_at = record.expires_at.saturating_add(Duration::from_secs(1));
            at.put(&record)?;
        }
        at.load(key).await
    }
}

/// What is not there is a new session under the key that the client chose.
#[derive(Debug, Default)]
pub(crate) struct LoadMakesAnEmptyOne;

#[async_trait]
impl Bug for LoadMakesAnEmptyOne {
    fn caught_by(&self) -> &'static str {
        "load_of_an_unknown_key_is_nothing"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let empty = Record {
            key: *key,
            revision: Revision::from_u64(0),
            subject: None,
            created_at: at.now(),
            expires_at: Timestamp::MAX,
            body: [].into(),
        };
        Ok(Some(at.load(key).await?.unwrap_or(empty)))
    }
}

/// Only the client's cookie is removed.
#[derive(Debug, Default)]
pub(crate) struct DeleteDoesNothing;

#[async_trait]
impl Bug for DeleteDoesNothing {
    fn caught_by(&self) -> &'static str {
        "delete_ends_the_record"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        let live = at.live(key)?.is_some();
        Ok(if live { Delete::Deleted } else { Delete::Gone })
    }
}

/// The number of removed rows is not looked at.
#[derive(Debug, Default)]
pub(crate) struct DeleteIsAlwaysDeleted;

#[async_trait]
impl Bug for DeleteIsAlwaysDeleted {
    fn caught_by(&self) -> &'static str {
        "delete_again_is_gone"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        at.delete(key).await.map(|_| Delete::Deleted)
    }
}

/// A row that had expired counts.
#[derive(Debug, Default)]
pub(crate) struct DeleteCountsExpired;

#[async_trait]
impl Bug for DeleteCountsExpired {
    fn caught_by(&self) -> &'static str {
        "delete_of_an_expired_record_is_gone"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        let there = at.take(key)?.is_some();
        Ok(if there { Delete::Deleted } else { Delete::Gone })
    }
}

/// Rows are removed by another column than the key.
#[derive(Debug, Default)]
pub(crate) struct DeleteTakesItsContemporaries;

#[async_trait]
impl Bug for DeleteTakesItsContemporaries {
    fn caught_by(&self) -> &'static str {
        "delete_leaves_others_alone"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        if let Some(record) = at.live(key)? {
            for other in at.all_live()? {
                if other.created_at == record.created_at && other.key != *key {
                    at.take(&other.key)?;
                }
            }
        }
        at.delete(key).await
    }
}
