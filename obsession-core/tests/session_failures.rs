//! A store that fails: what is said, what is kept, and what is tried again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Fault, at, at_with, saved, sent};
use obsession_core::{ClientAction, Effect, Error};
use tokio::time::Instant;

/// What a failed call may have done.
fn effect<T: std::fmt::Debug>(answer: Result<T, Error>) -> Effect {
    match answer {
        Err(Error::Store(error)) => error.effect(),
        answer => panic!("{answer:?}"),
    }
}

/// Whatever went wrong with the file was "no such session": a new id was made, the cookie was
/// overwritten and the user was logged out.
#[tokio::test]
async fn a_failed_load_is_not_no_session() {
    let at = at();
    let id = at.stored().await;
    at.store.plan([Fault::Refuse, Fault::Refuse, Fault::Refuse]);
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    assert_eq!(effect(session.get::<u64>("a").await), Effect::NotApplied);
    assert_eq!(effect(session.id().await), Effect::NotApplied);
    assert_eq!(effect(session.finish(true).await), Effect::NotApplied);
    assert_eq!(at.store.calls(), ["load", "load", "load"]);
    assert_eq!(at.store.inner().len(), 1);
    // The same cookie works when the store does.
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
}

#[tokio::test]
async fn a_write_that_was_not_applied_can_be_saved_again() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    at.store.plan([Fault::Refuse]);
    assert_eq!(effect(session.save().await), Effect::NotApplied);
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
    assert_eq!(session.get("n").await.unwrap(), Some(1_u64));
    session.insert("a", &1).unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.calls(), ["load", "update", "update"]);
    assert_eq!(at.names(&id).await.unwrap(), ["a", "cart", "n"]);
    assert_eq!(at.other(&id).get("n").await.unwrap(), Some(1_u64));
}

/// The write arrived and its answer did not: made again, it would count twice.
#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognised_and_not_doubled() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    at.store.plan([Fault::LoseAnswer]);
    session.save().await.unwrap();
    assert_eq!(at.store.calls(), ["load", "update", "update"]);
    assert_eq!(at.other(&id).get("n").await.unwrap(), Some(1_u64));
    // Also when the retry's answer is lost, and the next call is by the end of the request.
    session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    at.store.plan([Fault::LoseAnswer, Fault::LoseAnswer]);
    assert_eq!(effect(session.save().await), Effect::Unknown);
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.other(&id).get("n").await.unwrap(), Some(2_u64));
    assert_eq!(session.activity().written, 2);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_makes_one_session() {
    for lost in [1, 2] {
        let at = at();
        let session = at.manager.open(None);
        session.insert("a", &1).unwrap();
        at.store.plan((0..lost).map(|_| Fault::LoseAnswer));
        let saved = session.save().await;
        assert_eq!(saved.is_ok(), lost == 1);
        let id = sent(session.finish(true).await.unwrap()).unwrap();
        assert_eq!(at.store.inner().len(), 1);
        assert_eq!(at.names(&id).await.unwrap(), ["a"]);
    }
}

#[tokio::test]
async fn a_sign_in_whose_answer_was_lost_sends_the_token_that_works() {
    for lost in [1, 2] {
        let at = at();
        let id = at.stored().await;
        let session = at.open(&id);
        session.sign_in("user-42").unwrap();
        at.store.plan([Fault::Pass]);
        at.store.plan((0..lost).map(|_| Fault::LoseAnswer));
        let saved = session.save().await;
        assert_eq!(saved.is_ok(), lost == 1);
        let next = sent(session.finish(true).await.unwrap()).unwrap();
        assert_eq!(at.names(&id).await, None);
        assert_eq!(at.names(&next).await.unwrap(), ["cart"]);
    }
}

#[tokio::test]
async fn a_write_in_doubt_that_was_not_applied_is_sent_again() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    at.store.plan([Fault::LoseRequest, Fault::Refuse]);
    // The second failure says nothing about the first.
    assert!(session.save().await.is_err());
    session.save().await.unwrap();
    assert_eq!(at.other(&id).get("n").await.unwrap(), Some(1_u64));
}

/// Nobody can say whether the first write was applied, so making it again could double it and
/// "ok" could be a lie.
#[tokio::test]
async fn a_write_in_doubt_that_somebody_wrote_over_is_reported_as_unknown() {
    for (step, n) in [(Fault::LoseAnswer, Some(1_u64)), (Fault::LoseRequest, None)] {
        let at = at();
        let id = at.stored().await;
        let session = at.open(&id);
        session.update("n", |n: &mut u64| *n += 1).await.unwrap();
        at.store.plan([step, at.rival(&id, "theirs")]);
        assert_eq!(effect(session.save().await), Effect::Unknown);
        assert!(session.activity().dropped);
        // It sees what is stored, and nothing is written behind its back.
        assert_eq!(session.get("n").await.unwrap(), n);
        assert!(session.contains("theirs").await.unwrap());
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
        assert_eq!(at.other(&id).get("n").await.unwrap(), n);
        assert_eq!(at.store.calls(), ["load", "update", "update"]);
    }
}

/// The save was answered "unknown" and the request went on: what it changed afterwards is as good
/// as what it changed before.
#[tokio::test]
async fn changes_after_a_write_in_doubt_are_written_too() {
    for step in [Fault::LoseAnswer, Fault::LoseRequest] {
        let at = at();
        let id = at.stored().await;
        let session = at.open(&id);
        session.insert("a", &1).unwrap();
        at.store.plan([Fault::Pass, step, Fault::LoseRequest]);
        assert_eq!(effect(session.save().await), Effect::Unknown);
        session.insert("b", &1).unwrap();
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
        assert_eq!(at.names(&id).await.unwrap(), ["a", "b", "cart"]);
    }
}

/// A value is given to one request alone, also when an earlier write of it is in doubt.
#[tokio::test]
async fn a_take_after_a_write_in_doubt_gives_a_value_to_one_request() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    at.store
        .plan([Fault::Pass, Fault::LoseRequest, Fault::LoseRequest]);
    assert_eq!(effect(session.save().await), Effect::Unknown);
    let mine = session.take::<Vec<String>>("cart").await.unwrap();
    let theirs = at.other(&id).take::<Vec<String>>("cart").await.unwrap();
    assert_eq!(mine.into_iter().chain(theirs).count(), 1);
}

#[tokio::test]
async fn a_take_whose_write_failed_gives_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    at.store.plan([Fault::Pass, Fault::Refuse]);
    let answer = session.take::<Vec<String>>("cart").await;
    assert_eq!(effect(answer), Effect::NotApplied);
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
}

/// What the request asked for was done; only the session does not last as long as it could.
#[tokio::test]
async fn a_failed_touch_fails_no_request() {
    for step in [Fault::Refuse, Fault::LoseRequest] {
        let at = at();
        let id = at.stored().await;
        at.pass(3 * 24 * 60 * 60);
        let session = at.open(&id);
        session.contains("cart").await.unwrap();
        at.store.plan([step]);
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
        assert_eq!(at.store.calls(), ["load", "touch"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_given_up_at_the_deadline() {
    // Time passes at once where all wait, so that a call without a deadline is a failure here and
    // not a test that hangs.
    let minute = Duration::from_secs(60);
    tokio::time::timeout(minute, each_call_is_given_up())
        .await
        .expect("every call has a deadline");
}

async fn each_call_is_given_up() {
    let deadline = Duration::from_millis(700);
    let at = at_with(|builder| builder.deadline(deadline));
    let id = at.stored().await;
    let took = |begun: Instant| {
        let took = begun.elapsed();
        assert!(took >= deadline, "{took:?}");
        assert!(took < deadline + Duration::from_millis(10), "{took:?}");
    };

    at.store.plan([Fault::Hang]);
    let begun = Instant::now();
    let session = at.open(&id);
    assert_eq!(effect(session.contains("cart").await), Effect::NotApplied);
    took(begun);

    session.contains("cart").await.unwrap();
    session.insert("a", &1).unwrap();
    at.store.plan([Fault::Hang]);
    let begun = Instant::now();
    assert_eq!(effect(session.save().await), Effect::Unknown);
    took(begun);
    session.save().await.unwrap();

    at.store.plan([Fault::Hang]);
    let begun = Instant::now();
    assert_eq!(effect(session.delete().await), Effect::Unknown);
    took(begun);
    assert!(at.names(&id).await.is_some());

    // All of one call together, and not each part of it.
    let session = at.open(&id);
    session.insert("b", &1).unwrap();
    at.store.plan([
        Fault::behind(tokio::time::sleep(Duration::from_millis(600))),
        Fault::Hang,
    ]);
    let begun = Instant::now();
    assert_eq!(effect(session.finish(true).await), Effect::Unknown);
    took(begun);

    for answer in [
        {
            at.store.plan([Fault::Hang]);
            at.manager.load_id(id.clone()).await.map(drop)
        },
        {
            at.store.plan([Fault::Hang]);
            at.manager.end("user-42", &id.key()).await.map(drop)
        },
    ] {
        assert_eq!(effect(answer), Effect::NotApplied);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_that_answers_in_time_is_waited_for() {
    let at = at();
    let session = at.manager.open(None);
    session.insert("a", &1).unwrap();
    at.store
        .plan([Fault::behind(tokio::time::sleep(Duration::from_millis(
            1_990,
        )))]);
    let id = saved(&session).await;
    assert_eq!(at.names(&id).await.unwrap(), ["a"]);
}
