//! The deadline for all that one request does with its session.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Fault, at_with};
use obsession_core::Error;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Each call may take two seconds, and all of a request three.
#[tokio::test(start_paused = true)]
async fn all_calls_of_a_request_together_end_by_its_deadline() {
    let at = at_with(|builder| builder.request_deadline(3 * SECOND));
    let id = at.stored().await;
    at.store.set_always(Fault::Hang);
    let session = at.open(&id);
    let mut took = Vec::new();
    for _ in 0..4 {
        let began = Instant::now();
        let answer = session.names().await;
        assert!(matches!(answer, Err(Error::Store(_))));
        took.push(began.elapsed().as_secs());
    }
    assert_eq!(took, [2, 1, 0, 0]);
    session.insert("n", &1).unwrap();
    let began = Instant::now();
    session.finish(true).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_does_between_two_calls_does_not_count() {
    let at = at_with(|builder| builder.request_deadline(3 * SECOND));
    let id = at.stored().await;
    at.store.set_always(Fault::Delay(SECOND));
    let session = at.open(&id);
    session.names().await.unwrap();
    sleep(60 * SECOND).await;
    session.insert("n", &1).unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["cart", "n"]);
}

/// Two clones wait for one answer: that is one second of work, and not two.
#[tokio::test(start_paused = true)]
async fn clones_that_wait_for_each_other_count_once() {
    let at = at_with(|builder| builder.request_deadline(3 * SECOND));
    let id = at.stored().await;
    at.store
        .set_always(Fault::Delay(Duration::from_millis(1400)));
    let session = at.open(&id);
    let (a, b) = tokio::join!(session.names(), session.len());
    assert!(a.is_ok() && b.is_ok());
    session.insert("n", &1).unwrap();
    session.save().await.unwrap();
}

/// A stream may go on for hours, and save again and again.
#[tokio::test(start_paused = true)]
async fn after_the_head_each_call_has_its_own_time() {
    let at = at_with(|builder| builder.request_deadline(3 * SECOND));
    let id = at.stored().await;
    at.store.set_always(Fault::Delay(SECOND));
    let session = at.open(&id);
    session.names().await.unwrap();
    let _ = session.finish_head(true).await.unwrap();
    for n in 0..9 {
        session.insert("n", &n).unwrap();
        session.save().await.unwrap();
    }
}

#[tokio::test]
async fn the_last_failure_is_known_until_something_works_again() {
    let at = at_with(|builder| builder);
    let id = at.stored().await;
    let session = at.open(&id);
    assert!(session.failure().is_none());
    at.store.plan([Fault::Refuse]);
    session.names().await.unwrap_err();
    assert!(matches!(session.failure(), Some(Error::Store(_))));
    session.names().await.unwrap();
    assert!(session.failure().is_none());
    session.insert("large", &"x".repeat(100_000)).unwrap();
    session.save().await.unwrap_err();
    assert!(session.failure().is_none(), "that is the application's");
}

/// Two write one session, and the one that lost is at it again: who only read has no part in that.
#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_write_does_not_wait_for_those_who_write() {
    let at = at_with(|builder| builder);
    let id = at.stored().await;
    let [first, second, reader] = [0, 1, 2].map(|_| at.open(&id));
    for session in [&first, &second, &reader] {
        session.contains("cart").await.unwrap();
    }
    first.insert("a", &1).unwrap();
    second.insert("b", &1).unwrap();
    at.store.set_always(Fault::Delay(SECOND));
    let writers = async { tokio::join!(first.save(), second.save()) };
    let reads = async {
        sleep(SECOND * 3 / 2).await;
        let began = Instant::now();
        let _ = reader.finish(true).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    };
    let ((one, two), ()) = tokio::join!(writers, reads);
    one.and(two).unwrap();
    assert_eq!(at.store.calls().len(), 3 + 3, "one of them wrote twice");
}
