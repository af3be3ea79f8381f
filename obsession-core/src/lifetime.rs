//! How long a session lives.

use std::time::Duration;

use crate::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The two limits of a session, both enforced by the server from the record (OWASP ASVS 5.0
/// 7.3.1 and 7.3.2), and what the client is told.
///
/// A session ends when nobody has used it for the idle timeout, and at the latest when the
/// absolute lifetime after its creation or its last sign-in is over. Durations count in whole
/// milliseconds.
///
/// ```
/// use std::time::Duration;
/// use obsession_core::Lifetime;
///
/// let bank = Lifetime::new(Duration::from_secs(15 * 60), Duration::from_secs(12 * 60 * 60));
/// assert_eq!(bank, Lifetime::NIST_AAL3);
/// let remember_me = Lifetime::default().persistent();
/// assert!(remember_me.is_persistent());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetime {
    idle: Duration,
    absolute: Duration,
    persistent: bool,
}

impl Lifetime {
    /// NIST SP 800-63B-4, AAL1: 30 days, without an idle timeout of its own.
    pub const NIST_AAL1: Self =
        Self::new(Duration::from_secs(30 * DAY), Duration::from_secs(30 * DAY));
    /// NIST SP 800-63B-4, AAL2: 30 minutes idle, 12 hours in all.
    pub const NIST_AAL2: Self = Self::new(
        Duration::from_secs(30 * MINUTE),
        Duration::from_secs(12 * HOUR),
    );
    /// NIST SP 800-63B-4, AAL3: 15 minutes idle, 12 hours in all.
    pub const NIST_AAL3: Self = Self::new(
        Duration::from_secs(15 * MINUTE),
        Duration::from_secs(12 * HOUR),
    );

    /// Ends after `idle` without use, and after `absolute` in any case.
    #[must_use]
    pub const fn new(idle: Duration, absolute: Duration) -> Self {
        Self {
            idle,
            absolute,
            persistent: false,
        }
    }

    /// The same limits, with a client that keeps its token when it is closed: "remember me". A
    /// cookie then carries `Max-Age`.
    #[must_use]
    pub const fn persistent(self) -> Self {
        Self {
            persistent: true,
            ..self
        }
    }

    /// How long a session may go unused.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// How long a session may last.
    #[must_use]
    pub const fn absolute(&self) -> Duration {
        self.absolute
    }

    /// Whether the client is told to keep its token when it is closed.
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// The deadline of a session of `created_at` that is used `now`.
    #[must_use]
    pub fn deadline(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        now.saturating_add(self.idle).min(self.limit(created_at))
    }

    /// The instant at which a session of `created_at` ends however much it is used.
    pub(crate) fn limit(&self, created_at: Timestamp) -> Timestamp {
        created_at.saturating_add(self.absolute)
    }
}

/// 14 days without use, 90 days in all, forgotten when the browser is closed.
impl Default for Lifetime {
    fn default() -> Self {
        Self::new(Duration::from_secs(14 * DAY), Duration::from_secs(90 * DAY))
    }
}
