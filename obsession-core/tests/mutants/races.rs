//! What is right alone and wrong at the same time, or when it is cut short.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use obsession_core::{Create, Delete, Record, Revision, SessionKey, SessionStore as _};
use obsession_core::{StoreError, Timestamp, Touch, Update};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound, long_trip, trip};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<CreateLooksFirst>(),
        Entry::of::<UpdateLooksFirst>(),
        Entry::of::<UpdateLooksFirstAndInserts>(),
        Entry::of::<UpdateLooksFirstAndIgnoresTheRest>(),
        Entry::of::<TouchWritesBack>(),
        Entry::of::<TouchWritesBackIfThere>(),
        Entry::of::<TouchLooksFirstAndIgnoresTheRest>(),
        Entry::of::<TouchByAnEarlierClock>(),
        Entry::of::<DeleteLooksFirst>(),
        Entry::of::<LoadFromAReplica>(),
        Entry::of::<CreateInTwoSteps>(),
        Entry::of::<UpdateInTwoSteps>(),
        Entry::of::<TouchInTwoSteps>(),
        Entry::of::<DeleteInTwoSteps>(),
        Entry::of::<CleanupInTwoSteps>(),
        Entry::of::<RepliesAreOffByOne>(),
        Entry::of::<ACancelledCallLeavesATransaction>(),
    ]
}

/// Is the key free? Then it is written.
#[derive(Debug, Default)]
pub(crate) struct CreateLooksFirst;

#[async_trait]
impl Bug for CreateLooksFirst {
    fn caught_by(&self) -> &'static str {
        "race_of_creates_has_one_winner"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        match at.load(&record.key).await? {
            Some(old) if old.revision != record.revision => Ok(Create::KeyTaken),
            Some(_) => Ok(Create::Created),
            None => {
                trip().await;
                at.put(record).map(|()| Create::Created)
            }
        }
    }
}

/// Load, compare, store.
#[derive(Debug, Default)]
pub(crate) struct UpdateLooksFirst;

#[async_trait]
impl Bug for UpdateLooksFirst {
    fn caught_by(&self) -> &'static str {
        "race_of_increments_loses_none"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.load(&record.key).await? {
            Some(old) if old.revision == expected => {
                trip().await;
                // Whatever is there now.
                let now = at.live(&record.key)?.map_or(expected, |now| now.revision);
                at.update(now, record).await
            }
            _ => at.update(expected, record).await,
        }
    }
}

/// Load, compare, and an upsert.
#[derive(Debug, Default)]
pub(crate) struct UpdateLooksFirstAndInserts;

#[async_trait]
impl Bug for UpdateLooksFirstAndInserts {
    fn caught_by(&self) -> &'static str {
        "race_of_update_and_delete_ends_deleted"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.load(&record.key).await? {
            Some(old) if old.revision == expected => {
                trip().await;
                match at.update(expected, record).await? {
                    Update::Gone => at.put(record).map(|()| Update::Updated),
                    answer => Ok(answer),
                }
            }
            _ => at.update(expected, record).await,
        }
    }
}

/// Load, compare, and an update whose answer is not looked at.
#[derive(Debug, Default)]
pub(crate) struct UpdateLooksFirstAndIgnoresTheRest;

#[async_trait]
impl Bug for UpdateLooksFirstAndIgnoresTheRest {
    fn caught_by(&self) -> &'static str {
        "race_of_update_and_cleanup_keeps_what_was_updated"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.load(&record.key).await? {
            Some(old) if old.revision == expected => {
                trip().await;
                at.update(expected, record).await.map(|_| Update::Updated)
            }
            _ => at.update(expected, record).await,
        }
    }
}

/// The whole row is read and written with another deadline, also if it was deleted meanwhile.
#[derive(Debug, Default)]
pub(crate) struct TouchWritesBack;

#[async_trait]
impl Bug for TouchWritesBack {
    fn caught_by(&self) -> &'static str {
        "race_of_touch_and_delete_ends_deleted"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        match at.load(key).await? {
            Some(mut record) if record.revision == expected => {
                record.expires_at = record.expires_at.max(expires_at);
                trip().await;
                at.put(&record).map(|()| Touch::Touched)
            }
            _ => at.touch(key, expected, expires_at).await,
        }
    }
}

/// The whole row is read and written with another deadline, over what was written meanwhile.
#[derive(Debug, Default)]
pub(crate) struct TouchWritesBackIfThere;

#[async_trait]
impl Bug for TouchWritesBackIfThere {
    fn caught_by(&self) -> &'static str {
        "race_of_updates_and_touches_loses_no_write"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        match at.load(key).await? {
            Some(mut record) if record.revision == expected => {
                record.expires_at = record.expires_at.max(expires_at);
                trip().await;
                match at.live(key)? {
                    Some(_) => at.put(&record).map(|()| Touch::Touched),
                    None => Ok(Touch::Gone),
                }
            }
            _ => at.touch(key, expected, expires_at).await,
        }
    }
}

/// Is it live? Then it is touched, and whether that found it is not looked at.
#[derive(Debug, Default)]
pub(crate) struct TouchLooksFirstAndIgnoresTheRest;

#[async_trait]
impl Bug for TouchLooksFirstAndIgnoresTheRest {
    fn caught_by(&self) -> &'static str {
        "race_of_touch_and_cleanup_keeps_what_was_touched"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        match at.load(key).await? {
            Some(record) if record.revision == expected => {
                trip().await;
                let touched = at.touch(key, expected, expires_at).await;
                touched.map(|_| Touch::Touched)
            }
            _ => at.touch(key, expected, expires_at).await,
        }
    }
}

/// The time is asked for before the way to the server, and what was live then is touched.
#[derive(Debug, Default)]
pub(crate) struct TouchByAnEarlierClock;

#[async_trait]
impl Bug for TouchByAnEarlierClock {
    fn caught_by(&self) -> &'static str {
        "race_of_touch_and_deadline_has_one_outcome"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let asked = at.now();
        long_trip().await;
        match at.row(key)? {
            Some(mut record) if record.is_live(asked) && record.revision == expected => {
                record.expires_at = record.expires_at.max(expires_at);
                at.put(&record).map(|()| Touch::Touched)
            }
            _ => at.touch(key, expected, expires_at).await,
        }
    }
}

/// Is it there? Then it is removed, by each who saw it.
#[derive(Debug, Default)]
pub(crate) struct DeleteLooksFirst;

#[async_trait]
impl Bug for DeleteLooksFirst {
    fn caught_by(&self) -> &'static str {
        "race_of_deletes_has_one_winner"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        let live = at.load(key).await?.is_some();
        let _ = at.delete(key).await?;
        Ok(if live { Delete::Deleted } else { Delete::Gone })
    }
}

/// Loads come from a copy that is one write behind.
#[derive(Debug, Default)]
pub(crate) struct LoadFromAReplica {
    before: Mutex<HashMap<SessionKey, Record>>,
}

#[async_trait]
impl Bug for LoadFromAReplica {
    fn caught_by(&self) -> &'static str {
        "race_of_loads_and_updates_reads_your_writes"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let found = at.load(key).await?;
        let before = self.before.lock().unwrap().get(key).cloned();
        Ok(found.map(|found| before.unwrap_or(found)))
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let old = at.live(&record.key)?;
        let answer = at.update(expected, record).await?;
        if let (Update::Updated, Some(old)) = (&answer, old) {
            self.before.lock().unwrap().insert(record.key, old);
        }
        Ok(answer)
    }
}

/// First the row, then its body.
#[derive(Debug, Default)]
pub(crate) struct CreateInTwoSteps;

#[async_trait]
impl Bug for CreateInTwoSteps {
    fn caught_by(&self) -> &'static str {
        "cancel_of_a_create_at_every_poll"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let empty = Record {
            body: [].into(),
            ..record.clone()
        };
        let before = at.live(&record.key)?;
        let answer = at.create(&empty).await?;
        if answer == Create::Created && before.is_none() {
            at.put(record)?;
        }
        Ok(answer)
    }
}

/// First one column, then the other.
#[derive(Debug, Default)]
pub(crate) struct UpdateInTwoSteps;

#[async_trait]
impl Bug for UpdateInTwoSteps {
    fn caught_by(&self) -> &'static str {
        "cancel_of_an_update_at_every_poll"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let Some(old) = at.live(&record.key)? else {
            return Ok(Update::Gone);
        };
        let half = Record {
            subject: old.subject.clone(),
            ..record.clone()
        };
        let answer = at.update(expected, &half).await?;
        if answer == Update::Updated && old.revision == expected {
            at.put(record)?;
        }
        Ok(answer)
    }
}

/// Out with the old, in with the new.
#[derive(Debug, Default)]
pub(crate) struct TouchInTwoSteps;

#[async_trait]
impl Bug for TouchInTwoSteps {
    fn caught_by(&self) -> &'static str {
        "cancel_of_a_touch_at_every_poll"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        match at.live(key)? {
            Some(mut record) if record.revision == expected => {
                record.expires_at = record.expires_at.max(expires_at);
                at.take(key)?;
                trip().await;
                at.put(&record).map(|()| Touch::Touched)
            }
            _ => at.touch(key, expected, expires_at).await,
        }
    }
}

/// First the body, then the row.
#[derive(Debug, Default)]
pub(crate) struct DeleteInTwoSteps;

#[async_trait]
impl Bug for DeleteInTwoSteps {
    fn caught_by(&self) -> &'static str {
        "cancel_of_a_delete_at_every_poll"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        if let Some(mut record) = at.live(key)? {
            record.body = [].into();
            at.put(&record)?;
            trip().await;
        }
        at.delete(key).await
    }
}

/// A new table is made of what is live, and takes the place of the old one.
#[derive(Debug, Default)]
pub(crate) struct CleanupInTwoSteps;

#[async_trait]
impl Bug for CleanupInTwoSteps {
    fn caught_by(&self) -> &'static str {
        "cancel_of_a_cleanup_at_every_poll"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let live = at.all_live()?;
        for record in &live {
            at.take(&record.key)?;
        }
        trip().await;
        for record in &live {
            at.put(record)?;
        }
        at.delete_expired(limit).await
    }
}

/// A reply that nobody waited for is the next caller's.
#[derive(Debug, Default)]
pub(crate) struct RepliesAreOffByOne {
    replies: Mutex<VecDeque<Option<Record>>>,
}

#[async_trait]
impl Bug for RepliesAreOffByOne {
    fn caught_by(&self) -> &'static str {
        "cancel_of_many_calls_never_gives_anothers_record"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let found = at.live(key)?;
        self.replies.lock().unwrap().push_back(found);
        trip().await;
        Ok(self.replies.lock().unwrap().pop_front().flatten())
    }
}

/// A call that is dropped leaves its connection in an open transaction.
#[derive(Debug, Default)]
pub(crate) struct ACancelledCallLeavesATransaction {
    open: AtomicBool,
}

#[async_trait]
impl Bug for ACancelledCallLeavesATransaction {
    fn caught_by(&self) -> &'static str {
        "cancel_of_a_load_at_every_poll"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        if self.open.swap(true, Ordering::SeqCst) {
            return Err(StoreError::not_applied("a transaction is open"));
        }
        let found = at.load(key).await;
        self.open.store(false, Ordering::SeqCst);
        found
    }
}
