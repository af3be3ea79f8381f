//! What a session has to write, and what came of it.
//!
//! Like all of the state, plain data under its lock; `commit` sends it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::body::{Body, Head, Writer};
use crate::changes::View;
use crate::events::Event;
use crate::live::Live;
use crate::manager::Shared;
use crate::state::{Absent, Base, Issue, State};
use crate::{
    DropReason, Effect, Error, Record, Revision, SessionId, SessionKey, StoreError, Timestamp,
};

/// A write that is ready to be sent, or was sent without an answer. Until its fate is known it is
/// sent again as it is: its revision makes that harmless.
#[derive(Clone)]
pub(crate) struct Attempt {
    write: Arc<Write>,
    /// It was sent before, and nobody knows whether it was applied.
    pub(crate) uncertain: bool,
}

#[derive(Clone)]
pub(crate) struct Write {
    /// `None`: a create.
    pub(crate) expected: Option<Revision>,
    pub(crate) live: Live,
    /// The token that it makes the current one, if it is another.
    id: Option<SessionId>,
    /// How many changes, from the beginning of the log on, it carries.
    pub(crate) covers: usize,
    issue: Option<Issue>,
    pub(crate) cycled: bool,
    signs_in: bool,
}

impl Deref for Attempt {
    type Target = Write;

    fn deref(&self) -> &Write {
        &self.write
    }
}

impl From<Write> for Attempt {
    fn from(write: Write) -> Self {
        Self {
            write: Arc::new(write),
            uncertain: false,
        }
    }
}

impl Attempt {
    /// Whether those who wait for the session's end are to look at it again: it may be somebody
    /// else's now, or end earlier.
    pub(crate) fn rings(&self) -> bool {
        matches!(self.issue, Some(Issue::Cycled | Issue::Lifetime))
    }
}

impl State {
    /// What has to be written, if anything. With `renew`, that includes what only keeps the
    /// client's copy fresh.
    pub(crate) fn prepare(
        &mut self,
        shared: &Shared,
        max_age: Option<Duration>,
        renew: bool,
    ) -> Result<Option<Attempt>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.lost {
            return Err(lost());
        }
        if self.attempt.is_none() {
            self.attempt = match &self.base {
                Base::Unknown | Base::Deleting(_) => None,
                Base::Ended if self.log.is_empty() => None,
                Base::Ended => return Err(self.ended()),
                Base::Absent(absent) if !self.log.is_empty() && self.is_overtaken(*absent) => {
                    return Err(self.overtaken());
                }
                Base::Absent(_) if !self.makes_a_session() => None,
                Base::Absent(_) if self.head_sent => {
                    self.drop_changes(DropReason::HeadSent);
                    return Err(Error::HeadSent);
                }
                Base::Absent(_) => Some(self.prepare_create(shared)?),
                Base::Live(_) => self.prepare_update(shared, max_age, renew)?,
            };
        }
        let Some(attempt) = &mut self.attempt else {
            return Ok(None);
        };
        let ready = attempt.clone();
        // Until the answer is there, its fate is unknown: whoever sends it may be dropped meanwhile.
        attempt.uncertain = true;
        Ok(Some(ready))
    }

    fn prepare_create(&mut self, shared: &Shared) -> Result<Attempt, Error> {
        let id = self.next_id(None, shared)?;
        let now = shared.clock.now();
        let head = Head {
            hash: shared.hasher.hash(&id),
            cycled_at: now,
            issued_at: now,
            written_at: now,
            lifetime: self.view.lifetime,
        };
        let lifetime = head.lifetime.unwrap_or(shared.lifetime);
        let body = self.encode(&id.key(), now, head, shared)?;
        let record = Record {
            key: id.key(),
            revision: Revision::fresh()?,
            subject: self.view.subject.clone(),
            created_at: now,
            expires_at: lifetime.deadline(now, now),
            body: body.bytes().clone(),
        };
        Ok(Write {
            expected: None,
            live: Live { record, body },
            id: Some(id),
            covers: self.log.len(),
            issue: Some(Issue::Created),
            cycled: false,
            signs_in: self.view.subject.is_some(),
        }
        .into())
    }

    fn prepare_update(
        &mut self,
        shared: &Shared,
        max_age: Option<Duration>,
        renew: bool,
    ) -> Result<Option<Attempt>, Error> {
        let Some(live @ Live { record, body }) = self.live() else {
            return Ok(None);
        };
        let now = shared.clock.now();
        let kept = shared.deadline_of_write(live, now);
        let changed = self.view.differs(body);
        let reissue = self.reissue_due(max_age, now);
        if !(changed || renew && reissue) {
            self.throw_away(self.log.len());
            self.view = View::default();
            if std::mem::take(&mut self.superseded) {
                self.base = Base::Absent(Absent::Superseded { late: true });
            }
            return Ok(None);
        }
        let Record {
            key,
            revision,
            created_at,
            ..
        } = *record;
        let (stored, mut head) = (record.subject.clone(), body.head.clone());
        let limits = head.lifetime;
        let cycled = self.view.cycle || self.view.subject.is_some();
        let issue = match () {
            () if cycled => Some(Issue::Cycled),
            () if self.view.lifetime.is_some() => Some(Issue::Lifetime),
            () => reissue.then_some(Issue::Renewal),
        };
        let mut id = None;
        if cycled {
            let next = self.next_id(Some(key), shared)?;
            head.hash = shared.hasher.hash(&next);
            head.cycled_at = now;
            id = Some(next);
        }
        if issue.is_some() {
            head.issued_at = now;
        }
        head.written_at = now;
        if self.view.other_user {
            head.lifetime = None;
        }
        head.lifetime = self.view.lifetime.or(head.lifetime);
        // The absolute lifetime of a signed-in session counts from the sign-in.
        let created_at = if self.view.subject.is_some() {
            now
        } else {
            created_at
        };
        let lifetime = head.lifetime.unwrap_or(shared.lifetime);
        let expires_at = if self.view.subject.is_none() && head.lifetime == limits {
            kept
        } else {
            lifetime.deadline(created_at, now)
        };
        let body = self.encode(&key, created_at, head, shared)?;
        let record = Record {
            key,
            revision: Revision::fresh()?,
            subject: self.view.subject.clone().or(stored),
            created_at,
            expires_at,
            body: body.bytes().clone(),
        };
        let write = Write {
            expected: Some(revision),
            live: Live { record, body },
            id,
            covers: self.log.len(),
            issue,
            cycled,
            signs_in: self.view.subject.is_some(),
        };
        Ok(Some(write.into()))
    }

    /// The body that a record of this key and creation time gets.
    fn encode(
        &self,
        key: &SessionKey,
        created_at: Timestamp,
        head: Head,
        shared: &Shared,
    ) -> Result<Body, Error> {
        let old = self.live().map(|live| &live.body);
        let room = old.map_or(256, |old| old.bytes().len() + 64);
        let write = |writer: &mut Writer| self.view.write(old, writer);
        let body = Body::encode(key, created_at, head, room, write);
        let size = body.bytes().len();
        if size > shared.max_size {
            return Err(Error::TooLarge {
                size,
                limit: shared.max_size,
            });
        }
        Ok(body)
    }

    /// The attempt was acknowledged.
    pub(crate) fn applied(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        tracing::debug!(
            key = %attempt.live.record.key,
            changes = ?&self.log[..attempt.covers.min(self.log.len())],
            created = attempt.expected.is_none(),
            cycled = attempt.cycled,
            "session written"
        );
        self.throw_away(attempt.covers);
        self.view.settle(&self.log);
        self.activity.created |= attempt.expected.is_none();
        self.activity.cycled |= attempt.cycled;
        self.activity.written += 1;
        // The first reason is the one that the client has not heard of yet.
        self.issue = self.issue.or(attempt.issue);
        self.tell_applied(&attempt);
        let Write { id, live, .. } = Arc::unwrap_or_clone(attempt.write);
        if id.is_some() {
            self.id = id;
        }
        self.next = None;
        self.base = if self.superseded {
            Base::Absent(Absent::Superseded { late: true })
        } else {
            Base::Live(live)
        };
        self.superseded = false;
    }

    fn tell_applied(&mut self, attempt: &Attempt) {
        let key = attempt.live.record.key;
        if attempt.expected.is_none() {
            self.tell(|| Event::Created { key });
        }
        match &attempt.live.record.subject {
            Some(subject) if attempt.signs_in => self.tell(|| Event::SignedIn {
                key,
                subject: Arc::clone(subject),
            }),
            _ if attempt.cycled => self.tell(|| Event::Cycled { key }),
            _ => {}
        }
    }

    /// The attempt failed, `error` says how far, and what is given what that comes to, if it was
    /// `uncertain` before. The changes stay, to be tried again.
    pub(crate) fn attempt_failed(&mut self, uncertain: bool, error: StoreError) -> StoreError {
        match (&self.attempt, error.effect()) {
            (Some(_), Effect::Unknown) => error,
            (Some(_), Effect::NotApplied) if uncertain => {
                StoreError::unknown("an earlier try may have been applied").caused_by(error)
            }
            _ => {
                self.attempt = None;
                error
            }
        }
    }

    /// A key was taken: the next attempt gets another.
    pub(crate) fn key_taken(&mut self) {
        (self.attempt, self.next) = (None, None);
    }

    /// Somebody else wrote `newer`. The changes may be made again on it, unless they are not this
    /// request's to make any more, or the attempt was `uncertain` before.
    pub(crate) fn conflict(&mut self, uncertain: bool, newer: &Live) -> Result<(), Error> {
        let attempt = self.attempt.take();
        let Some(Live { record, body }) = self.live() else {
            return Err(self.ended());
        };
        let hash = &newer.body.head.hash;
        let replaced = !body.head.hash.matches(hash);
        let other_user = record.subject != newer.record.subject;
        if let Some(attempt) = attempt.filter(|_| uncertain) {
            if attempt.cycled && attempt.live.body.head.hash.matches(hash) {
                // Nobody else can have written this hash: it was applied, and then changed.
                self.attempt = Some(attempt);
                self.applied();
                return Ok(());
            }
            if !attempt.cycled {
                // It was applied and then changed by others, or it was not: nobody can say, and
                // making the changes again could double them.
                if replaced {
                    self.overtaken();
                } else {
                    self.drop_changes(DropReason::InDoubt);
                    self.base = Base::Live(newer.clone());
                }
                self.lost = true;
                return Err(lost());
            }
            // Another hash: it was not applied, and will not be, since the record has moved on from
            // the revision that it expects.
        }
        if replaced && (self.view.needs_current_token() || other_user) {
            tracing::info!(key = %newer.record.key, "changes dropped: the token was replaced");
            return Err(self.overtaken());
        }
        if replaced {
            self.superseded = true;
            (self.id, self.issue, self.clear) = (None, None, false);
        }
        Ok(())
    }
}

fn lost() -> Error {
    StoreError::unknown("an earlier write may have been applied").into()
}
