//! Ended sessions: empty at once, dead for everybody, and never revived.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Fault, at, saved, sent};
use obsession_core::{ClientAction, Error, SessionId};

#[tokio::test]
async fn a_delete_ends_the_session_at_once() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.delete().await.unwrap();
    assert!(at.store.inner().is_empty());
    assert_eq!(at.names(&id).await, None);
    assert!(session.is_empty().await.unwrap());
    assert!(!session.contains("cart").await.unwrap());
    assert_eq!(session.id().await.unwrap(), None);
    assert_eq!(session.key().await.unwrap(), None);
    assert_eq!(session.subject().await.unwrap(), None);
    assert_eq!(session.info().await.unwrap(), None);
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Clear);
    assert_eq!(at.store.calls(), ["load", "delete"]);
}

/// The old data came back under a new id, with the user who had just signed out.
#[tokio::test]
async fn a_write_after_a_delete_begins_a_fresh_session() {
    let at = at();
    let session = at.others.open(None);
    session.insert("cart", &["quince"]).unwrap();
    session.sign_in("user-42").unwrap();
    let id = saved(&session).await;

    let session = at.open(&id);
    session.insert("before", &1).unwrap();
    session.delete().await.unwrap();
    session.insert("flash", "bye").unwrap();
    assert_eq!(session.names().await.unwrap(), ["flash"]);
    let next = sent(session.finish(true).await.unwrap()).unwrap();
    assert_ne!(next.key(), id.key());
    assert_eq!(at.names(&next).await.unwrap(), ["flash"]);
    assert_eq!(at.other(&next).subject().await.unwrap(), None);
    assert_eq!(at.store.inner().len(), 1);
}

/// Every guard after a delete was taken for one of before it, and its change was lost.
#[tokio::test]
async fn a_guard_after_a_delete_changes_what_was_put_in_after_it() {
    let at = at();
    let session = at.manager.open(None);
    session.insert("before", &1).unwrap();
    let mut before = session.get_mut::<u64>("before").await.unwrap().unwrap();
    *before += 1;
    session.delete().await.unwrap();
    drop(before);
    session.insert("n", &1).unwrap();
    *session.get_mut::<u64>("n").await.unwrap().unwrap() += 1;
    assert_eq!(session.get::<u64>("n").await.unwrap(), Some(2));
    let id = sent(session.finish(true).await.unwrap()).unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["n"]);
    assert_eq!(at.other(&id).get::<u64>("n").await.unwrap(), Some(2));
}

/// Data that was set before was stored under no key at all, or the request failed.
#[tokio::test]
async fn what_was_set_before_a_delete_is_not_stored() {
    let at = at();
    let id = at.stored().await;
    for presented in [None, Some(id)] {
        let session = at.manager.open(presented);
        session.insert("a", &1).unwrap();
        session.sign_in("user-42").unwrap();
        session.delete().await.unwrap();
        assert!(session.is_empty().await.unwrap());
        session.save().await.unwrap();
        let _ = session.finish(true).await.unwrap();
        at.store.calls();
    }
    assert!(at.store.inner().is_empty());
}

#[tokio::test]
async fn a_save_after_a_delete_revives_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.contains("cart").await.unwrap();
    session.delete().await.unwrap();
    session.save().await.unwrap();
    session.save().await.unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Clear);
    assert_eq!(at.store.calls(), ["load", "delete"]);
    assert!(at.store.inner().is_empty());
}

#[tokio::test]
async fn a_second_delete_has_nothing_to_do() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.delete().await.unwrap();
    session.delete().await.unwrap();
    assert_eq!(at.store.calls(), ["load", "delete"]);
    // Two requests that both sign out.
    let id = at.stored().await;
    let late = at.open(&id);
    late.contains("cart").await.unwrap();
    at.other(&id).delete().await.unwrap();
    late.delete().await.unwrap();
    // The other's answer clears the cookie; by now there may be one of a newer login. To be sure
    // is no reason to clear that.
    late.delete().await.unwrap();
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
}

/// The client may have the newer token by then.
#[tokio::test]
async fn a_delete_is_not_told_after_another_request_has_replaced_the_next_token() {
    let changes: [fn(&obsession_core::Session); 2] = [
        |late| late.cycle().unwrap(),
        |late| late.insert("more", &1).unwrap(),
    ];
    for change in changes {
        let at = at();
        let id = at.stored().await;
        let session = at.open(&id);
        session.delete().await.unwrap();
        session.insert("flash", "bye").unwrap();
        let next = saved(&session).await;
        let winner = at.other(&next);
        winner.cycle().unwrap();
        saved(&winner).await;
        change(&session);
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    }
}

/// A sign-out whose session was not found left the client with its cookie.
#[tokio::test]
async fn a_delete_clears_what_the_client_sent_though_there_is_no_session() {
    let at = at();
    let unknown: SessionId = "x".repeat(40).parse().unwrap();
    let session = at.open(&unknown);
    assert!(session.is_empty().await.unwrap());
    session.delete().await.unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Clear);
    assert_eq!(at.store.calls(), ["load"]);

    let session = at.manager.open(None);
    session.delete().await.unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.calls(), [""; 0]);
}

#[tokio::test]
async fn a_delete_whose_load_failed_is_an_error_and_can_be_done_again() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    at.store.plan([Fault::Refuse]);
    let answer = session.delete().await;
    assert!(matches!(answer, Err(Error::Store(_))), "{answer:?}");
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
    session.delete().await.unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Clear);
    assert_eq!(at.names(&id).await, None);
}

#[tokio::test]
async fn a_delete_that_fails_says_so_and_the_cookie_stays() {
    for step in [Fault::Refuse, Fault::LoseRequest] {
        let at = at();
        let id = at.stored().await;
        let session = at.open(&id);
        session.contains("cart").await.unwrap();
        at.store.plan([step]);
        let answer = session.delete().await;
        assert!(matches!(answer, Err(Error::Store(_))), "{answer:?}");
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
        assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
    }
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_can_be_done_again() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    at.store.plan([Fault::Pass, Fault::LoseAnswer]);
    assert!(session.delete().await.is_err());
    session.delete().await.unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Clear);
    assert!(at.store.inner().is_empty());
}

/// The session was made, its save was answered "unknown", and the request signed out again: what
/// may have been stored must be gone, and must not be sent to the client.
#[tokio::test]
async fn a_delete_ends_a_session_whose_create_is_in_doubt() {
    for second in [Fault::LoseAnswer, Fault::LoseRequest] {
        let at = at();
        let session = at.manager.open(None);
        session.insert("user", "zoë").unwrap();
        at.store.plan([Fault::LoseAnswer, second]);
        assert!(session.save().await.is_err());
        session.delete().await.unwrap();
        assert!(session.is_empty().await.unwrap());
        let action = session.finish(true).await.unwrap();
        assert_eq!(sent(action), None);
        assert!(at.store.inner().is_empty());
    }
}

/// A slower request that had loaded the session before wrote it back.
#[tokio::test]
async fn a_late_save_is_dropped_and_told_so() {
    let at = at();
    let id = at.stored().await;
    let changes: [fn(&obsession_core::Session); 4] = [
        |late| late.insert("a", &1).unwrap(),
        |late| late.remove("cart").unwrap(),
        |late| late.cycle().unwrap(),
        |late| late.sign_in("mallory").unwrap(),
    ];
    let lates: Vec<_> = changes.map(|change| (at.open(&id), change)).into();
    for (late, _) in &lates {
        late.contains("cart").await.unwrap();
    }
    at.other(&id).delete().await.unwrap();
    for (late, change) in lates {
        change(&late);
        let answer = late.save().await;
        assert!(matches!(answer, Err(Error::Ended)), "{answer:?}");
        assert!(late.activity().dropped);
        assert!(late.is_empty().await.unwrap());
        let answer = late.insert("b", &1);
        assert!(matches!(answer, Err(Error::Ended)), "{answer:?}");
        assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    }
    assert!(at.store.inner().is_empty());
}

/// The cookie's renewal failed with an exception when the session had gone.
#[tokio::test]
async fn a_touch_of_a_session_that_is_gone_is_no_error() {
    let at = at();
    let id = at.stored().await;
    at.pass(3 * 24 * 60 * 60);
    let session = at.open(&id);
    session.contains("cart").await.unwrap();
    at.other(&id).delete().await.unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.calls(), ["load", "touch"]);
    assert!(at.store.inner().is_empty());
}
