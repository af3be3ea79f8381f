//! A sign-in, a read and a write set out together with the token from before. Whatever the order in
//! which they look at the session, end, and arrive, the browser is signed in afterwards.
//!
//! A response that came late used to set or clear the cookie of the sign-in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use common::{Answer, call, cookie_of, ok, seen, site, stored, token_of};
use http::StatusCode;
use obsession_core::SessionId;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const SIGNS_IN: usize = 0;
const READS: usize = 1;
const WRITES: usize = 2;
const ORDERS: [[usize; 3]; 6] = [
    [SIGNS_IN, READS, WRITES],
    [SIGNS_IN, WRITES, READS],
    [READS, SIGNS_IN, WRITES],
    [READS, WRITES, SIGNS_IN],
    [WRITES, SIGNS_IN, READS],
    [WRITES, READS, SIGNS_IN],
];

/// The answers to the three requests, which end in this order, each after the one before it. They all
/// look at the session before the first of them ends, or when it is their turn.
async fn answers(order: [usize; 3], look_first: bool) -> (Vec<Answer>, SessionId, bool) {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    let mut turns = Vec::new();
    let looked = Arc::new(Semaphore::new(0));
    let mut requests: Vec<JoinHandle<Answer>> = Vec::new();
    for what in [SIGNS_IN, READS, WRITES] {
        let turn = Arc::new(Semaphore::new(0));
        turns.push(Arc::clone(&turn));
        let looked = Arc::clone(&looked);
        let service = site(&manager, move |session| {
            let (turn, looked) = (Arc::clone(&turn), Arc::clone(&looked));
            async move {
                if look_first {
                    assert_eq!(session.subject().await.unwrap(), None);
                }
                looked.add_permits(1);
                turn.acquire().await.unwrap().forget();
                match what {
                    SIGNS_IN => session.sign_in("zoë").unwrap(),
                    READS => drop(session.names().await.unwrap()),
                    _ => session.insert("cart", &["medlar"]).unwrap(),
                }
                ok()
            }
        });
        let id = id.clone();
        requests.push(tokio::spawn(async move { call(&service, Some(&id)).await }));
    }
    looked.acquire_many(3).await.unwrap().forget();
    let mut answers: [Option<Answer>; 3] = Default::default();
    for what in order {
        turns[what].add_permits(1);
        answers[what] = Some((&mut requests[what]).await.unwrap());
    }
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    // What is stored is the signed-in user's, and nobody else gets at it.
    let new = token_of(&answers[SIGNS_IN]);
    let session = manager.load_id(new.clone()).await.unwrap().unwrap();
    assert_eq!(session.subject().await.unwrap().as_deref(), Some("zoë"));
    let cart: Vec<String> = session.get("cart").await.unwrap().unwrap();
    assert!(manager.load_id(id).await.unwrap().is_none());
    (answers, new, cart == ["medlar"])
}

#[tokio::test]
async fn whoever_sets_out_before_a_sign_in_neither_sets_nor_clears_its_cookie() {
    for look_first in [true, false] {
        for ended in ORDERS {
            let (answers, new, written) = answers(ended, look_first).await;
            let at = format!("{ended:?} {look_first}");
            for what in [READS, WRITES] {
                assert_eq!(cookie_of(answers[what].headers()), None, "{at}");
                assert_eq!(answers[what].status(), StatusCode::OK, "{at}");
            }
            // What comes before the sign-in is kept; what comes after is not the signed-in user's.
            let place = |what| ended.iter().position(|other| *other == what);
            assert_eq!(written, place(WRITES) < place(SIGNS_IN), "{at}");
            for arrived in ORDERS {
                let mut jar = None;
                for what in arrived {
                    if let Some(cookie) = cookie_of(answers[what].headers()) {
                        jar = Some(common::wire::pair(cookie));
                    }
                }
                let kept = jar.and_then(|pair| pair.strip_prefix("__Host-id="));
                assert_eq!(kept, Some(new.expose()), "{at} {arrived:?}");
            }
        }
    }
}
