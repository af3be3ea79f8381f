//! The time of a case.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::recorded::Calls;
use crate::{Clock, ManualClock, SystemClock, Timestamp};

/// The time of a case: set where the store asks a clock of this process, waited for elsewhere.
#[derive(Clone, Debug)]
pub struct Time {
    manual: Arc<ManualClock>,
    taken: Arc<AtomicBool>,
    calls: Calls,
}

impl Time {
    pub(crate) fn new(calls: Calls) -> Self {
        Self {
            calls,
            manual: Arc::new(ManualClock::new(SystemClock.now())),
            taken: Arc::default(),
        }
    }

    /// The clock for a store to ask. Whoever takes it says that the store decides by it alone.
    #[must_use]
    pub fn clock(&self) -> impl Clock + use<> {
        self.taken.store(true, Ordering::SeqCst);
        Arc::clone(&self.manual)
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        if self.is_set() {
            self.manual.now()
        } else {
            SystemClock.now()
        }
    }

    /// A deadline that no case reaches unless it wants to.
    #[must_use]
    pub fn later(&self) -> Timestamp {
        self.now().saturating_add(Duration::from_secs(3600))
    }

    /// A deadline that can be waited for, and far enough for a few calls.
    #[must_use]
    pub fn soon(&self) -> Timestamp {
        self.now().saturating_add(Duration::from_millis(400))
    }

    /// Makes it `at`, or waits for it.
    pub async fn reach(&self, at: Timestamp) {
        if self.is_set() {
            self.manual.set(self.manual.now().max(at));
            self.calls
                .event(&format!("the clock shows {}", at.as_millis()));
            return;
        }
        self.calls.event(&format!("waits until {}", at.as_millis()));
        while SystemClock.now() < at {
            tokio::time::sleep(at.saturating_since(SystemClock.now())).await;
        }
    }

    /// Whether the clock is set by the cases, so that a single millisecond can be told.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Time::now(self)
    }
}
