//! Threads that do not come back, and runtimes that end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::Wake;
use std::thread;

use tokio::runtime::{Builder, Runtime};

use super::tests::Woken;
use super::*;

const MS: Duration = Duration::from_millis(1);
/// For what does not come unless something is wrong.
const LONG: Duration = Duration::from_secs(5);

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn workers(count: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(count).enable_time().build().unwrap()
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// What `run` gives on a thread of its own, unless it hangs.
fn unless_it_hangs<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(run()));
    ended.recv_timeout(LONG).ok()
}

/// Waits on this thread, and for nothing else.
fn park_on<F: Future>(what: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut what = pin!(what);
    loop {
        if let Poll::Ready(output) = what.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Polls it once.
async fn begin<F: Future + Unpin>(call: &mut F) {
    let begun = poll_fn(|cx| Poll::Ready(Pin::new(&mut *call).poll(cx).is_pending()));
    assert!(begun.await);
}

#[test]
fn a_worker_that_waits_without_its_runtime_is_told_by_another() {
    for _ in 0..5 {
        let ended = unless_it_hangs(|| {
            let runtime = workers(2);
            let call = async { park_on(timeout_at(Instant::now() + 100 * MS, pending::<()>())) };
            runtime.block_on(runtime.spawn(call)).unwrap()
        });
        assert_eq!(ended, Some(None));
    }
}

#[test]
fn a_worker_that_computes_keeps_no_deadline_of_others_back() {
    let runtime = workers(2);
    let late = runtime.block_on(async {
        let (hand_over, handed_over) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let deadline = Instant::now() + 100 * MS;
            let mut call = Box::pin(timeout_at(deadline, pending::<()>()));
            begin(&mut call).await;
            hand_over.send((call, deadline)).ok().unwrap();
            thread::sleep(LONG);
        });
        let (call, deadline) = handed_over.await.unwrap();
        call.await;
        deadline.elapsed()
    });
    runtime.shutdown_background();
    assert!(late < LONG / 2, "{late:?}");
}

#[test]
fn a_call_in_a_runtime_that_is_shut_down_is_late_at_once() {
    let ended = unless_it_hangs(|| {
        let runtime = workers(1);
        let handle = runtime.handle().clone();
        let (waits, waited) = mpsc::channel();
        runtime.spawn_blocking(move || {
            handle.block_on(async {
                waits.send(()).unwrap();
                timeout_at(far(), pending::<()>()).await
            })
        });
        waited.recv().unwrap();
        thread::sleep(20 * MS);
        drop(runtime);
    });
    assert_eq!(ended, Some(()));
}

/// Before anybody has looked at it once.
#[test]
fn a_call_outlives_a_runtime_that_did_nothing() {
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let first = one_thread();
    let mut call = Box::pin(timeout_at(Instant::now() + 50 * MS, pending::<()>()));
    first.block_on(async {
        assert!(
            call.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    });
    drop(first);
    assert_eq!(woken.count(), 1, "so that it finds another one");
    assert_eq!(one_thread().block_on(call), None);
}

#[test]
fn calls_of_a_runtime_that_ended_are_each_of_the_one_in_which_they_go_on() {
    let ended = unless_it_hangs(|| {
        let [first, second, third] = [(); 3].map(|()| one_thread());
        let deadline = Instant::now() + 1_000 * MS;
        let [mut a, mut b] = [(); 2].map(|()| Box::pin(timeout_at(deadline, pending::<()>())));
        first.block_on(async {
            begin(&mut a).await;
            begin(&mut b).await;
            tokio::task::yield_now().await;
        });
        drop(first);
        second.block_on(begin(&mut a));
        // Nobody drives the second one meanwhile.
        let ended = third.block_on(b);
        drop(second);
        ended
    });
    assert_eq!(ended, Some(None));
}

/// Another thread polls a call of the same keeper where there is no runtime to look at it.
#[test]
fn a_call_that_finds_nobody_takes_nothing_from_others() {
    let second = workers(2);
    for _ in 0..100 {
        let first = one_thread();
        let mut a = Box::pin(timeout_at(far(), pending::<()>()));
        let mut b = Box::pin(timeout_at(Instant::now() + 10 * MS, pending::<()>()));
        first.block_on(async {
            begin(&mut a).await;
            begin(&mut b).await;
            tokio::task::yield_now().await;
        });
        drop(first);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (spins, spinning) = mpsc::channel();
        let other = thread::spawn(move || {
            spins.send(()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                assert!(
                    a.as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()))
                        .is_pending()
                );
            }
        });
        spinning.recv().unwrap();
        let ended = second.block_on(async move { tokio::time::timeout(LONG, b).await });
        stop.store(true, Ordering::Relaxed);
        other.join().unwrap();
        assert_eq!(ended, Ok(None));
    }
}

#[test]
fn threads_that_end_leave_no_task() {
    let runtime = workers(1);
    let alive = || runtime.metrics().num_alive_tasks();
    for _ in 0..50 {
        let handle = runtime.handle().clone();
        let call = async { timeout_at(far(), tokio::time::sleep(MS)).await };
        let answer = thread::spawn(move || handle.block_on(call)).join();
        assert_eq!(answer.unwrap(), Some(()));
    }
    // Those that were told that it is over go on as soon as they can.
    let began = Instant::now();
    while alive() > 0 && began.elapsed() < LONG {
        thread::sleep(MS);
    }
    assert_eq!(alive(), 0);
}

#[test]
fn a_thread_in_runtimes_in_turn_leaves_one_task_in_each() {
    let runtimes: Vec<_> = (0..4).map(|_| one_thread()).collect();
    for _ in 0..50 {
        for runtime in &runtimes {
            runtime.block_on(async {
                assert_eq!(timeout_at(far(), tokio::task::yield_now()).await, Some(()));
            });
        }
    }
    for runtime in &runtimes {
        assert_eq!(runtime.metrics().num_alive_tasks(), 1);
    }
}

#[test]
fn of_many_runtimes_the_one_that_was_left_first_is_forgotten() {
    let runtimes = [(); RUNTIMES + 1].map(|()| one_thread());
    let keeper = |place: usize| Keeper::here(runtimes[place].handle());
    let first: Vec<_> = (0..RUNTIMES).map(keeper).collect();
    // So the second one is the one that was left first, when there is one more.
    assert!(Arc::ptr_eq(&keeper(0), &first[0]));
    drop(keeper(RUNTIMES));
    for place in [2, 3, 0] {
        assert!(Arc::ptr_eq(&keeper(place), &first[place]), "{place}");
    }
    assert!(!Arc::ptr_eq(&keeper(1), &first[1]));
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker of somebody else");
    }
}

#[test]
fn a_waker_that_panics_is_in_nobodys_way() {
    let panics: Waker = Arc::new(Panics).into();
    let mut context = Context::from_waker(&panics);
    let runtime = one_thread();
    let deadline = Instant::now() + 20 * MS;
    let mut calls = [(); 2].map(|()| Box::pin(timeout_at(deadline, pending::<()>())));
    let woken = runtime.block_on(async {
        for call in &mut calls {
            assert!(call.as_mut().poll(&mut context).is_pending());
        }
        tokio::time::timeout(LONG, timeout_at(deadline, pending::<()>())).await
    });
    assert_eq!(woken, Ok(None));
    assert!(deadline.elapsed() < LONG / 2, "it was not woken");
    // Nor where the runtime ends before they do.
    let mut calls = [(); 2].map(|()| Box::pin(timeout_at(far(), pending::<()>())));
    runtime.block_on(async {
        for call in &mut calls {
            assert!(call.as_mut().poll(&mut context).is_pending());
        }
        tokio::task::yield_now().await;
    });
    assert!(catch_unwind(AssertUnwindSafe(|| drop(runtime))).is_ok());
}

/// Answered, late, dropped, and awaited by another task than began them.
#[test]
fn calls_of_many_tasks_all_end() {
    let runtime = workers(4);
    let all = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..500 {
            tasks.spawn(async move {
                for n in 0..8 {
                    let deadline = Instant::now() + MS * (1 + (task * 7 + n * 3) % 20);
                    let mut call = Box::pin(timeout_at(deadline, pending::<()>()));
                    match (task + n) % 4 {
                        0 => assert_eq!(timeout_at(far(), tokio::time::sleep(MS)).await, Some(())),
                        1 => assert_eq!(call.await, None),
                        2 => begin(&mut call).await,
                        _ => {
                            begin(&mut call).await;
                            assert_eq!(tokio::spawn(call).await.unwrap(), None);
                        }
                    }
                }
            });
        }
        tokio::time::timeout(2 * LONG, tasks.join_all()).await
    });
    assert!(all.is_ok(), "a call hangs");
}
