//! Updates that are wrong without any concurrency.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use obsession_core::{
    Create, Delete, Record, Revision, SessionKey, SessionStore, Timestamp, Update,
};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<UpdateInserts>(),
        Entry::of::<UpdateRevivesDeleted>(),
        Entry::of::<UpdateRevivesExpired>(),
        Entry::of::<UpdateIgnoresRevision>(),
        Entry::of::<UpdateIgnoresResult>(),
        Entry::of::<UpdateKeepsSubject>(),
        Entry::of::<UpdateKeepsLaterDeadline>(),
        Entry::of::<UpdateKeepsDeadline>(),
        Entry::of::<UpdateIntoThePastIsForever>(),
        Entry::of::<UpdateLeavesTheLongerBody>(),
        Entry::of::<UpdateFindsByRevision>(),
        Entry::of::<UpdateTakesEveryRevisionForARetry>(),
        Entry::of::<UpdateAcceptsAnEarlierLife>(),
        Entry::of::<UpdateRetriedIsAConflict>(),
        Entry::of::<UpdateRetriedAfterItsEnd>(),
        Entry::of::<ConflictIsOfTheStateBefore>(),
        Entry::of::<ConflictForgetsTheTouch>(),
    ]
}

/// Save is an upsert: what another request has ended is made again.
#[derive(Debug, Default)]
pub(crate) struct UpdateInserts;

#[async_trait]
impl Bug for UpdateInserts {
    fn caught_by(&self) -> &'static str {
        "update_of_an_unknown_key_does_not_insert"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.update(expected, record).await? {
            Update::Gone => at.put(record).map(|()| Update::Updated),
            answer => Ok(answer),
        }
    }
}

/// A delete only marks the row, and an update takes the mark away.
#[derive(Debug, Default)]
pub(crate) struct UpdateRevivesDeleted {
    deleted: Mutex<HashMap<SessionKey, Revision>>,
}

#[async_trait]
impl Bug for UpdateRevivesDeleted {
    fn caught_by(&self) -> &'static str {
        "update_of_a_deleted_record_does_not_revive_it"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let marked = self.deleted.lock().unwrap().get(&record.key) == Some(&expected);
        match at.update(expected, record).await? {
            Update::Gone if marked => at.put(record).map(|()| Update::Updated),
            answer => Ok(answer),
        }
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        if let Some(old) = at.live(key)? {
            self.deleted.lock().unwrap().insert(*key, old.revision);
        }
        at.delete(key).await
    }
}

/// The condition of the update says nothing of the deadline.
#[derive(Debug, Default)]
pub(crate) struct UpdateRevivesExpired;

#[async_trait]
impl Bug for UpdateRevivesExpired {
    fn caught_by(&self) -> &'static str {
        "update_of_an_expired_record_does_not_revive_it"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let old = at.row(&record.key)?;
        match at.update(expected, record).await? {
            Update::Gone if old.is_some_and(|old| old.revision == expected) => {
                at.put(record).map(|()| Update::Updated)
            }
            answer => Ok(answer),
        }
    }
}

/// The last write wins.
#[derive(Debug, Default)]
pub(crate) struct UpdateIgnoresRevision;

#[async_trait]
impl Bug for UpdateIgnoresRevision {
    fn caught_by(&self) -> &'static str {
        "update_of_another_revision_is_a_conflict_with_the_current_record"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let current = at.live(&record.key)?.map_or(expected, |old| old.revision);
        at.update(current, record).await
    }
}

/// The number of changed rows is not looked at.
#[derive(Debug, Default)]
pub(crate) struct UpdateIgnoresResult;

#[async_trait]
impl Bug for UpdateIgnoresResult {
    fn caught_by(&self) -> &'static str {
        "race_of_updates_has_one_winner_a_revision"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        at.update(expected, record).await.map(|_| Update::Updated)
    }
}

/// The statement forgets a column.
#[derive(Debug, Default)]
pub(crate) struct UpdateKeepsSubject;

#[async_trait]
impl Bug for UpdateKeepsSubject {
    fn caught_by(&self) -> &'static str {
        "update_replaces_every_field"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let old = at.live(&record.key)?.and_then(|old| old.subject);
        let record = Record {
            subject: old,
            ..record.clone()
        };
        at.update(expected, &record).await
    }
}

/// A deadline only ever moves on, also where a session was given a shorter lifetime.
#[derive(Debug, Default)]
pub(crate) struct UpdateKeepsLaterDeadline;

#[async_trait]
impl Bug for UpdateKeepsLaterDeadline {
    fn caught_by(&self) -> &'static str {
        "update_may_end_earlier"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let old = at.live(&record.key)?.map(|old| old.expires_at);
        let record = Record {
            expires_at: record.expires_at.max(old.unwrap_or(record.expires_at)),
            ..record.clone()
        };
        at.update(expected, &record).await
    }
}

/// A write keeps the time to live that there was.
#[derive(Debug, Default)]
pub(crate) struct UpdateKeepsDeadline;

#[async_trait]
impl Bug for UpdateKeepsDeadline {
    fn caught_by(&self) -> &'static str {
        "update_may_end_later"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let old = at.live(&record.key)?.map(|old| old.expires_at);
        let record = Record {
            expires_at: old.unwrap_or(record.expires_at),
            ..record.clone()
        };
        at.update(expected, &record).await
    }
}

/// A time to live of nothing or less is none at all.
#[derive(Debug, Default)]
pub(crate) struct UpdateIntoThePastIsForever;

#[async_trait]
impl Bug for UpdateIntoThePastIsForever {
    fn caught_by(&self) -> &'static str {
        "update_may_end_it"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        at.update(expected, &without_past(at, record)).await
    }
}

pub(crate) fn without_past(at: &Sound, record: &Record) -> Record {
    let mut record = record.clone();
    if !record.is_live(at.now()) {
        record.expires_at = Timestamp::MAX;
    }
    record
}

/// The body is written over the old one from its start, and what was longer stays.
#[derive(Debug, Default)]
pub(crate) struct UpdateLeavesTheLongerBody;

#[async_trait]
impl Bug for UpdateLeavesTheLongerBody {
    fn caught_by(&self) -> &'static str {
        "update_to_a_shorter_body_leaves_nothing_of_the_longer"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let old = at.live(&record.key)?.map(|old| old.body);
        let rest = old
            .iter()
            .flat_map(|old| old.iter().skip(record.body.len()));
        let body: Vec<u8> = record.body.iter().chain(rest).copied().collect();
        let record = Record {
            body: body.into(),
            ..record.clone()
        };
        at.update(expected, &record).await
    }
}

/// The row is found by its revision alone.
#[derive(Debug, Default)]
pub(crate) struct UpdateFindsByRevision;

#[async_trait]
impl Bug for UpdateFindsByRevision {
    fn caught_by(&self) -> &'static str {
        "update_leaves_others_alone"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let mut all = at.all_live()?.into_iter();
        match all.find(|other| other.revision == expected && other.key != record.key) {
            Some(Record { key, .. }) => {
                let record = Record {
                    key,
                    ..record.clone()
                };
                at.update(expected, &record).await
            }
            None => at.update(expected, record).await,
        }
    }
}

/// Every revision that was ever written is taken for a write that was applied.
#[derive(Debug, Default)]
pub(crate) struct UpdateTakesEveryRevisionForARetry {
    written: Mutex<HashSet<Revision>>,
}

#[async_trait]
impl Bug for UpdateTakesEveryRevisionForARetry {
    fn caught_by(&self) -> &'static str {
        "update_again_after_another_is_a_conflict"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        if self.written.lock().unwrap().contains(&record.revision) {
            return Ok(Update::Updated);
        }
        let answer = at.update(expected, record).await?;
        if answer == Update::Updated {
            self.written.lock().unwrap().insert(record.revision);
        }
        Ok(answer)
    }
}

/// Versions are counted from 1 for each record, so the first of a new life is that of the old one.
#[derive(Debug, Default)]
pub(crate) struct UpdateAcceptsAnEarlierLife {
    first: Mutex<HashSet<(SessionKey, Revision)>>,
}

#[async_trait]
impl Bug for UpdateAcceptsAnEarlierLife {
    fn caught_by(&self) -> &'static str {
        "update_of_the_record_before_the_delete_is_a_conflict"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let answer = at.create(record).await?;
        if answer == Create::Created {
            let first = (record.key, record.revision);
            self.first.lock().unwrap().insert(first);
        }
        Ok(answer)
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let current = at.live(&record.key)?.map_or(expected, |old| old.revision);
        let both_first = {
            let first = self.first.lock().unwrap();
            first.contains(&(record.key, expected)) && first.contains(&(record.key, current))
        };
        at.update(if both_first { current } else { expected }, record)
            .await
    }
}

/// The writer's own write, sent again, is a conflict with itself.
#[derive(Debug, Default)]
pub(crate) struct UpdateRetriedIsAConflict;

#[async_trait]
impl Bug for UpdateRetriedIsAConflict {
    fn caught_by(&self) -> &'static str {
        "update_again_is_recognised"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.live(&record.key)? {
            Some(old) if old.revision == record.revision => Ok(Update::Conflict(old)),
            _ => at.update(expected, record).await,
        }
    }
}

/// A retry is recognised before the deadline is looked at.
#[derive(Debug, Default)]
pub(crate) struct UpdateRetriedAfterItsEnd;

#[async_trait]
impl Bug for UpdateRetriedAfterItsEnd {
    fn caught_by(&self) -> &'static str {
        "update_again_of_what_has_expired_is_gone"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.row(&record.key)? {
            Some(old) if old.revision == record.revision => Ok(Update::Updated),
            _ => at.update(expected, record).await,
        }
    }
}

/// A conflict brings what was there before the last write.
#[derive(Debug, Default)]
pub(crate) struct ConflictIsOfTheStateBefore {
    before: Mutex<HashMap<SessionKey, Record>>,
}

#[async_trait]
impl Bug for ConflictIsOfTheStateBefore {
    fn caught_by(&self) -> &'static str {
        "update_of_another_revision_is_a_conflict_with_the_current_record"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let old = at.live(&record.key)?;
        let answer = at.update(expected, record).await?;
        let mut before = self.before.lock().unwrap();
        match (answer, old) {
            (Update::Updated, Some(old)) => {
                before.insert(record.key, old);
                Ok(Update::Updated)
            }
            (Update::Conflict(current), _) => Ok(Update::Conflict(
                before.get(&record.key).cloned().unwrap_or(current),
            )),
            (answer, _) => Ok(answer),
        }
    }
}

/// The deadline is kept apart from the record, and a conflict shows that of the last write.
#[derive(Debug, Default)]
pub(crate) struct ConflictForgetsTheTouch {
    written: Mutex<HashMap<Revision, Timestamp>>,
}

#[async_trait]
impl Bug for ConflictForgetsTheTouch {
    fn caught_by(&self) -> &'static str {
        "update_conflict_shows_a_moved_deadline"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let written = (record.revision, record.expires_at);
        self.written.lock().unwrap().insert(written.0, written.1);
        at.create(record).await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        match at.update(expected, record).await? {
            Update::Conflict(mut current) => {
                let written = self.written.lock().unwrap();
                if let Some(deadline) = written.get(&current.revision) {
                    current.expires_at = *deadline;
                }
                Ok(Update::Conflict(current))
            }
            answer => Ok(answer),
        }
    }
}
