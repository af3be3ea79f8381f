//! A task that removes what has expired.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::events::Listener;
use crate::manager::bounded;
use crate::until::Until;
use crate::{Effect, Event, Revision, SessionStore, StoreError};

/// A batch that takes longer is given up, so that a store that never answers stops nobody from
/// stopping.
const BATCH_DEADLINE: Duration = Duration::from_secs(30);
/// Batches that take less grow, and those that take more shrink.
const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_millis(20);
/// How many records the first batch has at most.
const FIRST: usize = 100;
/// No batch shrinks below that: a store that waits for its disk takes its time for one record too.
const LEAST: usize = 50;

/// Removes expired records in batches, again and again, until it is told to stop.
///
/// Whether it runs or not never decides whether a session is served: expired ones are not. It
/// keeps the store small.
///
/// ```
/// # use std::time::Duration;
/// # use obsession_core::{MemoryStore, SessionManager};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let manager = SessionManager::new(MemoryStore::new());
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let cleanup = manager.cleanup().every(Duration::from_secs(30));
/// let task = tokio::spawn(cleanup.run_until(async { stopped.await.unwrap_or(()) }));
/// // ... and when the application ends:
/// drop(stop);
/// assert_eq!(task.await.unwrap(), 0);
/// # }
/// ```
#[must_use]
pub struct Cleanup {
    store: Arc<dyn SessionStore>,
    events: Listener,
    every: Duration,
    batch: usize,
}

impl Cleanup {
    pub(crate) fn new(store: Arc<dyn SessionStore>, events: Listener) -> Self {
        Self {
            store,
            events,
            every: Duration::from_secs(60),
            batch: 500,
        }
    }

    /// How long to wait between rounds, one minute unless set. Each wait is up to a tenth shorter
    /// or longer, by chance, so that several processes do not clean in step.
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval;
        self
    }

    /// How many records to remove at once at most, 500 unless set. Between batches other work gets
    /// its turn. A round begins with 100 at most; batches that take less than 10 milliseconds are
    /// followed by larger ones, and those that take more than 20 by smaller ones, down to 50.
    pub fn batch(mut self, records: usize) -> Self {
        self.batch = records.max(1);
        self
    }

    /// Removes all that has expired by now, and says how many records that were.
    ///
    /// # Errors
    ///
    /// The store failed. What was removed before is removed.
    pub async fn run_once(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        let mut pace = Pace::new(self.batch);
        loop {
            let begun = Instant::now();
            let batch = self.store.delete_expired(pace.batch).await?;
            removed += batch;
            self.tell(batch);
            if batch < pace.batch {
                return Ok(removed);
            }
            pace.took(begun.elapsed());
            tokio::task::yield_now().await;
        }
    }

    /// Runs until `stop` is done, and says how many records it removed in all.
    ///
    /// A failure is logged, and the next round is made all the same. It stops between two batches
    /// or while it waits, so a batch is never cut, unless it takes longer than 30 seconds.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> usize {
        let mut stop = pin!(stop);
        let mut removed = 0;
        loop {
            let wait = tokio::time::sleep(jittered(self.every));
            tokio::select! {
                biased;
                () = &mut stop => return removed,
                () = wait => {}
            }
            let mut pace = Pace::new(self.batch);
            loop {
                let begun = Instant::now();
                let batch = self.store.delete_expired(pace.batch);
                match bounded(&Until::within(BATCH_DEADLINE), batch, Effect::Unknown).await {
                    Ok(batch) => {
                        removed += batch;
                        self.tell(batch);
                        if batch < pace.batch {
                            break;
                        }
                        pace.took(begun.elapsed());
                    }
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "cleanup failed");
                        break;
                    }
                }
                tokio::select! {
                    biased;
                    () = &mut stop => return removed,
                    () = tokio::task::yield_now() => {}
                }
            }
        }
    }

    fn tell(&self, count: usize) {
        if count > 0 {
            tracing::debug!(count, "expired sessions removed");
            self.events.tell(|| Event::Removed { count });
        }
    }
}

/// How large batches are: as large as they can be without holding others up.
struct Pace {
    batch: usize,
    most: usize,
}

impl Pace {
    fn new(most: usize) -> Self {
        let batch = most.min(FIRST);
        Self { batch, most }
    }

    fn took(&mut self, time: Duration) {
        if time < SHORT {
            self.batch = self.batch.saturating_mul(2).min(self.most);
        } else if time > LONG {
            self.batch = (self.batch / 2).max(LEAST).min(self.most);
        }
    }
}

/// `interval` times a number between 0.9 and 1.1.
fn jittered(interval: Duration) -> Duration {
    let chance = Revision::fresh().map_or(100, |revision| revision.as_u64() % 201);
    #[allow(clippy::cast_possible_truncation, reason = "below 201")]
    let percent = 900 + chance as u32;
    interval.saturating_mul(percent) / 1000
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleanup")
            .field("store", &self.store)
            .field("every", &self.every)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
