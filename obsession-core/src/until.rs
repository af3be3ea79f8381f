//! When something must have ended.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// Longer than anybody waits, and short enough to be added to every instant.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// When something must have ended: a time after it first has to be waited for. A store that answers at
/// once is not waited for, and then no clock is read.
pub(crate) struct Until {
    within: Duration,
    began: OnceLock<Instant>,
}

impl Until {
    pub(crate) fn within(within: Duration) -> Self {
        Self {
            within: within.min(FOREVER),
            began: OnceLock::new(),
        }
    }

    /// The end. From the first call on the time runs.
    pub(crate) fn instant(&self) -> Instant {
        *self.began.get_or_init(Instant::now) + self.within
    }

    /// How long the time has run.
    pub(crate) fn waited(&self) -> Duration {
        self.began.get().map_or(Duration::ZERO, Instant::elapsed)
    }
}
