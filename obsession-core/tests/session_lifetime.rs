//! When a session ends by itself, when that is put off, and when the client is told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{At, Fault, Kept, NOW, at, at_with, saved, sent};
use obsession_core::{ClientAction, Clock, Lifetime, SessionId, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);

fn at_of(lifetime: Lifetime) -> At {
    at_with(|builder| builder.lifetime(lifetime))
}

fn after(millis: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_millis(millis))
}

/// A request that reads, and what it asks of the store.
async fn read(at: &At, id: &SessionId) -> Vec<&'static str> {
    let session = at.open(id);
    assert!(session.contains("cart").await.unwrap());
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    at.store.calls()
}

async fn expires_at(at: &At, id: &SessionId) -> Timestamp {
    at.record(id).await.unwrap().expires_at
}

#[tokio::test]
async fn it_ends_at_the_idle_timeout_to_the_millisecond() {
    let at = at_of(Lifetime::new(MINUTE, 10 * MINUTE));
    let id = at.stored().await;
    at.clock.set(after(59_999));
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
    at.clock.set(after(60_000));
    assert_eq!(at.names(&id).await, None);
}

/// A session file of twenty years ago was accepted and renewed.
#[tokio::test]
async fn what_has_expired_is_not_served_though_nobody_cleaned_up() {
    let at = at();
    let id = at.stored().await;
    at.pass(20 * 365 * 24 * 60 * 60);
    assert_eq!(at.store.inner().len(), 1, "nobody cleaned up");
    let session = at.open(&id);
    assert!(session.is_empty().await.unwrap());
    session.insert("new", &1).unwrap();
    let next = sent(session.finish(true).await.unwrap()).unwrap();
    assert_ne!(next.key(), id.key());
    assert_eq!(at.names(&id).await, None);
}

#[tokio::test]
async fn it_ends_at_the_absolute_lifetime_however_much_it_is_used() {
    let at = at_of(Lifetime::new(MINUTE, 10 * MINUTE));
    let id = at.stored().await;
    for second in 1..600 {
        at.clock.set(after(second * 1000));
        let session = at.open(&id);
        assert!(session.contains("cart").await.unwrap(), "{second}");
        if second % 2 == 0 {
            session.update("n", |n: &mut u64| *n += 1).await.unwrap();
        }
        let _ = session.finish(true).await.unwrap();
        assert!(expires_at(&at, &id).await <= after(600_000));
    }
    at.clock.set(after(599_999));
    assert!(at.names(&id).await.is_some());
    at.clock.set(after(600_000));
    assert_eq!(at.names(&id).await, None);
}

#[tokio::test]
async fn a_sign_in_begins_the_absolute_lifetime_again() {
    let at = at_of(Lifetime::new(10 * MINUTE, 10 * MINUTE));
    let id = at.stored().await;
    at.pass(540);
    let session = at.open(&id);
    session.sign_in("user-42").unwrap();
    let id = saved(&session).await;
    assert_eq!(expires_at(&at, &id).await, after((540 + 600) * 1000));
    // A cycle does not: the user has proved nothing.
    at.pass(60);
    let session = at.open(&id);
    session.cycle().unwrap();
    let id = saved(&session).await;
    assert_eq!(expires_at(&at, &id).await, after((540 + 600) * 1000));
}

#[tokio::test]
async fn reads_touch_at_most_once_in_an_eighth_of_the_idle_timeout() {
    let at = at_of(Lifetime::new(80 * MINUTE, 1_000 * MINUTE));
    let id = at.stored().await;
    let mut touches = Vec::new();
    for minute in 0..60 {
        at.clock.set(after(minute * 60_000));
        match read(&at, &id).await.as_slice() {
            ["load"] => {}
            ["load", "touch"] => {
                touches.push(minute);
                assert_eq!(expires_at(&at, &id).await, after((minute + 80) * 60_000));
            }
            calls => panic!("{calls:?}"),
        }
    }
    assert_eq!(touches, [10, 20, 30, 40, 50]);
    // What has just been written needs no touch.
    at.pass(600);
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load", "update"]);
    assert_eq!(read(&at, &id).await, ["load"]);
}

/// A deadline that moves with every write has an index of deadlines rewritten every time.
#[tokio::test]
async fn writes_move_the_deadline_when_reads_would() {
    let at = at_of(Lifetime::new(80 * MINUTE, 1_000 * MINUTE));
    let id = at.stored().await;
    let write = async |minute: u64| {
        at.clock.set(after(minute * 60_000));
        let session = at.open(&id);
        session.update("n", |n: &mut u64| *n += 1).await.unwrap();
        let _ = session.finish(true).await.unwrap();
        assert_eq!(at.store.calls(), ["load", "update"]);
    };
    for minute in 0..30 {
        write(minute).await;
        let moved = minute / 10 * 10;
        assert_eq!(expires_at(&at, &id).await, after((moved + 80) * 60_000));
    }
    // Other limits hold at once, be they longer or shorter.
    for idle in [90, 40] {
        let session = at.open(&id);
        session
            .set_lifetime(Lifetime::new(idle * MINUTE, 1_000 * MINUTE))
            .unwrap();
        let _ = session.finish(true).await.unwrap();
        let deadline = after((29 + u64::from(idle)) * 60_000);
        assert_eq!(expires_at(&at, &id).await, deadline);
    }
}

#[tokio::test]
async fn a_shorter_idle_timeout_of_the_manager_holds_from_the_next_write() {
    let at = at_of(Lifetime::new(80 * MINUTE, 1_000 * MINUTE));
    let id = at.stored().await;
    let stricter = obsession_core::SessionManager::builder(at.store.inner().clone())
        .clock(std::sync::Arc::clone(&at.clock))
        .lifetime(Lifetime::new(8 * MINUTE, 1_000 * MINUTE))
        .build();
    let session = stricter.open(Some(id.clone()));
    assert!(session.contains("cart").await.unwrap());
    let _ = session.finish(true).await.unwrap();
    assert_eq!(expires_at(&at, &id).await, after(80 * 60_000));
    let session = stricter.open(Some(id.clone()));
    session.insert("n", &1).unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(expires_at(&at, &id).await, after(8 * 60_000));
}

#[tokio::test]
async fn the_resolution_of_touches_can_be_set() {
    let at = at_with(|builder| {
        let builder = builder.lifetime(Lifetime::new(80 * MINUTE, 1_000 * MINUTE));
        builder.touch_every(MINUTE)
    });
    let id = at.stored().await;
    at.clock.set(after(59_999));
    assert_eq!(read(&at, &id).await, ["load"]);
    at.clock.set(after(60_000));
    assert_eq!(read(&at, &id).await, ["load", "touch"]);
    assert_eq!(read(&at, &id).await, ["load"]);
}

#[tokio::test]
async fn no_touch_goes_past_the_absolute_lifetime_and_none_comes_after_the_last() {
    let at = at_of(Lifetime::new(8 * MINUTE, 10 * MINUTE));
    let id = at.stored().await;
    at.pass(150);
    assert_eq!(read(&at, &id).await, ["load", "touch"]);
    assert_eq!(expires_at(&at, &id).await, after(600_000));
    for _ in 0..4 {
        at.pass(100);
        assert_eq!(read(&at, &id).await, ["load"]);
    }
    assert_eq!(expires_at(&at, &id).await, after(600_000));
}

#[tokio::test]
async fn a_lifetime_of_its_own_stays_with_the_session() {
    let at = at_of(Lifetime::new(MINUTE, 10 * MINUTE));
    let session = at.manager.open(None);
    session.insert("cart", &1).unwrap();
    let own = Lifetime::new(10 * MINUTE, 30 * MINUTE);
    session.set_lifetime(own).unwrap();
    let id = saved(&session).await;
    for _ in 0..5 {
        at.pass(300);
        let session = at.open(&id);
        session.update("n", |n: &mut u64| *n += 1).await.unwrap();
        let _ = session.finish(true).await.unwrap();
    }
    // It also outlives a sign-in.
    let session = at.open(&id);
    session.sign_in("user-42").unwrap();
    let id = saved(&session).await;
    at.pass(599);
    assert!(at.names(&id).await.is_some());
    at.pass(1);
    assert_eq!(at.names(&id).await, None);
}

#[tokio::test]
async fn a_shorter_absolute_lifetime_of_the_manager_holds_at_once() {
    let at = at_of(Lifetime::new(10 * MINUTE, 10 * MINUTE));
    let id = at.stored().await;
    let stricter = obsession_core::SessionManager::builder(at.store.inner().clone())
        .clock(std::sync::Arc::clone(&at.clock))
        .lifetime(Lifetime::new(MINUTE, 2 * MINUTE))
        .build();
    at.clock.set(after(119_999));
    assert!(stricter.load_id(id.clone()).await.unwrap().is_some());
    at.clock.set(after(120_000));
    assert!(stricter.load_id(id.clone()).await.unwrap().is_none());
    assert!(at.names(&id).await.is_some());
}

#[tokio::test]
async fn a_clock_that_steps_back_revives_nothing_and_breaks_nothing() {
    let at = at_of(Lifetime::new(10 * MINUTE, 60 * MINUTE));
    let id = at.stored().await;
    at.clock
        .set(Timestamp::from_millis(NOW.as_millis() - 3_600_000));
    assert_eq!(read(&at, &id).await, ["load"], "a touch would shorten it");
    assert_eq!(expires_at(&at, &id).await, after(600_000));
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    session.cycle().unwrap();
    let id = saved(&session).await;
    assert_eq!(at.names(&id).await.unwrap(), ["a", "cart"]);
    // A deadline is one whatever the clock did before.
    let deadline = expires_at(&at, &id).await;
    at.clock
        .set(Timestamp::from_millis(deadline.as_millis() - 1));
    assert!(at.names(&id).await.is_some());
    at.clock.set(deadline);
    assert_eq!(at.names(&id).await, None);
    at.clock.set(Timestamp::default());
    let session = at.manager.open(None);
    session.insert("a", &1).unwrap();
    let id = saved(&session).await;
    assert_eq!(at.names(&id).await.unwrap(), ["a"]);
}

/// A request of a client that is told to keep its token for a minute.
async fn kept(at: &At, id: &SessionId, writes: bool) -> ClientAction {
    let session = at.manager.open_with(Kept(id.clone(), MINUTE));
    assert!(session.contains("cart").await.unwrap());
    if writes {
        session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    }
    session.finish(true).await.unwrap()
}

/// There was one stamp for the data and the cookie. Whoever wrote on every request never had a
/// cookie that looked old, was never sent it again, and was logged out while active.
#[tokio::test]
async fn active_readers_and_active_writers_are_still_logged_in_after_three_max_ages() {
    for writes in [false, true] {
        let at = at();
        let id = at.stored().await;
        let (mut kept_until, mut told) = (after(60_000), 0);
        for second in 1..=180 {
            at.clock.set(after(second * 1000));
            assert!(after(second * 1000) < kept_until, "writes: {writes}");
            if let ClientAction::Set { id: again, max_age } = kept(&at, &id, writes).await {
                assert_eq!((again, max_age), (id.clone(), Some(MINUTE)));
                kept_until = after((second + 60) * 1000);
                told += 1;
            }
        }
        assert_eq!(told, 180 / 8, "writes: {writes}");
    }
}

#[tokio::test]
async fn the_client_is_told_again_after_an_eighth_of_its_max_age_and_not_before() {
    let at = at();
    let id = at.stored().await;
    let told = async || sent(kept(&at, &id, false).await).is_some();
    at.clock.set(after(7_499));
    assert!(!told().await);
    at.clock.set(after(7_500));
    assert!(told().await);
    assert!(!told().await);
    at.clock.set(after(14_999));
    assert!(!told().await);
    at.clock.set(after(15_000));
    // Not by a request that does not look, nor without a Max-Age.
    let untouched = at.manager.open_with(Kept(id.clone(), MINUTE));
    assert_eq!(untouched.finish(true).await.unwrap(), ClientAction::Keep);
    read(&at, &id).await;
    assert!(told().await);
}

#[tokio::test]
async fn remember_me_is_told_and_told_again() {
    let at = at();
    let id = at.stored().await;
    let own = Lifetime::new(8 * MINUTE, 20 * MINUTE).persistent();
    let session = at.open(&id);
    session.set_lifetime(own).unwrap();
    let told = session.finish(true).await.unwrap();
    let keep = |max_age| ClientAction::Set {
        id: id.clone(),
        max_age: Some(max_age),
    };
    assert_eq!(told, keep(8 * MINUTE));
    for _ in 0..2 {
        at.pass(420);
        let session = at.open(&id);
        session.contains("cart").await.unwrap();
        let left = after(20 * 60_000).saturating_since(at.clock.now());
        let told = session.finish(true).await.unwrap();
        assert_eq!(told, keep(left.min(8 * MINUTE)));
    }
    // A session of its own that is not persistent is kept until the browser is closed.
    let session = at.manager.open_with(Kept(id.clone(), MINUTE));
    session.set_lifetime(Lifetime::NIST_AAL2).unwrap();
    let told = session.finish(true).await.unwrap();
    assert_eq!(told, ClientAction::Set { id, max_age: None });
}

/// A request that had loaded the session touched it after another one had given it a shorter
/// lifetime, and it was served long after that had passed.
#[tokio::test]
async fn a_late_touch_does_not_undo_a_shorter_lifetime() {
    let at = at();
    let id = at.stored().await;
    at.pass(3 * 24 * 60 * 60);
    let late = at.open(&id);
    late.contains("cart").await.unwrap();
    let shorter = at.other(&id);
    let five_minutes = Duration::from_secs(300);
    shorter
        .set_lifetime(Lifetime::new(five_minutes, five_minutes * 2000))
        .unwrap();
    shorter.save().await.unwrap();
    let _ = late.finish(true).await.unwrap();
    assert!(!late.activity().touched && !late.activity().dropped);
    assert_eq!(at.store.calls(), ["load", "touch"]);
    assert_eq!(
        expires_at(&at, &id).await,
        at.clock.now().saturating_add(five_minutes)
    );
    at.pass(299);
    assert!(at.names(&id).await.is_some());
    at.pass(2);
    assert!(at.names(&id).await.is_none());
}

/// A write that is sent again has the deadline of its first time, so the touch that has become due since
/// is made as well.
#[tokio::test]
async fn a_write_that_is_sent_again_does_not_stand_in_for_a_touch() {
    let idle = Duration::from_secs(1800);
    let at = at_of(Lifetime::new(idle, idle * 100));
    let id = at.stored().await;
    let session = at.open(&id);
    session.contains("cart").await.unwrap();
    session.insert("n", &1).unwrap();
    at.store.plan([Fault::LoseRequest, Fault::LoseRequest]);
    session.save().await.unwrap_err();
    at.pass(600);
    let _ = session.finish(true).await.unwrap();
    assert!(session.activity().touched && session.activity().written == 1);
    let later = at.clock.now().saturating_add(idle);
    assert_eq!(expires_at(&at, &id).await, later);
}
