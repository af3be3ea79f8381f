//! The end of a request: what is still to be written, and what the client is to be told.

use crate::locked::Locked;
use crate::session::Session;
use crate::state::{Absent, Base, State};
use crate::until::Until;
use crate::{ClientAction, DropReason, Effect, Error, Presented, Touch};

impl Session {
    /// For transports: closes the session, and answers at once if that takes no I/O.
    ///
    /// `keep` says whether changes that have not been saved are to be, or to be dropped. From here
    /// on changes are an [`Error::Closed`].
    #[must_use]
    pub fn try_finish(&self, keep: bool) -> Option<ClientAction> {
        let mut state = self.state();
        state.closed = true;
        // As in most requests.
        if state.is_untouched() {
            return Some(ClientAction::Keep);
        }
        self.try_end(state, keep)
    }

    /// For transports: the same at the head of a response whose body the application still makes.
    /// The session stays open for changes that need no cookie, until [`finish`](Self::finish); others
    /// are an [`Error::HeadSent`] from here on.
    #[must_use]
    pub fn try_finish_head(&self, keep: bool) -> Option<ClientAction> {
        let unknown = matches!(self.state().base, Base::Unknown);
        let absent = unknown && !self.presents_an_id();
        let mut state = self.state();
        state.head_sent = true;
        // So that the first value of a session that there can not be any more is an error at once.
        if absent && matches!(state.base, Base::Unknown) && state.log.is_empty() {
            state.base = Base::Absent(Absent::NoId);
        }
        self.try_end(state, keep)
    }

    fn presents_an_id(&self) -> bool {
        match self.0.source.presented() {
            Presented::Id(_) | Presented::Several(_) => true,
            Presented::Nothing | Presented::Malformed | Presented::Ambiguous => false,
        }
    }

    fn try_end(&self, mut state: Locked<'_>, keep: bool) -> Option<ClientAction> {
        // What was refused is dropped.
        let refused = state.refused || state.lost;
        let pending = !state.log.is_empty() && !refused || state.failed.is_some();
        if state.attempt.is_some() || state.is_deleting() || keep && pending {
            return None;
        }
        // A clone of this handle may be in the middle of a save.
        let _io = self.0.io.try_lock().ok()?;
        state.drop_refused();
        if let (true, Some(live)) = (keep, state.live()) {
            let shared = &self.0.manager.shared;
            let now = shared.clock.now();
            let renewal = state.reissue_due(self.0.source.max_age(), now);
            if renewal || shared.touch_due(live, now).is_some() {
                return None;
            }
        }
        state.forget_unsent();
        Some(self.outcome(&mut state))
    }

    /// What to tell the client. After the head nothing can be told any more.
    fn outcome(&self, state: &mut State) -> ClientAction {
        if state.closed && state.head_sent {
            return ClientAction::Keep;
        }
        self.news(state)
    }

    /// For transports: closes the session, saves or drops what is pending, moves the deadline if
    /// that is due, and says what to tell the client.
    ///
    /// Run it where a disconnecting client cannot drop it. A session that was ended by another
    /// request is no error: its changes are dropped, and the client is told nothing.
    ///
    /// # Errors
    ///
    /// As for [`save`](Self::save), but never [`Error::Ended`]. The client must be told all the same
    /// what earlier saves of this request have done: [`acknowledged`](Self::acknowledged).
    pub async fn finish(&self, keep: bool) -> Result<ClientAction, Error> {
        {
            let mut state = self.state();
            state.closed = true;
            if state.is_untouched() {
                return Ok(ClientAction::Keep);
            }
        }
        self.finish_pending(keep).await
    }

    /// For transports: the same at the head of a response whose body the application still makes; see
    /// [`try_finish_head`](Self::try_finish_head).
    ///
    /// # Errors
    ///
    /// As for [`finish`](Self::finish).
    pub async fn finish_head(&self, keep: bool) -> Result<ClientAction, Error> {
        if let Some(action) = self.try_finish_head(keep) {
            return Ok(action);
        }
        let finished = self.finish_pending(keep).await;
        if finished.is_err() {
            // The answer is another one then, without a body to wait for.
            self.state().closed = true;
        }
        finished
    }

    /// For transports: whether there is another clone of this handle, with which something may still
    /// be changed.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        std::sync::Arc::strong_count(&self.0) > 1
    }

    /// For transports: the span that the request is to be in, so that whatever it logs names its
    /// session. It is at the level debug, and has a field `key` as soon as the session is known.
    #[must_use]
    pub fn span(&self) -> &tracing::Span {
        &self.0.span
    }

    /// For transports: what to tell the client about all that the store has acknowledged so far,
    /// also where [`finish`](Self::finish) failed: a token that an earlier save has replaced is dead.
    pub fn acknowledged(&self) -> ClientAction {
        self.news(&mut self.state())
    }

    fn news(&self, state: &mut State) -> ClientAction {
        let action = state.client_action(&self.0.manager.shared, self.0.source.max_age());
        state.activity.client_told = action != ClientAction::Keep;
        match &action {
            ClientAction::Keep => {}
            ClientAction::Set { id, .. } => {
                tracing::debug!(key = %id.key(), because = ?state.issue, "client is sent its token");
            }
            ClientAction::Clear => {
                tracing::debug!(because = "deleted", "client is to forget its token");
            }
        }
        action
    }

    async fn finish_pending(&self, keep: bool) -> Result<ClientAction, Error> {
        let work = self.work().await?;
        let until = &work.until;
        let (deleting, mut changed) = {
            let mut state = self.state();
            state.drop_refused();
            if !keep {
                state.forget_unsent();
            }
            (state.is_deleting(), state.is_changed())
        };
        if deleting {
            Box::pin(self.delete_locked(until)).await?;
            changed = self.state().is_changed();
        }
        let renewed = match self.write_locked(keep, until).await {
            Ok(false) if keep => self.touch_locked(until).await,
            // A write moves the deadline if that is due. Or the event has been logged; a late loser's
            // response says nothing to the client.
            Ok(_) | Err(Error::Ended) => Ok(()),
            Err(error) if changed => {
                let mut state = self.state();
                if !state.log.is_empty() || matches!(error, Error::Encode { .. }) {
                    state.tell_dropped(why_dropped(&error));
                }
                return Err(error);
            }
            Err(error) => Err(error),
        };
        if let Err(error) = renewed {
            // What was asked for has been done; only the lifetime is not as long as it could be.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "session not renewed"
            );
        }
        Ok(self.outcome(&mut self.state()))
    }

    /// Moves the deadline of a session that was looked at, if that is due.
    async fn touch_locked(&self, until: &Until) -> Result<(), Error> {
        let shared = &self.0.manager.shared;
        let due = {
            let state = self.state();
            let due = |live| shared.touch_due(live, shared.clock.now());
            state
                .live()
                .and_then(|live| Some((live.record.key, live.record.revision, due(live)?)))
        };
        let Some((key, revision, deadline)) = due else {
            return Ok(());
        };
        let answer = shared.touch(&key, revision, deadline, until).await?;
        let mut state = self.state();
        match answer {
            Touch::Touched => {
                tracing::debug!(%key, ?deadline, "session touched");
                state.activity.touched = true;
                if let Base::Live(live) = &mut state.base {
                    live.record.expires_at = deadline;
                }
            }
            // Whoever wrote it since has set its deadline.
            Touch::Changed => {}
            Touch::Gone => {
                state.ended_at(shared.clock.now());
            }
        }
        Ok(())
    }
}

/// What became of changes whose saving failed.
fn why_dropped(error: &Error) -> DropReason {
    match error {
        Error::Store(error) if error.effect() == Effect::Unknown => DropReason::InDoubt,
        Error::Store(_) | Error::Random(_) => DropReason::StoreFailed,
        _ => DropReason::Refused,
    }
}
