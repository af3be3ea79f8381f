//! The end of a request, on a task that a client cannot drop by disconnecting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use obsession_core::{ClientAction, Error, Session};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tracing::Instrument;

/// What came of it.
pub(crate) enum Outcome {
    Done(Result<ClientAction, Error>),
    Panicked,
}

pub(crate) type Finishing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Which end it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The head of the response, of whose body more may come.
    Head,
    Request,
}

/// How many requests that their clients have left may be finishing at once.
///
/// A client that resets one stream of HTTP/2 after the other is never at the limit of streams that it
/// may have at once (CVE-2023-44487), so what it leaves behind needs a limit of its own. No healthy
/// store comes near this one: it is a storm of clients that leave, all in the time of one write.
const LEFT: usize = 10_000;

/// How many more of them there may be, for all services of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LEFT)))
    }
}

/// Finishes at once, if that takes no I/O.
pub(crate) fn try_finish(session: &Session, end: End, keep: bool) -> Option<ClientAction> {
    match end {
        End::Head => session.try_finish_head(keep),
        End::Request => session.try_finish(keep),
    }
}

/// Finishes, also if what is given here is dropped. Its log lines are the request's.
///
/// Where too many are being finished that nobody waits for, whoever waits for this one does it.
pub(crate) fn finish(session: &Session, end: End, keep: bool, places: &Places) -> Finishing {
    let _in = session.span().enter();
    let session = session.clone();
    let finish = async move {
        Outcome::Done(match end {
            End::Head => session.finish_head(keep).await,
            End::Request => session.finish(keep).await,
        })
    }
    .in_current_span();
    let crowded = places.0.available_permits() == 0;
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) if !crowded => {
            let (left, place) = oneshot::channel();
            let task = runtime.spawn(async move {
                // Whoever leaves puts a place in here, which is given back with it.
                let _place = place;
                finish.await
            });
            Box::pin(Waiting {
                task,
                left: Some(left),
                places: places.clone(),
            })
        }
        // Without tokio as well, which a store in memory can do without.
        _ => Box::pin(finish),
    }
}

/// Waits for the task. If it is dropped before, the task goes on, and takes a place.
struct Waiting {
    task: JoinHandle<Outcome>,
    left: Option<oneshot::Sender<OwnedSemaphorePermit>>,
    places: Places,
}

impl Future for Waiting {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = ready!(Pin::new(&mut self.task).poll(cx));
        self.left = None;
        Poll::Ready(outcome.unwrap_or(Outcome::Panicked))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(left) = self.left.take()
            && let Ok(place) = Arc::clone(&self.places.0).try_acquire_owned()
        {
            // If the task has ended, the place comes back at once.
            drop(left.send(place));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use obsession_core::MemoryStore;
    use obsession_core::SessionManager;
    use obsession_core::conformance::{Fault, Faulty};

    use super::*;

    /// Of five that are left, as many tasks go on as there are places; the others end with their
    /// request. Each gives its place back.
    #[tokio::test(start_paused = true)]
    async fn what_is_left_behind_has_an_end() {
        let store = Arc::new(Faulty::new(MemoryStore::new()));
        let manager = SessionManager::new(Arc::clone(&store));
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        let places = Places(Arc::new(Semaphore::new(3)));
        let second = Duration::from_secs(1);
        store.set_always(Fault::Delay(second));
        for (others, left) in [(0, 1), (1, 2), (2, 3), (3, 3), (3, 3)] {
            assert_eq!(tasks(), others);
            let session = manager.open(None);
            session.insert("a", &1).unwrap();
            let finishing = finish(&session, End::Request, true, &places);
            // Long enough to be in the middle of its call.
            let begun = tokio::time::timeout(Duration::from_millis(10), finishing).await;
            assert!(begun.is_err());
            assert_eq!((tasks(), 3 - places.0.available_permits()), (left, left));
        }
        // Whoever waits is served all the same.
        let session = manager.open(None);
        session.insert("a", &1).unwrap();
        let waited = finish(&session, End::Request, true, &places).await;
        assert!(matches!(waited, Outcome::Done(Ok(_))));
        tokio::time::sleep(second).await;
        assert_eq!((tasks(), places.0.available_permits()), (0, 3));
        assert_eq!(store.inner().len(), 4);
    }
}
