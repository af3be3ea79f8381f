//! The right to talk to the store, one at a time and not for longer than a request may.

use tokio::sync::MutexGuard;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::manager::{LATE_STORE, within};
use crate::session::Session;
use crate::{Error, StoreError};

/// The right to talk to the store for a session, and how long.
pub(crate) struct Work<'a> {
    pub(crate) until: Instant,
    session: &'a Session,
    began: Instant,
    _io: MutexGuard<'a, ()>,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.session.state().spent += self.began.elapsed();
    }
}

impl Session {
    /// Waits until no other clone of this handle talks to the store, as long as a call may take.
    pub(crate) async fn work(&self) -> Result<Work<'_>, Error> {
        let left = {
            let (state, shared) = (self.state(), &self.0.manager.shared);
            let counts = !state.head_sent;
            counts.then(|| shared.request_deadline.saturating_sub(state.spent))
        };
        let now = Instant::now();
        let until = self.0.manager.shared.until_from(now);
        let until = left
            .and_then(|left| now.checked_add(left))
            .map_or(until, |end| until.min(end));
        // The wait for another clone does not count twice.
        let (io, began) = match self.0.io.try_lock() {
            Ok(io) => (Some(io), now),
            Err(_) => (within(until, self.0.io.lock()).await, Instant::now()),
        };
        Ok(Work {
            until,
            session: self,
            began,
            _io: io.ok_or(StoreError::not_applied(LATE_STORE))?,
        })
    }

    /// Notes how it went, for [`failure`](Session::failure).
    pub(crate) fn noted<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        self.state().failure = Failure::of(&outcome);
        outcome
    }
}
