//! Routes that must not use their session, since it would cost them their cache or their speed.

use crate::state::State;
use crate::{Error, Event, Session};

impl Session {
    /// Says that this request must not look at its session, nor change it, because of `route`, which is
    /// a name for a report.
    ///
    /// If it does all the same, that is an [`Error::Marked`] in builds with debug assertions, so that
    /// it is found by whoever writes it. In others it goes on, and once a request there is an
    /// [`Event::Marked`].
    pub fn mark_untouched(&self, route: &'static str) {
        self.state().marked = Some(route);
    }
}

impl State {
    /// Whether this request may use its session.
    pub(crate) fn check_mark(&mut self) -> Result<(), Error> {
        let Some(route) = self.marked else {
            return Ok(());
        };
        if cfg!(debug_assertions) {
            return Err(Error::Marked { route });
        }
        self.marked = None;
        tracing::warn!(route, "a route that must not use its session does");
        self.tell(|| Event::Marked { route });
        Ok(())
    }
}
