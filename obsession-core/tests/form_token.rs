//! The token of forms: whose it is, until when, and what it does not give away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{at, at_with, saved};

#[tokio::test]
async fn a_form_of_the_session_is_accepted_and_no_other() {
    let at = at();
    let (id, other) = (at.stored().await, at.stored().await);
    let token = at.open(&id).form_token().await.unwrap().unwrap();
    assert!(at.open(&id).accepts_form_token(&token).await.unwrap());
    assert!(!at.open(&other).accepts_form_token(&token).await.unwrap());
    assert!(
        !at.manager
            .open(None)
            .accepts_form_token(&token)
            .await
            .unwrap()
    );
    for n in 0..token.len() {
        let mut wrong = token.clone().into_bytes();
        wrong[n] = if wrong[n] == b'0' { b'1' } else { b'0' };
        let wrong = String::from_utf8(wrong).unwrap();
        assert!(!at.open(&id).accepts_form_token(&wrong).await.unwrap());
    }
    for wrong in [
        "",
        "0",
        &token[1..],
        &token[2..],
        &format!("{token}00"),
        "ä",
    ] {
        assert!(!at.open(&id).accepts_form_token(wrong).await.unwrap());
    }
}

#[tokio::test]
async fn it_ends_with_the_sessions_token() {
    let at = at();
    let id = at.stored().await;
    let token = at.open(&id).form_token().await.unwrap().unwrap();
    let session = at.open(&id);
    session.sign_in("user-42").unwrap();
    // The page that this request makes is of the new token, and its own form was of the old one.
    let next = session.form_token().await.unwrap().unwrap();
    assert!(session.accepts_form_token(&token).await.unwrap());
    let id = saved(&session).await;
    assert!(!at.open(&id).accepts_form_token(&token).await.unwrap());
    assert!(at.open(&id).accepts_form_token(&next).await.unwrap());
}

#[tokio::test]
async fn it_is_of_one_realm() {
    let (at, shop) = (at(), at_with(|builder| builder.realm("shop")));
    let id = at.stored().await;
    let record = at.record(&id).await.unwrap();
    let _ = obsession_core::SessionStore::create(shop.store.inner(), &record)
        .await
        .unwrap();
    let token = at.open(&id).form_token().await.unwrap().unwrap();
    assert!(!shop.open(&id).accepts_form_token(&token).await.unwrap());
}

/// Nothing is stored for it, no two are alike, and neither the session's token nor the hash that the
/// store keeps is in it.
#[tokio::test]
async fn it_costs_no_write_and_shows_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    let token = session.form_token().await.unwrap().unwrap();
    assert_ne!(session.form_token().await.unwrap().unwrap(), token);
    assert_eq!(at.manager.open(None).form_token().await.unwrap(), None);
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load"]);
    assert!(!token.contains(&id.expose()[16..]));
    let bytes: Vec<u8> = (0..token.len())
        .step_by(2)
        .map(|n| u8::from_str_radix(&token[n..n + 2], 16).unwrap())
        .collect();
    let unmasked: Vec<u8> = bytes[..16]
        .iter()
        .zip(&bytes[16..])
        .map(|(a, b)| a ^ b)
        .collect();
    let record = at.record(&id).await.unwrap();
    assert!(!record.body.windows(8).any(|part| part == &unmasked[..8]));
}
