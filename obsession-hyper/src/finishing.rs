//! The end of a request, on a task that a client cannot drop by disconnecting.

use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use obsession_core::{ClientAction, Error, Session};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

/// What came of it.
pub(crate) enum Outcome {
    Done(Result<ClientAction, Error>),
    Panicked,
}

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

/// The end of a request, which comes also if this is dropped. Its log lines are the request's.
///
/// It is begun by whoever polls it, since a store that answers at once needs no task for that. What is
/// not done then goes on in one; if it is dropped before, it is begun by that. Where too many go on
/// that nobody waits for, and where there is no tokio, whoever waits for this one does it, and what nobody
/// waits for ends where it is.
pub(crate) struct Finishing {
    stage: Stage,
    places: Places,
    span: Span,
}

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

enum Stage {
    /// Not begun, or to be done here.
    Here {
        work: Work,
        begun: bool,
    },
    InTask {
        task: JoinHandle<Outcome>,
        left: oneshot::Sender<OwnedSemaphorePermit>,
    },
    Over,
}

pub(crate) fn finish(session: &Session, end: End, keep: bool, places: &Places) -> Finishing {
    let span = session.span().clone();
    let session = session.clone();
    let finish = async move {
        Outcome::Done(match end {
            End::Head => session.finish_head(keep).await,
            End::Request => session.finish(keep).await,
        })
    };
    Finishing {
        stage: Stage::Here {
            work: Box::pin(finish),
            begun: false,
        },
        places: places.clone(),
        span,
    }
}

impl Finishing {
    /// Does what can be done at once. The rest is handed over.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Stage::Here { work, begun } = &mut self.stage else {
            return Poll::Pending;
        };
        // It may run code of the application, to make its changes again on a newer record.
        let poll = || self.span.in_scope(|| work.as_mut().poll(cx));
        let polled = catch_unwind(AssertUnwindSafe(poll));
        if let Poll::Ready(outcome) = polled.unwrap_or(Poll::Ready(Outcome::Panicked)) {
            self.stage = Stage::Over;
            return Poll::Ready(outcome);
        }
        if !mem::replace(begun, true) {
            self.hand_over();
        }
        Poll::Pending
    }

    /// Lets a task go on with what is to be done here, if there may be one more.
    fn hand_over(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.places.0.available_permits() == 0 {
            return;
        }
        self.stage = match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Here { work, .. } => {
                let (left, place) = oneshot::channel();
                let work = async move {
                    // Whoever leaves puts a place in here, which is given back with it.
                    let _place = place;
                    work.await
                };
                // The server's own span, where the session's is not enabled.
                let spawn = || runtime.spawn(work.in_current_span());
                let task = self.span.in_scope(spawn);
                Stage::InTask { task, left }
            }
            stage => stage,
        };
    }
}

impl Future for Finishing {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Poll::Ready(outcome) = self.go_on(cx) {
            return Poll::Ready(outcome);
        }
        let Stage::InTask { task, .. } = &mut self.stage else {
            return Poll::Pending;
        };
        let outcome = ready!(Pin::new(task).poll(cx));
        self.stage = Stage::Over;
        Poll::Ready(outcome.unwrap_or(Outcome::Panicked))
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        if let Stage::Here { begun: false, .. } = self.stage {
            // How it went nobody asks.
            drop(self.go_on(&mut Context::from_waker(Waker::noop())));
        }
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::InTask { left, .. } => {
                if let Ok(place) = Arc::clone(&self.places.0).try_acquire_owned() {
                    // If the task has ended, the place comes back at once.
                    drop(left.send(place));
                }
            }
            Stage::Here { .. } => {
                let _in = self.span.enter();
                tracing::error!("a request that its client has left is not finished");
            }
            Stage::Over => {}
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
        let alive = || Handle::current().metrics().num_alive_tasks();
        // A call that waits, and the task that keeps the deadlines of all calls while there is one.
        let far = tokio::time::Instant::now() + Duration::from_secs(3600);
        let waits = obsession_core::timeout_at(far, std::future::pending::<()>());
        drop(tokio::spawn(waits));
        tokio::task::yield_now().await;
        let tasks = || alive() - 2;
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

    /// Also if nobody waits, and there is no place or no runtime.
    #[test]
    fn what_a_store_does_at_once_is_done_in_any_case() {
        let store = Arc::new(MemoryStore::new());
        let manager = SessionManager::new(Arc::clone(&store));
        let leaves = |places: &Places| {
            let session = manager.open(None);
            session.insert("a", &1).unwrap();
            drop(finish(&session, End::Request, true, places));
            store.len()
        };
        assert_eq!(leaves(&Places::default()), 1);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        let none = Places(Arc::new(Semaphore::new(0)));
        assert_eq!(runtime.block_on(async { leaves(&none) }), 2);
    }
}
