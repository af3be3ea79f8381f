//! One store for several applications: a token of one is worthless to the others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use common::{at, saved};
use obsession_core::{ClientAction, Clock, Error, SessionManager};

const REALMS: [&str; 4] = ["", "shop", "shop2", "__Host-id"];

#[tokio::test]
async fn a_token_works_in_its_own_realm_and_in_no_other() {
    let at = at();
    let managers = REALMS.map(|realm| {
        SessionManager::builder(at.store.inner().clone())
            .clock(Arc::clone(&at.clock))
            .realm(realm)
            .build()
    });
    for (home, own) in managers.iter().enumerate() {
        for (there, other) in managers.iter().enumerate() {
            let session = own.open(None);
            session.insert("cart", &["quince"]).unwrap();
            session.sign_in("user-42").unwrap();
            let id = saved(&session).await;
            let found = other.load_id(id.clone()).await.unwrap();
            assert_eq!(found.is_some(), there == home, "{home} in {there}");
            if there == home {
                continue;
            }
            let before = at.record(&id).await;
            let stranger = other.open(Some(id.clone()));
            assert!(stranger.is_empty().await.unwrap());
            assert_eq!(stranger.subject().await.unwrap(), None);
            let _ = stranger.insert("cart", &["stolen"]);
            assert_eq!(stranger.finish(true).await.unwrap(), ClientAction::Keep);
            let refused = other.open(Some(id.clone())).delete().await;
            assert!(matches!(refused, Err(Error::Ended)), "{refused:?}");
            // Also long after, when it can be no request that was under way.
            at.pass(120);
            let stranger = other.open(Some(id.clone()));
            stranger.insert("cart", &["stolen"]).unwrap();
            assert_ne!(saved(&stranger).await.key(), id.key());
            other.open(Some(id.clone())).delete().await.unwrap();
            assert_eq!(at.record(&id).await, before);
        }
    }
}

/// All applications of a process shared one backend and one cookie, as default arguments of a
/// module.
#[tokio::test]
async fn two_managers_share_nothing_that_was_not_given_to_both() {
    let (one, two) = (at(), at());
    let id = one.stored().await;
    assert!(two.manager.load_id(id.clone()).await.unwrap().is_none());
    two.stored().await;
    assert_eq!(one.store.inner().len(), 1);
    one.pass(1_000_000_000);
    assert!(one.manager.load_id(id).await.unwrap().is_none());
    assert_eq!(two.clock.as_ref().now(), common::NOW);
}
