//! Time: UTC milliseconds from one clock that tests can set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Arithmetic saturates, so that a deadline in the far future stays in the far future.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest instant that can be written down.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `millis` milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This instant and `duration` (cut to whole milliseconds) later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How long after `earlier` this instant is; zero when it is not later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// `duration` in whole milliseconds, at most [`u64::MAX`].
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where the time comes from.
///
/// A [`SessionManager`](crate::SessionManager) and the stores that keep deadlines themselves ask
/// one clock, so a test that sets it moves all of them. A store may ask it while it holds a lock, so a clock
/// uses no store itself.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now. It may step backwards, as system clocks do.
    fn now(&self) -> Timestamp;

    /// Whether `deadline` is still to come. A clock that knows that without its exact time may say so.
    fn is_before(&self, deadline: Timestamp) -> bool {
        self.now() < deadline
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn is_before(&self, deadline: Timestamp) -> bool {
        (**self).is_before(deadline)
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A system clock that is set before 1970 reads as 1970.
    fn now(&self) -> Timestamp {
        Timestamp(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, millis),
        )
    }

    /// Most deadlines are far away. For these the time of the kernel's last tick will do, which costs a
    /// quarter of an exact one to read and is behind it by ten milliseconds at most.
    fn is_before(&self, deadline: Timestamp) -> bool {
        let is_far = |tick: Timestamp| tick.saturating_add(FAR) < deadline;
        last_tick().is_some_and(is_far) || self.now() < deadline
    }
}

/// Far more than a tick.
const FAR: Duration = Duration::from_secs(60);

/// When the kernel last looked at the time (`CLOCK_REALTIME_COARSE` of Linux).
#[cfg(target_os = "linux")]
fn last_tick() -> Option<Timestamp> {
    let tick = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let tick = Duration::try_from(tick).ok()?;
    Some(Timestamp(millis(tick)))
}

#[cfg(not(target_os = "linux"))]
fn last_tick() -> Option<Timestamp> {
    None
}

/// A clock that stands still until it is told otherwise.
///
/// ```
/// use std::time::Duration;
/// use obsession_core::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_millis(1_000));
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.now(), Timestamp::from_millis(3_000));
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Shows `now` from here on; it may be earlier than what was shown before.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_last_tick_is_the_time_for_what_is_far() {
        // The best of some, since the thread may stand still in between.
        let apart = (0..10).map(|_| {
            let (tick, now) = (last_tick().unwrap(), SystemClock.now());
            now.saturating_since(tick).max(tick.saturating_since(now))
        });
        let apart = apart.min().unwrap();
        assert!(apart < FAR / 100, "{apart:?}");
    }

    #[test]
    fn a_deadline_is_kept_to_the_millisecond() {
        let now = || SystemClock.now();
        let near = [0, 1, 2, 20, 1_000, 59_000, 60_000, 61_000, 3_600_000].repeat(100);
        for millis in near.into_iter().map(Duration::from_millis) {
            let deadline = now().saturating_add(millis);
            let before = now();
            let is_before = SystemClock.is_before(deadline);
            assert!(!is_before || before < deadline, "{millis:?}: too late");
            assert!(is_before || now() >= deadline, "{millis:?}: too early");
        }
        assert!(!SystemClock.is_before(Timestamp::default()));
        assert!(SystemClock.is_before(Timestamp::MAX));
    }
}
