//! Where a session stands: what was loaded, what was changed, what is on its way to the store.
//!
//! Everything here is plain data under one lock that is never held across an await or while code
//! of the application runs. The awaiting is done in `commit`.

use std::time::Duration;

use crate::activity::Activity;
use crate::attempt::Attempt;
use crate::body::Body;
use crate::changes::{Change, Overwritten, View};
use crate::events::Event;
use crate::failure::Failure;
use crate::live::Live;
use crate::manager::Shared;
use crate::{DropReason, Error, Record, SessionId, SessionKey, Timestamp};

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

impl Base {
    /// What was found, and what it was judged to be.
    #[inline]
    pub(crate) fn new(found: Option<Record>, judged: Result<Body, Absent>) -> Self {
        match (found, judged) {
            (Some(record), Ok(body)) => Self::Live(Live { record, body }),
            (_, Err(absent)) => Self::Absent(absent),
            (None, Ok(_)) => Self::Absent(Absent::NotFound),
        }
    }

    /// Whether another request has replaced the token a moment ago.
    pub(crate) fn is_replaced_just_now(&self) -> bool {
        matches!(self, Self::Absent(Absent::Superseded { late: true }))
    }
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
    pub(crate) next: Option<SessionId>,
    pub(crate) presented: bool,
    pub(crate) closed: bool,
    /// The route that must not use it, if this is one.
    pub(crate) marked: Option<&'static str>,
    /// The head of the response counts as sent, so no cookie can be set any more.
    pub(crate) head_sent: bool,
    /// How long calls of the store have taken up to there.
    pub(crate) spent: Duration,
    /// How the last look, save or delete failed, if it was not the application's fault.
    pub(crate) failure: Option<Failure>,
    /// What a guard could not encode when it was dropped.
    pub(crate) failed: Option<Error>,
    /// The application was told that the pending changes can not be written, and has made no
    /// others since. They are not tried again behind its back.
    pub(crate) refused: bool,
    /// Of the last changes nobody can say whether they were written, and no others were made since.
    pub(crate) lost: bool,
    /// Another request has replaced the token since this one loaded the session. What this one had
    /// changed by then may still be written, and that is all that it may do.
    pub(crate) superseded: bool,
    /// A delete of this request may have been applied.
    pub(crate) delete_in_doubt: bool,
    /// How often changes were dropped that somebody may be waiting for.
    pub(crate) drops: u32,
    /// How often somebody tried to make a change.
    pub(crate) pushes: u32,
    pub(crate) activity: Activity,
    /// Changes that are done with. They hold code and values of the application, whose `Drop` may
    /// use the session, so they are dropped without the lock.
    pub(crate) trash: Vec<Change>,
    /// Whether somebody listens to events, and what they are to be told once the lock is free.
    observed: bool,
    pub(crate) news: Vec<Event>,
    /// The client is to be sent its token, because of this.
    pub(crate) issue: Option<Issue>,
    pub(crate) clear: bool,
}

/// Why a client is sent a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Issue {
    Created,
    Cycled,
    Lifetime,
    Renewal,
}

impl State {
    pub(crate) fn new(observed: bool) -> Self {
        Self {
            base: Base::Unknown,
            log: Vec::new(),
            view: View::default(),
            attempt: None,
            id: None,
            next: None,
            presented: false,
            closed: false,
            marked: None,
            head_sent: false,
            spent: Duration::ZERO,
            failure: None,
            failed: None,
            refused: false,
            lost: false,
            superseded: false,
            delete_in_doubt: false,
            drops: 0,
            pushes: 0,
            activity: Activity::default(),
            trash: Vec::new(),
            observed,
            news: Vec::new(),
            issue: None,
            clear: false,
        }
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.base {
            Base::Live(live) => Some(live),
            _ => None,
        }
    }

    /// The record, as far as this request may see it: not what the holder of a newer token wrote.
    pub(crate) fn shown(&self) -> Option<&Live> {
        self.live().filter(|_| !self.superseded)
    }

    pub(crate) fn body(&self) -> Option<&Body> {
        self.shown().map(|live| &live.body)
    }

    /// Whether the store has still to be asked what there is.
    pub(crate) fn is_to_be_looked_at(&self) -> bool {
        matches!(self.base, Base::Unknown | Base::Deleting(_))
    }

    /// Whether a delete of this request is under way.
    pub(crate) fn is_deleting(&self) -> bool {
        matches!(self.base, Base::Deleting(_))
    }

    /// Whether this request has deleted it.
    pub(crate) fn is_deleted(&self) -> bool {
        matches!(self.base, Base::Absent(Absent::Deleted))
    }

    /// The session of `id` was loaded. The changes made so far are the same over whatever was found, but
    /// for a sign-in, which depends on who was signed in before.
    pub(crate) fn loaded(&mut self, id: SessionId) -> Result<(), Error> {
        self.activity.loaded = true;
        (self.presented, self.failure) = (true, None);
        self.id = self.live().is_some().then_some(id);
        if let Base::Live(live) = &self.base
            && self.view.subject.is_some()
        {
            self.view = View::default();
            for change in &mut self.log {
                self.view.apply(change, Some(live))?;
            }
        }
        Ok(())
    }

    /// Adds a change that runs no code of the application.
    pub(crate) fn push(&mut self, mut change: Change) -> Result<(), Error> {
        self.check_open()?;
        if self.head_sent && change.needs_cookie() {
            return Err(Error::HeadSent);
        }
        if change.puts() {
            self.check_place()?;
        }
        self.forget_overwritten(&change.overwrites());
        let live = match &self.base {
            Base::Live(live) => Some(live),
            _ => None,
        };
        self.view.apply(&mut change, live)?;
        self.log.push(change);
        Ok(())
    }

    /// Takes what a new change of `name` makes void out of the log: it grows no longer than it must,
    /// and a change that can not be made again is no longer in the way.
    fn forget_overwritten(&mut self, overwritten: &Overwritten<'_>) {
        let needed = match overwritten {
            Overwritten::Nothing => false,
            // The view does not tell what was changed before another user signed in.
            Overwritten::Entry(name) => self.view.changes(name) || self.view.other_user,
            Overwritten::Everything => true,
        };
        if needed {
            let sent = self.attempt.as_ref().map_or(0, |attempt| attempt.covers);
            let unsent = sent.min(self.log.len())..;
            let void = |change: &mut Change| change.is_void_after(overwritten);
            self.trash.extend(self.log.extract_if(unsent, void));
        }
    }

    /// Whether a change can still be made.
    pub(crate) fn check_open(&mut self) -> Result<(), Error> {
        self.check_mark()?;
        self.activity.looked = true;
        if self.closed {
            return Err(Error::Closed);
        }
        (self.refused, self.lost) = (false, false);
        self.pushes += 1;
        let ended = match self.base {
            Base::Live(_) => self.superseded,
            Base::Ended | Base::Deleting(_) => true,
            // Signing in is always possible; other changes by a late request are not.
            Base::Absent(absent) => self.is_overtaken(absent),
            Base::Unknown => false,
        };
        // Not yet for a sign-in itself, which goes through `push_sign_in`.
        if ended { Err(Error::Ended) } else { Ok(()) }
    }

    /// Whether a value can be put in: that of a new session would need a cookie.
    pub(crate) fn check_place(&self) -> Result<(), Error> {
        if self.head_sent && matches!(self.base, Base::Absent(_)) {
            return Err(Error::HeadSent);
        }
        Ok(())
    }

    /// Whether all that was changed will be dropped: another request has just replaced the token,
    /// and this one does not sign in.
    pub(crate) fn is_overtaken(&self, absent: Absent) -> bool {
        absent == Absent::Superseded { late: true } && self.view.subject.is_none()
    }

    /// Adds a sign-in, which is possible for whoever presents a token that is no longer good.
    pub(crate) fn push_sign_in(&mut self, change: Change) -> Result<(), Error> {
        if let Base::Absent(Absent::Superseded { late: true }) = self.base
            && !self.closed
        {
            self.base = Base::Absent(Absent::NotFound);
        }
        self.push(change)
    }

    /// Notes what is to be told.
    pub(crate) fn tell(&mut self, event: impl FnOnce() -> Event) {
        if self.observed {
            self.news.push(event());
        }
    }

    pub(crate) fn drop_changes(&mut self, why: DropReason) {
        if !self.log.is_empty() {
            self.activity.dropped = true;
            self.tell_dropped(why);
        }
        self.forget();
        self.next = None;
    }

    pub(crate) fn tell_dropped(&mut self, why: DropReason) {
        let stored = self.live().map(|live| live.record.key);
        self.tell(|| Event::Dropped { key: stored, why });
    }

    /// Empties the log.
    pub(crate) fn forget(&mut self) {
        self.drops += u32::from(!self.log.is_empty());
        self.throw_away(self.log.len());
        self.view = View::default();
    }

    /// Takes the first changes out of the log, to be dropped without the lock.
    pub(crate) fn throw_away(&mut self, count: usize) {
        if count >= self.log.len() && self.trash.is_empty() {
            std::mem::swap(&mut self.log, &mut self.trash);
        } else {
            let done = self.log.drain(..count.min(self.log.len()));
            self.trash.extend(done);
        }
    }

    /// Drops the changes that can not be written, of which the application was told.
    pub(crate) fn drop_refused(&mut self) {
        if self.refused || self.lost {
            self.drop_changes(DropReason::Refused);
            self.lost = false;
        }
    }

    /// Whether there is something to write, or that could not be encoded.
    pub(crate) fn is_changed(&self) -> bool {
        !self.log.is_empty() || self.attempt.is_some() || self.failed.is_some()
    }

    /// Drops the changes that no call to the store carries.
    pub(crate) fn forget_unsent(&mut self) {
        let sent = self.attempt.as_ref().map_or(0, |attempt| attempt.covers);
        if sent < self.log.len() || self.failed.is_some() {
            self.tell_dropped(DropReason::HandlerFailed);
        }
        self.failed = None;
        match &self.attempt {
            Some(attempt) if attempt.covers < self.log.len() => {
                self.trash.extend(self.log.drain(attempt.covers..));
                self.drops += 1;
            }
            Some(_) => {}
            None => self.forget(),
        }
    }

    /// The session was ended by another request.
    pub(crate) fn ended(&mut self) -> Error {
        self.over(Base::Ended, DropReason::Ended)
    }

    /// The session turned out to be gone: ended by another request, or over by itself.
    pub(crate) fn ended_at(&mut self, now: Timestamp) -> Error {
        if let Some(record) = self.live().map(|live| &live.record)
            && !record.is_live(now)
        {
            let key = record.key;
            self.tell(|| Event::Expired { key });
        }
        self.ended()
    }

    /// Another request has replaced the token, and what this one wants is for its holder to do.
    pub(crate) fn overtaken(&mut self) -> Error {
        let base = Base::Absent(Absent::Superseded { late: true });
        self.over(base, DropReason::Replaced)
    }

    fn over(&mut self, base: Base, why: DropReason) -> Error {
        self.drop_changes(why);
        self.base = base;
        (self.attempt, self.id, self.superseded) = (None, None, false);
        // Neither is an earlier delete for this request to tell: there is a newer token by now.
        (self.issue, self.clear) = (None, false);
        Error::Ended
    }

    /// This request's delete was acknowledged, or there was nothing to delete.
    pub(crate) fn deleted(&mut self) {
        self.forget();
        (self.attempt, self.failed, self.lost) = (None, None, false);
        self.delete_in_doubt = false;
        (self.id, self.next, self.issue) = (None, None, None);
        // A second one has nothing to add to what the first has found.
        if !self.is_deleted() {
            self.clear = self.presented;
        }
        self.base = Base::Absent(Absent::Deleted);
    }

    /// The delete found that another request had ended the session: the client may have another
    /// token by now.
    pub(crate) fn deleted_by_others(&mut self) {
        self.deleted();
        self.clear = false;
    }

    /// The token that the client will hold when the pending changes are saved.
    pub(crate) fn future_id(&mut self, shared: &Shared) -> Result<Option<SessionId>, Error> {
        let key = match &self.base {
            Base::Live(live) if self.view.cycle || self.view.subject.is_some() => {
                Some(live.record.key)
            }
            Base::Live(_) => return Ok(self.id.clone()),
            Base::Absent(absent) if self.makes_a_session() && !self.is_overtaken(*absent) => None,
            _ => return Ok(None),
        };
        self.next_id(key, shared).map(Some)
    }

    pub(crate) fn next_id(
        &mut self,
        key: Option<SessionKey>,
        shared: &Shared,
    ) -> Result<SessionId, Error> {
        if let Some(id) = &self.next {
            return Ok(id.clone());
        }
        let id = match key {
            Some(key) => SessionId::cycled(key, shared.random)?,
            None => SessionId::generate(shared.random)?,
        };
        Ok(self.next.insert(id).clone())
    }

    /// Whether nobody has looked at the session or tried to change it.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.activity.looked && self.pushes == 0 && matches!(self.base, Base::Unknown)
    }

    /// Whether there would be something in a session made of the changes.
    pub(crate) fn makes_a_session(&self) -> bool {
        self.view.subject.is_some() || self.view.entries(None).next().is_some()
    }
}
