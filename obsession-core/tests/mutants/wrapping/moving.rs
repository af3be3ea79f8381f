//! Two stores that are meant to be one while records move from the old one to the new one.

use std::sync::Arc;

use async_trait::async_trait;
use obsession_core::{
    Delete, Record, Revision, SessionIndex, SessionKey, SessionStore, Timestamp, Touch, Update,
};

use crate::around::Inner;
use crate::bug::{Bug, Entry, mutant, run};
use crate::migrating::Migrating;
use crate::moves::{
    Moves, a_delete_during_a_move_is_not_undone, a_load_during_a_move_finds_the_record,
};
use crate::sound::Answer;

type Moving = Arc<Migrating<Inner>>;

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::around::<Moving, LooksOnceInTheNewOne>().own(a_load::<LooksOnceInTheNewOne>),
        Entry::around::<Moving, UpdatesTheOldOneAlone>(),
        Entry::around::<Moving, UpdatesACopy>(),
        Entry::around::<Moving, MovesToTheDeadlineAskedFor>(),
        Entry::around::<Moving, DeletesInTheNewOneAlone>(),
        Entry::around::<Moving, DeletesDuringAMove>().own(a_delete::<DeletesDuringAMove>),
        Entry::around::<Moving, CleansUpTheNewOneAlone>(),
        Entry::around::<Moving, CleansUpBothToTheLimit>(),
        Entry::around::<Moving, ListsBoth>(),
        Entry::around::<Moving, CountsBoth>(),
        Entry::around::<Moving, EndsASubjectInTheNewOneAlone>(),
    ]
}

fn a_load<B: Bug<Moving> + Default>() {
    let moves = Moves::new(mutant::<Moving, B>);
    run(a_load_during_a_move_finds_the_record(moves));
}

fn a_delete<B: Bug<Moving> + Default>() {
    let moves = Moves::new(mutant::<Moving, B>);
    run(a_delete_during_a_move_is_not_undone(moves));
}

/// A record that is moved between the two looks is nowhere.
#[derive(Debug, Default)]
struct LooksOnceInTheNewOne;

#[async_trait]
impl Bug<Moving> for LooksOnceInTheNewOne {
    fn caught_by(&self) -> &'static str {
        "a_load_during_a_move_finds_the_record"
    }

    async fn load(&self, at: &Moving, key: &SessionKey) -> Answer<Option<Record>> {
        if let Some(record) = at.new.load(key).await? {
            return Ok(Some(record));
        }
        at.old.load(key).await
    }
}

/// What the old store has is updated there, and what is in the new one not at all.
#[derive(Debug, Default)]
struct UpdatesTheOldOneAlone;

#[async_trait]
impl Bug<Moving> for UpdatesTheOldOneAlone {
    fn caught_by(&self) -> &'static str {
        "touch_is_no_conflict_for_an_update"
    }

    async fn update(&self, at: &Moving, expected: Revision, record: &Record) -> Answer<Update> {
        at.old.update(expected, record).await
    }
}

/// The record stays in the old store when it is updated, "in case we have to go back".
#[derive(Debug, Default)]
struct UpdatesACopy;

#[async_trait]
impl Bug<Moving> for UpdatesACopy {
    fn caught_by(&self) -> &'static str {
        "update_may_end_it"
    }

    async fn update(&self, at: &Moving, expected: Revision, record: &Record) -> Answer<Update> {
        if let Some(old) = at.old.load(&record.key).await? {
            let _ = at.new.create(&old).await?;
        }
        at.new.update(expected, record).await
    }
}

/// A touch that finds the record in the old store moves it with the deadline that it was given.
#[derive(Debug, Default)]
struct MovesToTheDeadlineAskedFor;

#[async_trait]
impl Bug<Moving> for MovesToTheDeadlineAskedFor {
    fn caught_by(&self) -> &'static str {
        "touch_never_shortens"
    }

    async fn touch(
        &self,
        at: &Moving,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let locked = at.moving.lock().await;
        let old = at.old.load(key).await?;
        if let Some(old) = old.filter(|old| old.revision == expected) {
            let _ = at.new.create(&Record { expires_at, ..old }).await?;
            let _ = at.old.delete(key).await?;
        }
        drop(locked);
        at.touch(key, expected, expires_at).await
    }
}

/// The record is moved and ended, and what it was moved from is left.
#[derive(Debug, Default)]
struct DeletesInTheNewOneAlone;

#[async_trait]
impl Bug<Moving> for DeletesInTheNewOneAlone {
    fn caught_by(&self) -> &'static str {
        "delete_ends_the_record"
    }

    async fn delete(&self, at: &Moving, key: &SessionKey) -> Answer<Delete> {
        if let Some(old) = at.old.load(key).await? {
            let _ = at.new.create(&old).await?;
        }
        at.new.delete(key).await
    }
}

/// A move that has read the record already brings it to the new store after the delete.
#[derive(Debug, Default)]
struct DeletesDuringAMove;

#[async_trait]
impl Bug<Moving> for DeletesDuringAMove {
    fn caught_by(&self) -> &'static str {
        "a_delete_during_a_move_is_not_undone"
    }

    async fn delete(&self, at: &Moving, key: &SessionKey) -> Answer<Delete> {
        let in_old = at.old.delete(key).await?;
        let in_new = at.new.delete(key).await?;
        Ok(match (in_old, in_new) {
            (Delete::Gone, Delete::Gone) => Delete::Gone,
            _ => Delete::Deleted,
        })
    }
}

/// "The old store will be dropped anyway."
#[derive(Debug, Default)]
struct CleansUpTheNewOneAlone;

#[async_trait]
impl Bug<Moving> for CleansUpTheNewOneAlone {
    fn caught_by(&self) -> &'static str {
        "cleanup_removes_the_expired_and_nothing_else"
    }

    async fn delete_expired(&self, at: &Moving, limit: usize) -> Answer<usize> {
        at.new.delete_expired(limit).await
    }
}

/// Each store is given the whole limit.
#[derive(Debug, Default)]
struct CleansUpBothToTheLimit;

#[async_trait]
impl Bug<Moving> for CleansUpBothToTheLimit {
    fn caught_by(&self) -> &'static str {
        "cleanup_keeps_to_its_limit"
    }

    async fn delete_expired(&self, at: &Moving, limit: usize) -> Answer<usize> {
        Ok(at.old.delete_expired(limit).await? + at.new.delete_expired(limit).await?)
    }
}

/// What a move has left twice is listed twice.
#[derive(Debug, Default)]
struct ListsBoth;

#[async_trait]
impl Bug<Moving> for ListsBoth {
    fn caught_by(&self) -> &'static str {
        "cancel_of_an_update_leaves_the_index_right"
    }

    async fn list(
        &self,
        at: &Moving,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut records = at.old.list(subject, after, limit).await?;
        records.extend(at.new.list(subject, after, limit).await?);
        records.sort_by_key(|record| record.key);
        records.truncate(limit);
        Ok(records)
    }
}

/// What a move has left twice counts twice.
#[derive(Debug, Default)]
struct CountsBoth;

#[async_trait]
impl Bug<Moving> for CountsBoth {
    fn caught_by(&self) -> &'static str {
        "cancel_of_an_update_leaves_the_index_right"
    }

    async fn count(&self, at: &Moving) -> Answer<u64> {
        Ok(at.old.count().await? + at.new.count().await?)
    }
}

/// Who is not in the new store yet stays signed in.
#[derive(Debug, Default)]
struct EndsASubjectInTheNewOneAlone;

#[async_trait]
impl Bug<Moving> for EndsASubjectInTheNewOneAlone {
    fn caught_by(&self) -> &'static str {
        "index_deletes_all_of_a_subject_but_one"
    }

    async fn delete_subject(
        &self,
        at: &Moving,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        at.new.delete_subject(subject, except).await
    }
}
