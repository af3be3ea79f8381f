//! Touches that move, make or change what they should not.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use obsession_core::{Delete, Record, Revision, SessionKey, SessionStore, Timestamp, Touch};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<TouchShortens>(),
        Entry::of::<TouchCreates>(),
        Entry::of::<TouchRevivesDeleted>(),
        Entry::of::<TouchRevivesExpired>(),
        Entry::of::<TouchMakesARevision>(),
        Entry::of::<TouchIgnoresRevision>(),
        Entry::of::<TouchIsThrottled>(),
        Entry::of::<TouchAgainIsGone>(),
        Entry::of::<TouchForgetsTheSubject>(),
        Entry::of::<TouchCutsTheBody>(),
        Entry::of::<TouchMovesAll>(),
        Entry::of::<TouchDoesNothing>(),
    ]
}

/// The deadline is set, and not only moved on.
#[derive(Debug, Default)]
pub(crate) struct TouchShortens;

#[async_trait]
impl Bug for TouchShortens {
    fn caught_by(&self) -> &'static str {
        "touch_never_shortens"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let answer = at.touch(key, expected, expires_at).await?;
        if let (Touch::Touched, Some(mut record)) = (answer, at.live(key)?) {
            record.expires_at = expires_at;
            at.put(&record)?;
        }
        Ok(answer)
    }
}

/// A touch is an upsert of a row without a body.
#[derive(Debug, Default)]
pub(crate) struct TouchCreates;

#[async_trait]
impl Bug for TouchCreates {
    fn caught_by(&self) -> &'static str {
        "touch_of_an_unknown_key_does_not_create"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        match at.touch(key, expected, expires_at).await? {
            Touch::Gone => {
                at.put(&Record {
                    key: *key,
                    revision: expected,
                    subject: None,
                    created_at: at.now(),
                    expires_at,
                    body: [].into(),
                })?;
                Ok(Touch::Touched)
            }
            answer => Ok(answer),
        }
    }
}

/// A delete sets the deadline to now, and a touch moves it on again.
#[derive(Debug, Default)]
pub(crate) struct TouchRevivesDeleted {
    deleted: Mutex<HashMap<SessionKey, Record>>,
}

#[async_trait]
impl Bug for TouchRevivesDeleted {
    fn caught_by(&self) -> &'static str {
        "touch_of_a_deleted_record_does_not_revive_it"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let deleted = self.deleted.lock().unwrap().remove(key);
        if let Some(record) = deleted.filter(|record| record.revision == expected) {
            at.put(&record)?;
        }
        at.touch(key, expected, expires_at).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        if let Some(old) = at.live(key)? {
            self.deleted.lock().unwrap().insert(*key, old);
        }
        at.delete(key).await
    }
}

/// The condition of the touch says nothing of the deadline.
#[derive(Debug, Default)]
pub(crate) struct TouchRevivesExpired;

#[async_trait]
impl Bug for TouchRevivesExpired {
    fn caught_by(&self) -> &'static str {
        "touch_of_an_expired_record_does_not_revive_it"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        match at.row(key)? {
            Some(mut record) if record.revision == expected => {
                record.expires_at = record.expires_at.max(expires_at);
                at.put(&record).map(|()| Touch::Touched)
            }
            _ => at.touch(key, expected, expires_at).await,
        }
    }
}

/// A touch is a write like any other, with a revision of its own.
#[derive(Debug, Default)]
pub(crate) struct TouchMakesARevision;

#[async_trait]
impl Bug for TouchMakesARevision {
    fn caught_by(&self) -> &'static str {
        "touch_is_no_conflict_for_an_update"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let answer = at.touch(key, expected, expires_at).await?;
        if let (Touch::Touched, Some(mut record)) = (answer, at.live(key)?) {
            record.revision = Revision::from_u64(record.revision.as_u64() ^ 1);
            at.put(&record)?;
        }
        Ok(answer)
    }
}

/// A late touch moves the deadline of a session that was given a shorter lifetime meanwhile.
#[derive(Debug, Default)]
pub(crate) struct TouchIgnoresRevision;

#[async_trait]
impl Bug for TouchIgnoresRevision {
    fn caught_by(&self) -> &'static str {
        "touch_of_another_revision_changes_nothing"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let current = at.live(key)?.map_or(expected, |record| record.revision);
        at.touch(key, current, expires_at).await
    }
}

/// What is less than a second is not worth a write.
#[derive(Debug, Default)]
pub(crate) struct TouchIsThrottled;

#[async_trait]
impl Bug for TouchIsThrottled {
    fn caught_by(&self) -> &'static str {
        "touch_moves_by_a_millisecond"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let record = at.live(key)?.filter(|record| record.revision == expected);
        let gain = record.map(|record| expires_at.saturating_since(record.expires_at));
        if gain.is_some_and(|gain| gain < Duration::from_secs(1)) {
            return Ok(Touch::Touched);
        }
        at.touch(key, expected, expires_at).await
    }
}

/// A row that did not change is not counted as found.
#[derive(Debug, Default)]
pub(crate) struct TouchAgainIsGone;

#[async_trait]
impl Bug for TouchAgainIsGone {
    fn caught_by(&self) -> &'static str {
        "touch_again_is_touched"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let before = at.live(key)?;
        let answer = at.touch(key, expected, expires_at).await?;
        let changed = at.live(key)? != before;
        Ok(match answer {
            Touch::Touched if !changed => Touch::Gone,
            answer => answer,
        })
    }
}

/// The row is written again from what the statement had read, without one column.
#[derive(Debug, Default)]
pub(crate) struct TouchForgetsTheSubject;

#[async_trait]
impl Bug for TouchForgetsTheSubject {
    fn caught_by(&self) -> &'static str {
        "touch_moves_the_deadline_and_nothing_else"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let answer = at.touch(key, expected, expires_at).await?;
        if let (Touch::Touched, Some(mut record)) = (answer, at.live(key)?) {
            record.subject = None;
            at.put(&record)?;
        }
        Ok(answer)
    }
}

/// A long body is in pieces, and the first is taken for all.
#[derive(Debug, Default)]
pub(crate) struct TouchCutsTheBody;

#[async_trait]
impl Bug for TouchCutsTheBody {
    fn caught_by(&self) -> &'static str {
        "touch_keeps_a_large_body"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let answer = at.touch(key, expected, expires_at).await?;
        if let (Touch::Touched, Some(mut record)) = (answer, at.live(key)?) {
            record.body = (&record.body[..record.body.len().min(16 << 10)]).into();
            at.put(&record)?;
        }
        Ok(answer)
    }
}

/// A statement without its condition.
#[derive(Debug, Default)]
pub(crate) struct TouchMovesAll;

#[async_trait]
impl Bug for TouchMovesAll {
    fn caught_by(&self) -> &'static str {
        "touch_leaves_others_alone"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let answer = at.touch(key, expected, expires_at).await?;
        if answer == Touch::Touched {
            for other in at.all_live()? {
                let _ = at.touch(&other.key, other.revision, expires_at).await?;
            }
        }
        Ok(answer)
    }
}

/// The deadline is left to writes.
#[derive(Debug, Default)]
pub(crate) struct TouchDoesNothing;

#[async_trait]
impl Bug for TouchDoesNothing {
    fn caught_by(&self) -> &'static str {
        "touch_moves_the_deadline_and_nothing_else"
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        _expires_at: Timestamp,
    ) -> Answer<Touch> {
        at.touch(key, expected, at.now()).await
    }
}
