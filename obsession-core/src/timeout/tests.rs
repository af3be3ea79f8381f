#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn runtime() -> Runtime {
    let paused = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    paused.unwrap()
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Counts how often it was woken.
#[derive(Default)]
pub(super) struct Woken(AtomicUsize);

impl Woken {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_answer_or_at_its_deadline() {
    let began = Instant::now();
    assert_eq!(
        timeout_at(began, ready(1)).await,
        Some(1),
        "it was not waited for"
    );
    assert_eq!(timeout_at(began + SECOND, pending::<()>()).await, None);
    assert_eq!(began.elapsed(), SECOND);
    let half = tokio::time::sleep(SECOND / 2);
    assert_eq!(timeout_at(began + 2 * SECOND, half).await, Some(()));
    assert_eq!(began.elapsed(), SECOND * 3 / 2);
    assert_eq!(
        timeout_at(began, pending::<()>()).await,
        None,
        "a deadline that is over"
    );
    let late = began.elapsed().saturating_sub(SECOND * 3 / 2);
    assert!(late <= REST, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn many_calls_share_a_timer() {
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for n in 0..1_000 {
        let deadline = began + SECOND + Duration::from_micros(n);
        calls.spawn(async move {
            (
                timeout_at(deadline, pending::<()>()).await,
                deadline.elapsed(),
            )
        });
    }
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 1_000 + 1);
    while let Some(ended) = calls.join_next().await {
        let (answer, late) = ended.unwrap();
        assert_eq!(answer, None);
        assert!(late <= REST + Duration::from_millis(1), "{late:?}");
    }
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0, "nobody looks where there is no call");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_is_kept_behind_a_later_one() {
    let began = Instant::now();
    let (later, sooner) = tokio::join!(
        async {
            let answer = timeout_at(began + 3 * SECOND, pending::<()>()).await;
            (answer, began.elapsed())
        },
        async {
            tokio::time::sleep(SECOND).await;
            let answer = timeout_at(began + 2 * SECOND, pending::<()>()).await;
            (answer, began.elapsed())
        },
    );
    assert_eq!(sooner, (None, 2 * SECOND));
    assert_eq!(later, (None, 3 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn one_call_behind_a_later_one_is_told_at_once() {
    tokio::spawn(timeout_at(Instant::now() + SECOND, pending::<()>()));
    tokio::task::yield_now().await;
    let soon = Instant::now() + REST / 5;
    assert_eq!(timeout_at(soon, pending::<()>()).await, None);
    assert!(soon.elapsed() < REST / 5, "{:?}", soon.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_calls_leave_no_room_behind() {
    let deadline = Instant::now() + SECOND;
    let calls: JoinSet<_> = (0..1_000)
        .map(|_| timeout_at(deadline, pending::<()>()))
        .collect();
    calls.join_all().await;
    let keeper = Keeper::here(&Handle::current());
    let room = lock(&keeper.calls).waiting.capacity();
    assert!(room <= KEPT, "{room}");
}

#[tokio::test(start_paused = true)]
async fn a_call_leaves_nothing_behind() {
    let keeper = Keeper::here(&Handle::current());
    let far = Instant::now() + SECOND;
    let waiting = || lock(&keeper.calls).waiting.len();
    let (answer, answered) = oneshot::channel();
    let answered = tokio::spawn(timeout_at(far, answered));
    let dropped = tokio::spawn(timeout_at(far, pending::<()>()));
    tokio::task::yield_now().await;
    assert_eq!(waiting(), 2);
    answer.send(7).unwrap();
    assert_eq!(answered.await.unwrap(), Some(Ok(7)));
    assert_eq!(waiting(), 1);
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    assert_eq!(waiting(), 0);
    // An answer leaves nothing either where the future is kept.
    let mut kept = pin!(timeout_at(far, tokio::time::sleep(SECOND / 2)));
    assert_eq!(kept.as_mut().await, Some(()));
    assert_eq!(waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_last_is_woken() {
    let (first, last) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    let mut call = pin!(timeout_at(Instant::now() + SECOND, pending::<()>()));
    for waker in [&first, &last] {
        let waker = Arc::clone(waker).into();
        assert!(
            call.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    tokio::time::sleep(2 * SECOND).await;
    let woken = [&first, &last].map(|woken| woken.count());
    assert_eq!(woken, [0, 1]);
    assert_eq!(call.await, None);
}

#[test]
fn a_call_outlives_the_runtime_in_which_it_began() {
    let mut call = Box::pin(async {
        let began = Instant::now();
        (
            timeout_at(began + SECOND, pending::<()>()).await,
            began.elapsed(),
        )
    });
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let first = runtime();
    first.block_on(async {
        let mut context = Context::from_waker(&waker);
        assert!(call.as_mut().poll(&mut context).is_pending());
        tokio::task::yield_now().await;
    });
    drop(first);
    assert_eq!(woken.count(), 1, "so that it finds another one");
    let (answer, took) = runtime().block_on(call);
    assert_eq!(answer, None);
    assert!(took >= SECOND, "{took:?}");
}

#[test]
fn runtimes_of_one_thread_keep_their_own_deadlines() {
    let stopped = runtime();
    let mut waits_there = Box::pin(timeout_at(Instant::now() + SECOND, pending::<()>()));
    stopped.block_on(async {
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits_there.as_mut().poll(&mut context).is_pending());
    });
    // Nobody drives the first one any more, whose task would look.
    let answer = runtime().block_on(async {
        let deadline = Instant::now() + 2 * SECOND;
        let bound = tokio::time::timeout(4 * SECOND, timeout_at(deadline, pending::<()>()));
        bound.await
    });
    assert_eq!(answer, Ok(None));
}

#[test]
fn a_runtime_without_a_timer_is_told_and_nothing_is_left() {
    let without = Builder::new_current_thread().build().unwrap();
    let waited = std::panic::AssertUnwindSafe(|| {
        without.block_on(async { timeout_at(Instant::now() + SECOND, pending::<()>()).await })
    });
    assert!(std::panic::catch_unwind(waited).is_err());
    without.block_on(async {
        let calls = &Keeper::here(&Handle::current()).calls;
        let calls = lock(calls);
        assert_eq!((calls.waiting.len(), calls.looks_at), (0, None));
    });
}

#[test]
fn without_a_runtime_there_is_no_deadline() {
    let mut context = Context::from_waker(Waker::noop());
    let (answer, answered) = oneshot::channel();
    let mut call = pin!(timeout_at(Instant::now(), answered));
    assert!(call.as_mut().poll(&mut context).is_pending());
    assert!(call.as_mut().poll(&mut context).is_pending());
    answer.send(7).unwrap();
    assert_eq!(call.as_mut().poll(&mut context), Poll::Ready(Some(Ok(7))));
}
