//! The right to talk to the store, one at a time and not for longer than a request may.

use std::time::Duration;

use tokio::sync::MutexGuard;

use crate::failure::Failure;
use crate::manager::{late_store, within};
use crate::session::Session;
use crate::state::State;
use crate::until::Until;
use crate::{Effect, Error};

/// The right to talk to the store for a session, and how long.
pub(crate) struct Work<'a> {
    pub(crate) until: Until,
    session: &'a Session,
    /// What of its time has gone by while another clone had the right, whose time that was.
    not_ours: Duration,
    _io: MutexGuard<'a, ()>,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let ours = self.until.waited().saturating_sub(self.not_ours);
        if !ours.is_zero() {
            self.session.state().spent += ours;
        }
    }
}

impl Session {
    /// Waits until no other clone of this handle talks to the store, as long as a call may take.
    pub(crate) async fn work(&self) -> Result<Work<'_>, Error> {
        let left = self.time_left(&self.state());
        self.work_within(left).await
    }

    /// How long calls of the store may take now.
    pub(crate) fn time_left(&self, state: &State) -> Duration {
        let shared = &self.0.manager.shared;
        if state.head_sent {
            return shared.deadline;
        }
        let left = shared.request_deadline.saturating_sub(state.spent);
        left.min(shared.deadline)
    }

    pub(crate) async fn work_within(&self, left: Duration) -> Result<Work<'_>, Error> {
        let until = Until::within(left);
        let io = match self.0.io.try_lock() {
            Ok(io) => Some(io),
            // In boxes, as all that is seldom: it would make the future of every handler larger.
            Err(_) => Box::pin(within(&until, self.0.io.lock())).await,
        };
        Ok(Work {
            not_ours: until.waited(),
            until,
            session: self,
            _io: io.ok_or(late_store(Effect::NotApplied))?,
        })
    }

    /// Notes how it went, for [`failure`](Session::failure).
    pub(crate) fn noted<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        self.state().failure = Failure::of(&outcome);
        outcome
    }
}
