//! Deadlines of calls, without a timer for each.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use slab::Slab;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::lock;

/// How long after one look at all calls the next one comes at the earliest: in an outage all that wait
/// end one after the other.
const REST: Duration = Duration::from_millis(10);

/// Awaits `what`, at most until `deadline`: nothing if that was not enough, and `what` is dropped with
/// the future that this gives.
///
/// For calls of stores, of which nearly all are answered long before their deadlines. A timer of tokio
/// for each is one lock of all threads to set it up and one to take it down, and often wakes the thread
/// that waits for I/O, only to tell it of a deadline that never comes. Here all calls that are made on one
/// thread share a timer, which goes off about once in the time that they are given. A deadline is kept to
/// the resolution of tokio's timers, a millisecond, or to ten where many calls end by theirs at once.
///
/// Like tokio's it is of the runtime in which the call is waited for. Without one there is no deadline,
/// and it takes as long as it takes.
///
/// # Panics
///
/// The future panics, when it is waited for in a runtime of tokio without a timer.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let soon = Instant::now() + Duration::from_millis(5);
/// assert_eq!(obsession_core::timeout_at(soon, async { 7 }).await, Some(7));
/// assert_eq!(obsession_core::timeout_at(soon, std::future::pending::<()>()).await, None);
/// # }
/// ```
pub fn timeout_at<F: Future>(deadline: Instant, what: F) -> TimeoutAt<F> {
    TimeoutAt {
        what,
        deadline,
        place: None,
    }
}

pin_project! {
    /// What [`timeout_at`] gives.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct TimeoutAt<F> {
        #[pin]
        what: F,
        deadline: Instant,
        // From the first time on that it has to be waited for.
        place: Option<Place>,
    }
}

impl<F: Future> Future for TimeoutAt<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.what.poll(cx) {
            *this.place = None;
            return Poll::Ready(Some(output));
        }
        match this.place {
            Some(place) if place.is_late(cx.waker()) => {
                *this.place = None;
                return Poll::Ready(None);
            }
            Some(_) => {}
            None => *this.place = Place::take(*this.deadline, cx.waker()),
        }
        Poll::Pending
    }
}

impl<F> fmt::Debug for TimeoutAt<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutAt")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Keeps the deadlines of all calls that were first waited for on one thread, in one runtime.
#[derive(Default)]
struct Keeper {
    calls: Mutex<Calls>,
    /// There is a deadline before the next look.
    sooner: Notify,
}

#[derive(Default)]
struct Calls {
    waiting: Slab<Call>,
    /// When somebody looks at them next; nothing where there is nobody to.
    looks_at: Option<Instant>,
}

struct Call {
    deadline: Instant,
    waker: Waker,
    late: bool,
}

impl Call {
    /// Whoever is woken by it is polled, and leaves another one if he goes on waiting.
    fn take_waker(&mut self) -> Waker {
        std::mem::replace(&mut self.waker, Waker::noop().clone())
    }
}

/// A call among the others, until it is dropped.
struct Place {
    keeper: Arc<Keeper>,
    key: usize,
}

impl Calls {
    /// Somebody is to look by `deadline`.
    fn look_by(&mut self, deadline: Instant) -> Then {
        let then = match self.looks_at {
            None => Then::Start,
            Some(at) if at > deadline => Then::Sooner,
            Some(_) => return Then::Nothing,
        };
        self.looks_at = Some(deadline);
        then
    }
}

/// What is to be done so that somebody looks in time.
#[derive(Clone, Copy)]
enum Then {
    Nothing,
    Sooner,
    Start,
}

impl Place {
    /// A place for a call. None without a runtime, as nobody would look.
    fn take(deadline: Instant, waker: &Waker) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        let keeper = Keeper::here(&runtime);
        let call = Call {
            deadline,
            waker: waker.clone(),
            late: false,
        };
        let (key, then) = {
            let mut calls = lock(&keeper.calls);
            (calls.waiting.insert(call), calls.look_by(deadline))
        };
        let place = Self { keeper, key };
        place.keeper.see_to(then, deadline, || Some(runtime));
        Some(place)
    }

    /// Whether the deadline is over. If not, `waker` will be woken when it is.
    fn is_late(&self, waker: &Waker) -> bool {
        // Wakers are cloned and dropped without the lock: they may be anybody's code.
        let mut waker = waker.clone();
        let (deadline, then) = {
            let mut calls = lock(&self.keeper.calls);
            let Some(call) = calls.waiting.get_mut(self.key) else {
                return false;
            };
            if call.late {
                return true;
            }
            std::mem::swap(&mut call.waker, &mut waker);
            let deadline = call.deadline;
            (deadline, calls.look_by(deadline))
        };
        let runtime = || Handle::try_current().ok();
        self.keeper.see_to(then, deadline, runtime);
        false
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let call = lock(&self.keeper.calls).waiting.try_remove(self.key);
        drop(call);
    }
}

impl Keeper {
    /// That of this thread, for what is waited for in `runtime`.
    fn here(runtime: &Handle) -> Arc<Self> {
        thread_local! {
            static HERE: RefCell<Option<(Id, Arc<Keeper>)>> = const { RefCell::new(None) };
        }
        let id = runtime.id();
        let found = HERE.try_with(|here| {
            let mut here = here.borrow_mut();
            match &*here {
                Some((of, keeper)) if *of == id => Arc::clone(keeper),
                // The calls of another runtime keep the one before.
                _ => Arc::clone(&here.insert((id, Arc::default())).1),
            }
        });
        // The thread is ending.
        found.unwrap_or_default()
    }

    fn see_to(
        self: &Arc<Self>,
        then: Then,
        deadline: Instant,
        runtime: impl FnOnce() -> Option<Handle>,
    ) {
        match then {
            Then::Nothing => {}
            Then::Sooner => self.sooner.notify_one(),
            Then::Start => {
                let shift = Shift {
                    keeper: Some(Arc::clone(self)),
                    begun: false,
                };
                if let Some(runtime) = runtime() {
                    shift.start(&runtime, deadline);
                }
            }
        }
    }

    /// Looks at each deadline, until no call is left.
    async fn keep(&self, mut timer: Pin<&mut Sleep>) {
        loop {
            tokio::select! {
                () = &mut timer => {}
                () = self.sooner.notified() => {}
            }
            let Some(next) = self.look(Instant::now()) else {
                return;
            };
            timer.as_mut().reset(next);
        }
    }

    /// Wakes the calls that are late, and says when to look again.
    fn look(&self, now: Instant) -> Option<Instant> {
        let mut late = Vec::new();
        let next = {
            let mut calls = lock(&self.calls);
            let mut next = None;
            for (_, call) in &mut calls.waiting {
                if call.deadline > now {
                    next = Some(next.map_or(call.deadline, |next| call.deadline.min(next)));
                } else if !call.late {
                    call.late = true;
                    late.push(call.take_waker());
                }
            }
            calls.looks_at = next.map(|next| next.max(now + REST));
            calls.looks_at
        };
        late.into_iter().for_each(Waker::wake);
        next
    }
}

/// The time for which somebody looks. If it ends before the calls do, as its runtime does, those that are
/// waited for elsewhere find another one.
struct Shift {
    keeper: Option<Arc<Keeper>>,
    begun: bool,
}

impl Shift {
    fn start(mut self, runtime: &Handle, first: Instant) {
        // Here, so that it is not the task which panics where there is no timer.
        let mut timer = Box::pin(sleep_until(first));
        runtime.spawn(async move {
            self.begun = true;
            if let Some(keeper) = &self.keeper {
                keeper.keep(timer.as_mut()).await;
            }
            // It is over, and nobody has to look for another one.
            drop(self.keeper.take());
        });
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        let Some(keeper) = self.keeper.take() else {
            return;
        };
        let mut left = Vec::new();
        {
            let mut calls = lock(&keeper.calls);
            calls.looks_at = None;
            // In a runtime that begins no task any more they would find the next one that does not.
            if self.begun {
                left.extend(calls.waiting.iter_mut().map(|(_, call)| call.take_waker()));
            }
        }
        left.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests;
