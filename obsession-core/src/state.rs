//! Where a session stands: what was loaded, what was changed, what is on its way to the store.
//!
//! Everything here is plain data under one lock that is never held across an await or while code
//! of the application runs. The awaiting is done in `commit`.

use std::time::Duration;

use crate::activity::{Activity, ClientAction};
use crate::body::{Body, Head};
use crate::changes::{Change, View};
use crate::live::Live;
use crate::manager::Shared;
use crate::{Error, Record, Revision, SessionId, SessionKey, StoreError, Timestamp};

/// What the client's token was found to give the right to.
pub(crate) enum Base {
    /// Not looked at yet.
    Unknown,
    Absent(Absent),
    Live(Live),
    /// A delete was begun and its answer has not been seen.
    Deleting(Live),
    /// Ended by another request. Changes can not be made any more.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Absent {
    /// The client presented no usable id.
    NoId,
    /// There is no such session (any more).
    NotFound,
    /// The session lives on under a newer token; `late` if that happened a moment ago, so that
    /// this is likely a request that was under way.
    Superseded { late: bool },
    /// This request deleted it.
    Deleted,
}

/// A write that is ready to be sent, or was sent without an answer. Until its fate is known it is
/// sent again as it is: its revision makes that harmless.
#[derive(Clone)]
pub(crate) struct Attempt {
    /// `None`: a create.
    pub(crate) expected: Option<Revision>,
    pub(crate) live: Live,
    /// It was sent before, and nobody knows whether it was applied.
    pub(crate) uncertain: bool,
    id: Option<SessionId>,
    covers: usize,
    issue: bool,
    cycled: bool,
}

#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts, each of one bit"
)]
pub(crate) struct State {
    pub(crate) base: Base,
    pub(crate) log: Vec<Change>,
    pub(crate) view: View,
    pub(crate) attempt: Option<Attempt>,
    /// The token that the client holds, or is to be sent. Nothing once another request has
    /// replaced it.
    pub(crate) id: Option<SessionId>,
    /// The token that the pending changes will bring.
    next: Option<SessionId>,
    pub(crate) presented: bool,
    pub(crate) closed: bool,
    /// What a guard could not encode when it was dropped.
    pub(crate) failed: Option<Error>,
    /// The application was told that the pending changes can not be written, and has made no
    /// others since. They are not tried again behind its back.
    pub(crate) refused: bool,
    pub(crate) activity: Activity,
    issue: bool,
    clear: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            base: Base::Unknown,
            log: Vec::new(),
            view: View::default(),
            attempt: None,
            id: None,
            next: None,
            presented: false,
            closed: false,
            failed: None,
            refused: false,
            activity: Activity::default(),
            issue: false,
            clear: false,
        }
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.base {
            Base::Live(live) => Some(live),
            _ => None,
        }
    }

    pub(crate) fn body(&self) -> Option<&Body> {
        self.live().map(|live| &live.body)
    }

    /// Adds a change that runs no code of the application.
    pub(crate) fn push(&mut self, mut change: Change) -> Result<(), Error> {
        self.check_open()?;
        let body = match &self.base {
            Base::Live(live) => Some(&live.body),
            _ => None,
        };
        self.view.apply(&mut change, body)?;
        self.log.push(change);
        Ok(())
    }

    /// Whether a change can still be made.
    pub(crate) fn check_open(&mut self) -> Result<(), Error> {
        self.activity.looked = true;
        if self.closed {
            return Err(Error::Closed);
        }
        self.refused = false;
        let ended = match self.base {
            Base::Ended => true,
            // Signing in is always possible; other changes by a late request are not.
            Base::Absent(Absent::Superseded { late }) => late && self.view.subject.is_none(),
            _ => false,
        };
        // Not yet for a sign-in itself, which goes through `push_sign_in`.
        if ended { Err(Error::Ended) } else { Ok(()) }
    }

    /// Adds a sign-in, which is possible for whoever presents a token that is no longer good.
    pub(crate) fn push_sign_in(&mut self, change: Change) -> Result<(), Error> {
        if let Base::Absent(Absent::Superseded { late: true }) = self.base {
            self.base = Base::Absent(Absent::NotFound);
        }
        self.push(change)
    }

    pub(crate) fn drop_changes(&mut self) {
        self.activity.dropped |= !self.log.is_empty();
        self.log.clear();
        self.view = View::default();
        self.next = None;
    }

    /// The session was ended by another request.
    pub(crate) fn ended(&mut self) -> Error {
        self.drop_changes();
        self.base = Base::Ended;
        (self.id, self.issue) = (None, false);
        Error::Ended
    }

    /// This request's delete was acknowledged, or there was nothing to delete.
    pub(crate) fn deleted(&mut self) {
        self.log.clear();
        self.view = View::default();
        (self.id, self.next, self.issue) = (None, None, false);
        self.clear = self.presented;
        self.base = Base::Absent(Absent::Deleted);
    }

    /// The token that the client will hold when the pending changes are saved.
    pub(crate) fn future_id(&mut self, shared: &Shared) -> Result<Option<SessionId>, Error> {
        let key = match &self.base {
            Base::Live(live) if self.view.cycle || self.view.subject.is_some() => {
                Some(live.record.key)
            }
            Base::Live(_) => return Ok(self.id.clone()),
            Base::Absent(_) if self.makes_a_session() => None,
            _ => return Ok(None),
        };
        self.next_id(key, shared).map(Some)
    }

    fn next_id(&mut self, key: Option<SessionKey>, shared: &Shared) -> Result<SessionId, Error> {
        if let Some(id) = &self.next {
            return Ok(id.clone());
        }
        let id = match key {
            Some(key) => SessionId::cycled(key, shared.random)?,
            None => SessionId::generate(shared.random)?,
        };
        Ok(self.next.insert(id).clone())
    }

    /// Whether there would be something in a session made of the changes.
    fn makes_a_session(&self) -> bool {
        self.view.subject.is_some() || self.view.entries(None).next().is_some()
    }

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
        if self.attempt.is_none() {
            self.attempt = match &self.base {
                Base::Unknown | Base::Deleting(_) => None,
                Base::Ended if self.log.is_empty() => None,
                Base::Ended => return Err(self.ended()),
                Base::Absent(Absent::Superseded { late: true })
                    if !self.log.is_empty() && self.view.subject.is_none() =>
                {
                    return Err(self.ended());
                }
                Base::Absent(_) if !self.makes_a_session() => None,
                Base::Absent(_) => Some(self.prepare_create(shared)?),
                Base::Live(_) => self.prepare_update(shared, max_age, renew)?,
            };
        }
        Ok(self.attempt.clone())
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
        let record = Record {
            key: id.key(),
            revision: Revision::fresh()?,
            subject: self.view.subject.clone(),
            created_at: now,
            expires_at: lifetime.deadline(now, now),
            body: [].into(),
        };
        Ok(Attempt {
            expected: None,
            live: self.encode(record, head, shared)?,
            uncertain: false,
            id: Some(id),
            covers: self.log.len(),
            issue: true,
            cycled: false,
        })
    }

    fn prepare_update(
        &mut self,
        shared: &Shared,
        max_age: Option<Duration>,
        renew: bool,
    ) -> Result<Option<Attempt>, Error> {
        let Some(Live { record, body }) = self.live() else {
            return Ok(None);
        };
        let now = shared.clock.now();
        let changed = self.view.differs(body);
        let reissue = self.id.is_some() && reissue_due(body, max_age, now);
        if !(changed || renew && reissue) {
            self.log.clear();
            self.view = View::default();
            return Ok(None);
        }
        let (record, mut head) = (record.clone(), body.head.clone());
        let cycled = self.view.cycle || self.view.subject.is_some();
        let issue = cycled || self.view.lifetime.is_some() || reissue;
        let mut id = self.id.clone();
        if cycled {
            let next = self.next_id(Some(record.key), shared)?;
            head.hash = shared.hasher.hash(&next);
            head.cycled_at = now;
            id = Some(next);
        }
        if issue {
            head.issued_at = now;
        }
        head.written_at = now;
        head.lifetime = self.view.lifetime.or(head.lifetime);
        // The absolute lifetime of a signed-in session counts from the sign-in.
        let created_at = if self.view.subject.is_some() {
            now
        } else {
            record.created_at
        };
        let lifetime = head.lifetime.unwrap_or(shared.lifetime);
        let expected = Some(record.revision);
        let record = Record {
            revision: Revision::fresh()?,
            subject: self.view.subject.clone().or(record.subject),
            created_at,
            expires_at: lifetime.deadline(created_at, now),
            ..record
        };
        let live = self.encode(record, head, shared)?;
        let covers = self.log.len();
        Ok(Some(Attempt {
            expected,
            live,
            uncertain: false,
            id,
            covers,
            issue,
            cycled,
        }))
    }

    fn encode(&self, mut record: Record, head: Head, shared: &Shared) -> Result<Live, Error> {
        let entries = self.view.entries(self.body());
        let body = Body::encode(&record.key, record.created_at, head, entries);
        let size = body.bytes().len();
        if size > shared.max_size {
            return Err(Error::TooLarge {
                size,
                limit: shared.max_size,
            });
        }
        record.body = body.bytes().clone();
        Ok(Live { record, body })
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
        self.log.drain(..attempt.covers.min(self.log.len()));
        self.view.settle(&self.log);
        self.activity.created |= attempt.expected.is_none();
        self.activity.cycled |= attempt.cycled;
        self.activity.written += 1;
        self.issue |= attempt.issue;
        (self.id, self.next) = (attempt.id, None);
        self.base = Base::Live(attempt.live);
    }

    /// The attempt failed, `error` says how far. The changes stay, to be tried again.
    pub(crate) fn attempt_failed(&mut self, error: &StoreError) {
        match (&mut self.attempt, error.effect()) {
            (Some(attempt), crate::Effect::Unknown) => attempt.uncertain = true,
            // An earlier send of it may still have been applied.
            (Some(attempt), crate::Effect::NotApplied) if attempt.uncertain => {}
            _ => self.attempt = None,
        }
    }

    /// A key was taken: the next attempt gets another.
    pub(crate) fn key_taken(&mut self) {
        (self.attempt, self.next) = (None, None);
    }

    /// Somebody else wrote `newer`. The changes may be made again on it, unless they are not this
    /// request's to make any more.
    pub(crate) fn conflict(&mut self, newer: &Live) -> Result<(), Error> {
        let attempt = self.attempt.take();
        self.next = None;
        if attempt.is_some_and(|attempt| attempt.uncertain) {
            // It was applied and then changed by others, or it was not: nobody can say, and making
            // the changes again could double them.
            self.drop_changes();
            self.base = Base::Live(newer.clone());
            return Err(StoreError::unknown("an earlier write may have been applied").into());
        }
        let Some(Live { record, body }) = self.live() else {
            return Err(self.ended());
        };
        let replaced = !body.head.hash.matches(&newer.body.head.hash);
        let other_user = record.subject.is_some() && record.subject != newer.record.subject;
        if replaced && (self.view.needs_current_token() || other_user) {
            tracing::info!(key = %newer.record.key, "changes dropped: the token was replaced");
            return Err(self.ended());
        }
        if replaced {
            (self.id, self.issue) = (None, false);
        }
        Ok(())
    }

    /// What the client is to be told about all that has been acknowledged.
    pub(crate) fn client_action(&self, shared: &Shared, max_age: Option<Duration>) -> ClientAction {
        match (&self.base, &self.id) {
            (Base::Live(live), Some(id)) if self.issue => {
                let limit = shared.effective(&live.body).limit(live.record.created_at);
                let rest = limit.saturating_since(shared.clock.now());
                let max_age = keep_for(&live.body, max_age).map(|keep| keep.min(rest));
                ClientAction::Set {
                    id: id.clone(),
                    max_age,
                }
            }
            (Base::Absent(_), _) if self.clear => ClientAction::Clear,
            _ => ClientAction::Keep,
        }
    }

    /// Whether the client's copy should be renewed.
    pub(crate) fn reissue_due(&self, max_age: Option<Duration>, now: Timestamp) -> bool {
        self.id.is_some()
            && self
                .body()
                .is_some_and(|body| reissue_due(body, max_age, now))
    }
}

/// How long the client is told to keep its token: the session's own word goes before the
/// transport's.
fn keep_for(body: &Body, max_age: Option<Duration>) -> Option<Duration> {
    match body.head.lifetime {
        Some(own) => own.is_persistent().then(|| own.idle()),
        None => max_age,
    }
}

fn reissue_due(body: &Body, max_age: Option<Duration>, now: Timestamp) -> bool {
    // A stamp of its own: were it the time of the last write, a session that is written on every
    // request would never be sent again, and its active user would be logged out.
    keep_for(body, max_age)
        .is_some_and(|keep| now.saturating_since(body.head.issued_at) >= keep / 8)
}
