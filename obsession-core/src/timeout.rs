//! Deadlines of calls, without a timer for each.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use slab::Slab;
use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::lock;

/// How long after one look at all calls the next one comes at the earliest: in an outage all that wait
/// end one after the other.
const REST: Duration = Duration::from_millis(10);
/// For how many calls there is always room.
const KEPT: usize = 256;
/// In how many runtimes a thread may be in turn without a task for each call.
const RUNTIMES: usize = 4;

/// Awaits `what`, at most until `deadline`: nothing if that was not enough, and `what` is dropped with
/// the future that this gives.
///
/// For calls of stores, of which nearly all are answered long before their deadlines. A timer of tokio
/// for each is one lock of all threads to set it up and one to take it down, and often wakes the thread
/// that waits for I/O, only to tell it of a deadline that never comes. Here all calls that are made on one
/// thread share a timer, which goes off about once in the time that they are given. A deadline is kept to
/// the resolution of tokio's timers, a millisecond, or to ten where other calls have just ended by theirs.
///
/// Like tokio's it is of the runtime in which the call is first waited for, and does not come while nobody
/// drives that. If that runtime ends, it is of the one in which the call is waited for next; in one that is
/// shutting down the call is late at once. Without a runtime there is no deadline, and it takes as long as it
/// takes.
///
/// The timer is a task, which a call that was answered leaves behind for at most the time that it had left.
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
        let state = this.place.as_ref().map(|place| place.state(cx.waker()));
        if let Some(State::Waits) = state {
            return Poll::Pending;
        }
        *this.place = None;
        if let Some(State::Late) = state {
            return Poll::Ready(None);
        }
        match Place::take(*this.deadline, cx.waker()) {
            Ok(place) => *this.place = place,
            Err(Refused) => return Poll::Ready(None),
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
    /// No call comes any more: their thread has ended, or was in many other runtimes since.
    closed: bool,
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

enum State {
    Waits,
    Late,
    /// Nobody looks at it any more.
    Forsaken,
}

/// The runtime is shut down and begins no task.
struct Refused;

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

    /// Gives back what many calls at once took, when they are gone.
    fn shrink(&mut self) {
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT {
            self.waiting = Slab::new();
        }
    }

    /// Whether there is nobody left to look for.
    fn are_over(&self) -> bool {
        self.closed && self.waiting.is_empty()
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
    /// A place for a call, in the runtime of here and now. None without one, as nobody would look.
    fn take(deadline: Instant, waker: &Waker) -> Result<Option<Self>, Refused> {
        let Ok(runtime) = Handle::try_current() else {
            return Ok(None);
        };
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
        match then {
            Then::Nothing => return Ok(Some(place)),
            Then::Sooner => place.keeper.sooner.notify_one(),
            Then::Start => {
                Shift::start(&place.keeper, &runtime, deadline);
                // As long as a call waits somebody looks, but for what the runtime did not begin.
                if let State::Forsaken = place.state(waker) {
                    return Err(Refused);
                }
            }
        }
        // A task that a worker wakes is for that worker to run next, and for no other one to take, however
        // long it is busy here. One more moves it to where others take it, and wakes one of them.
        if runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            drop(runtime.spawn(async {}));
        }
        Ok(Some(place))
    }

    /// If it goes on waiting, `waker` will be woken when the deadline is over.
    fn state(&self, waker: &Waker) -> State {
        // Wakers are cloned and dropped without the lock: they may be anybody's code.
        let mut waker = waker.clone();
        let mut calls = lock(&self.keeper.calls);
        let looked_at = calls.looks_at.is_some();
        let state = match calls.waiting.get_mut(self.key) {
            Some(call) if call.late => State::Late,
            Some(call) if looked_at => {
                std::mem::swap(&mut call.waker, &mut waker);
                State::Waits
            }
            _ => State::Forsaken,
        };
        drop(calls);
        state
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (call, over) = {
            let mut calls = lock(&self.keeper.calls);
            let call = calls.waiting.try_remove(self.key);
            calls.shrink();
            (call, calls.are_over())
        };
        if over {
            self.keeper.sooner.notify_one();
        }
        drop(call);
    }
}

/// A keeper that takes calls of a runtime.
struct Open(Id, Arc<Keeper>);

impl Drop for Open {
    fn drop(&mut self) {
        let Self(_, keeper) = self;
        let over = {
            let mut calls = lock(&keeper.calls);
            calls.closed = true;
            calls.are_over()
        };
        if over {
            keeper.sooner.notify_one();
        }
    }
}

impl Keeper {
    /// That of this thread, for what is waited for in `runtime`.
    fn here(runtime: &Handle) -> Arc<Self> {
        thread_local! {
            /// By when they were last asked for, the latest first.
            static HERE: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
        }
        let id = runtime.id();
        let found = HERE.try_with(|here| {
            let mut here = here.borrow_mut();
            if let Some(at) = here.iter().position(|Open(of, _)| *of == id) {
                here[..=at].rotate_right(1);
            } else {
                here.insert(0, Open(id, Arc::default()));
                here.truncate(RUNTIMES);
            }
            here.first().map(|Open(_, keeper)| Arc::clone(keeper))
        });
        // The thread is ending.
        found.ok().flatten().unwrap_or_else(|| {
            let keeper = Self::default();
            lock(&keeper.calls).closed = true;
            keeper.into()
        })
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
            if !late.is_empty() {
                next = next.map(|next| next.max(now + REST));
            }
            calls.looks_at = next;
            next
        };
        wake_all(late);
        next
    }
}

/// Wakes each of them, also if one of them panics.
fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
    }
}

/// The time for which somebody looks. If it ends before the calls do, as its runtime does, they are woken,
/// and those that are waited for elsewhere find another one.
struct Shift(Option<Arc<Keeper>>);

impl Shift {
    fn start(keeper: &Arc<Keeper>, runtime: &Handle, first: Instant) {
        let mut shift = Self(Some(Arc::clone(keeper)));
        // Here, so that it is not the task which panics where there is no timer.
        let mut timer = Box::pin(sleep_until(first));
        runtime.spawn(async move {
            // All of it is the task's, which may be dropped before it has begun.
            let Self(keeper) = &mut shift;
            if let Some(keeper) = keeper {
                keeper.keep(timer.as_mut()).await;
            }
            // It is over, and the next one may have begun.
            drop(keeper.take());
        });
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        let Some(keeper) = self.0.take() else {
            return;
        };
        let left = {
            let mut calls = lock(&keeper.calls);
            calls.looks_at = None;
            let left = calls.waiting.iter_mut();
            left.map(|(_, call)| call.take_waker()).collect()
        };
        wake_all(left);
    }
}

#[cfg(test)]
mod runtimes;
#[cfg(test)]
mod tests;
