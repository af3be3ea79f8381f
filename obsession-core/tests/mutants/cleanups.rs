//! Cleanups that take too much, too little, or count wrong.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use obsession_core::{Create, Delete, Record, SessionKey, SessionStore, StoreError, Timestamp};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound, trip};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<CleanupTakesTheLiving>(),
        Entry::of::<CleanupDoesNothing>(),
        Entry::of::<CleanupComesEarly>(),
        Entry::of::<CleanupInOneBatch>(),
        Entry::of::<CleanupIgnoresItsLimit>(),
        Entry::of::<CleanupLimitIsOf32Bits>(),
        Entry::of::<CleanupEndsAtTheFirstLiveRecord>(),
        Entry::of::<CleanupEndsAtADamagedRecord>(),
        Entry::of::<CleanupByTheFirstDeadline>(),
        Entry::of::<CleanupRemembersTheDead>(),
        Entry::of::<CleanupFailsWithNothingToDo>(),
        Entry::of::<CleanupCountsWhatItFound>(),
        Entry::of::<CleanupLooksOnce>(),
    ]
}

fn expired(at: &Sound) -> Answer<Vec<Record>> {
    let now = at.now();
    let rows = at.rows()?;
    let own = rows.iter().filter(|((table, _), _)| *table == at.table);
    let expired = own.filter(|(_, record)| !record.is_live(now));
    Ok(expired.map(|(_, record)| record.clone()).collect())
}

/// "Older than" the wrong way round: the active are logged out, and the stale kept.
#[derive(Debug, Default)]
pub(crate) struct CleanupTakesTheLiving;

#[async_trait]
impl Bug for CleanupTakesTheLiving {
    fn caught_by(&self) -> &'static str {
        "cleanup_removes_the_expired_and_nothing_else"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let mut live = at.all_live()?;
        live.truncate(limit);
        for record in &live {
            at.take(&record.key)?;
        }
        Ok(live.len())
    }
}

/// It is left to a job that nobody has set up.
#[derive(Debug, Default)]
pub(crate) struct CleanupDoesNothing;

#[async_trait]
impl Bug for CleanupDoesNothing {
    fn caught_by(&self) -> &'static str {
        "cleanup_removes_the_expired_and_nothing_else"
    }

    async fn delete_expired(&self, at: &Sound, _limit: usize) -> Answer<usize> {
        at.rows().map(|_| 0)
    }
}

/// What is about to expire is not worth keeping.
#[derive(Debug, Default)]
pub(crate) struct CleanupComesEarly;

#[async_trait]
impl Bug for CleanupComesEarly {
    fn caught_by(&self) -> &'static str {
        "cleanup_does_not_come_early"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let soon = at.now().saturating_add(Duration::from_millis(1));
        let mut removed = 0;
        for record in at.all_live()? {
            if !record.is_live(soon) && removed < limit {
                at.take(&record.key)?;
                removed += 1;
            }
        }
        Ok(removed + at.delete_expired(limit - removed).await?)
    }
}

/// One batch is what a call does, whatever the limit.
#[derive(Debug, Default)]
pub(crate) struct CleanupInOneBatch;

#[async_trait]
impl Bug for CleanupInOneBatch {
    fn caught_by(&self) -> &'static str {
        "cleanup_takes_as_many_as_it_may"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        at.delete_expired(limit.min(256)).await
    }
}

/// All at once, and everybody waits.
#[derive(Debug, Default)]
pub(crate) struct CleanupIgnoresItsLimit;

#[async_trait]
impl Bug for CleanupIgnoresItsLimit {
    fn caught_by(&self) -> &'static str {
        "cleanup_keeps_to_its_limit"
    }

    async fn delete_expired(&self, at: &Sound, _limit: usize) -> Answer<usize> {
        at.delete_expired(usize::MAX).await
    }
}

/// The limit as the database has it, in which a large one is negative.
#[derive(Debug, Default)]
pub(crate) struct CleanupLimitIsOf32Bits;

#[async_trait]
impl Bug for CleanupLimitIsOf32Bits {
    fn caught_by(&self) -> &'static str {
        "cleanup_takes_any_limit"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        at.delete_expired(usize::try_from(narrow(limit)).unwrap_or(0))
            .await
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "this is the bug"
)]
pub(crate) fn narrow(limit: usize) -> i32 {
    limit as i32
}

/// The records are in the order of their keys, and not of their deadlines.
#[derive(Debug, Default)]
pub(crate) struct CleanupEndsAtTheFirstLiveRecord;

#[async_trait]
impl Bug for CleanupEndsAtTheFirstLiveRecord {
    fn caught_by(&self) -> &'static str {
        "cleanup_passes_by_what_is_live"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let first_live = at.all_live()?.first().map(|record| record.key);
        let expired = expired(at)?;
        let before = expired
            .iter()
            .take_while(|record| first_live.is_none_or(|live| record.key < live));
        let mut removed = 0;
        for record in before.take(limit) {
            at.take(&record.key)?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// A record that cannot be read ends it, and all that come after stay.
#[derive(Debug, Default)]
pub(crate) struct CleanupEndsAtADamagedRecord;

#[async_trait]
impl Bug for CleanupEndsAtADamagedRecord {
    fn caught_by(&self) -> &'static str {
        "cleanup_takes_what_has_any_form"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let readable = |record: &&Record| !record.body.is_empty() && record.body.len() < 60_000;
        let expired = expired(at)?;
        let mut removed = 0;
        for record in expired.iter().take_while(readable).take(limit) {
            at.take(&record.key)?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// The deadlines are in a list of their own, which a touch or an update does not change.
#[derive(Debug, Default)]
pub(crate) struct CleanupByTheFirstDeadline {
    first: Mutex<HashMap<SessionKey, Timestamp>>,
}

#[async_trait]
impl Bug for CleanupByTheFirstDeadline {
    fn caught_by(&self) -> &'static str {
        "cleanup_spares_what_was_touched_or_updated"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.first
            .lock()
            .unwrap()
            .insert(record.key, record.expires_at);
        at.create(record).await
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let now = at.now();
        let first = self.first.lock().unwrap().clone();
        let mut removed = 0;
        for (key, _) in first.iter().filter(|(_, end)| **end <= now).take(limit) {
            removed += usize::from(at.take(key)?.is_some());
            self.first.lock().unwrap().remove(key);
        }
        Ok(removed)
    }
}

/// The entry of a deleted record stays in the list of deadlines, and takes the next of its key.
#[derive(Debug, Default)]
pub(crate) struct CleanupRemembersTheDead {
    dead: Mutex<HashMap<SessionKey, Timestamp>>,
}

#[async_trait]
impl Bug for CleanupRemembersTheDead {
    fn caught_by(&self) -> &'static str {
        "cleanup_lets_a_later_create_be"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        if let Some(record) = at.live(key)? {
            let mut dead = self.dead.lock().unwrap();
            dead.insert(*key, record.expires_at);
        }
        at.delete(key).await
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let now = at.now();
        for (key, end) in std::mem::take(&mut *self.dead.lock().unwrap()) {
            if end <= now {
                at.take(&key)?;
            }
        }
        at.delete_expired(limit).await
    }
}

/// Nothing was changed, and that is taken for a failure.
#[derive(Debug, Default)]
pub(crate) struct CleanupFailsWithNothingToDo;

#[async_trait]
impl Bug for CleanupFailsWithNothingToDo {
    fn caught_by(&self) -> &'static str {
        "cleanup_of_an_empty_store_is_zero"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        match at.delete_expired(limit).await? {
            0 if limit > 0 => Err(StoreError::not_applied("no row was changed")),
            removed => Ok(removed),
        }
    }
}

/// What was found is counted, though another process has removed some of it.
#[derive(Debug, Default)]
pub(crate) struct CleanupCountsWhatItFound;

#[async_trait]
impl Bug for CleanupCountsWhatItFound {
    fn caught_by(&self) -> &'static str {
        "peer_cleans_up_once"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let mut found = expired(at)?;
        found.truncate(limit);
        trip().await;
        for record in &found {
            at.take(&record.key)?;
        }
        Ok(found.len())
    }
}

/// What had expired is removed by key, without another look.
#[derive(Debug, Default)]
pub(crate) struct CleanupLooksOnce;

#[async_trait]
impl Bug for CleanupLooksOnce {
    fn caught_by(&self) -> &'static str {
        "race_of_creates_over_an_expired_record_has_one_winner"
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        let mut found = expired(at)?;
        found.truncate(limit);
        for _ in 0..3 {
            trip().await;
        }
        let mut removed = 0;
        for record in &found {
            removed += usize::from(at.take(&record.key)?.is_some());
        }
        Ok(removed)
    }
}
