//! Who is signed in, and since when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Fault, at, saved};
use obsession_core::Refusal;

const WITHIN: Duration = Duration::from_secs(600);

#[tokio::test]
async fn nobody_is_signed_in_without_a_session_or_a_subject() {
    let at = at();
    let id = at.stored().await;
    for session in [at.manager.open(None), at.open(&id)] {
        let who = session.require_subject().await;
        assert!(matches!(who, Err(Refusal::NotSignedIn)));
        let who = session.require_recent_sign_in(WITHIN).await;
        assert!(matches!(who, Err(Refusal::NotSignedIn)));
    }
}

#[tokio::test]
async fn a_sign_in_is_recent_for_so_long_and_use_does_not_renew_it() {
    let at = at();
    let session = at.manager.open(None);
    session.sign_in("user-42").unwrap();
    assert_eq!(
        &*session.require_recent_sign_in(WITHIN).await.unwrap(),
        "user-42"
    );
    let id = saved(&session).await;
    at.pass(599);
    let session = at.open(&id);
    session.insert("n", &1).unwrap();
    session.save().await.unwrap();
    assert_eq!(
        &*session.require_recent_sign_in(WITHIN).await.unwrap(),
        "user-42"
    );
    at.pass(1);
    let session = at.open(&id);
    let who = session.require_recent_sign_in(WITHIN).await;
    assert!(matches!(who, Err(Refusal::TooLongAgo)));
    assert_eq!(&*session.require_subject().await.unwrap(), "user-42");
    session.sign_in("user-42").unwrap();
    let id = saved(&session).await;
    let session = at.open(&id);
    assert_eq!(
        &*session.require_recent_sign_in(WITHIN).await.unwrap(),
        "user-42"
    );
}

#[tokio::test]
async fn a_store_that_is_down_is_not_nobody() {
    let at = at();
    let id = at.stored().await;
    at.store.set_always(Fault::Refuse);
    let who = at.open(&id).require_subject().await;
    assert!(matches!(who, Err(Refusal::Failed(_))));
}
