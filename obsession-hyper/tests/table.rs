//! What a request does to the store and to the cookie: the table of `SessionService`, by row.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Answer, call, cookie_of, late_change, ok, seen, site, stored, token_of};
use http::{Response, StatusCode};
use obsession_core::conformance::Fault;
use obsession_core::{
    Clock, Lifetime, ManualClock, MemoryStore, Session, SessionManager, Timestamp,
};

const CLEARED: &str = "__Host-id=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";

fn seconds(clock: &ManualClock) -> u64 {
    clock.now().as_millis() / 1000
}

fn status(answer: &Answer) -> StatusCode {
    answer.status()
}

#[tokio::test]
async fn untouched_nothing_and_nothing() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |_| async { ok() });
    for id in [None, Some(&id)] {
        let answer = call(&service, id).await;
        assert_eq!(cookie_of(answer.headers()), None);
        assert!(answer.headers().is_empty());
        assert_eq!(store.calls(), [""; 0]);
    }
}

#[tokio::test]
async fn read_one_load_and_no_cookie() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session| async move {
        assert!(session.contains("cart").await.unwrap());
        assert!(!session.contains("other").await.unwrap());
        ok()
    });
    let answer = call(&service, Some(&id)).await;
    assert_eq!(cookie_of(answer.headers()), None);
    assert_eq!(store.calls(), ["load"]);
}

#[tokio::test]
async fn read_without_a_cookie_no_call_and_no_cookie() {
    let (store, manager) = seen();
    let service = site(&manager, |session| async move {
        assert!(session.is_empty().await.unwrap());
        ok()
    });
    let answer = call(&service, None).await;
    assert_eq!(cookie_of(answer.headers()), None);
    assert_eq!(store.calls(), [""; 0]);
}

#[tokio::test]
async fn changed_load_and_update_and_no_cookie() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session| async move {
        session.insert("theme", "dark").unwrap();
        session.remove("cart").unwrap();
        ok()
    });
    let answer = call(&service, Some(&id)).await;
    assert_eq!(cookie_of(answer.headers()), None);
    assert_eq!(store.calls(), ["load", "update"]);
    let names = manager.open(Some(id)).names().await.unwrap();
    assert_eq!(names, ["theme"]);
}

#[tokio::test]
async fn changed_id_load_and_update_and_a_cookie() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session| async move {
        session.sign_in("user-42").unwrap();
        session.insert("theme", "dark").unwrap();
        ok()
    });
    let answer = call(&service, Some(&id)).await;
    assert_eq!(store.calls(), ["load", "update"]);
    let next = token_of(&answer);
    assert_ne!(next, id);
    assert!(manager.load_id(id).await.unwrap().is_none());
    assert!(manager.load_id(next).await.unwrap().is_some());
}

#[tokio::test]
async fn changed_lifetime_sends_the_same_token_for_longer() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    let service = site(&manager, |session| async move {
        session
            .set_lifetime(Lifetime::default().persistent())
            .unwrap();
        ok()
    });
    let answer = call(&service, Some(&id)).await;
    assert_eq!(token_of(&answer), id);
    let cookie = cookie_of(answer.headers()).unwrap();
    assert!(cookie.ends_with("; Max-Age=1209600"), "{}", cookie.len());
}

#[tokio::test]
async fn made_create_and_a_cookie() {
    let (store, manager) = seen();
    let service = site(&manager, |session| async move {
        session.insert("theme", "dark").unwrap();
        ok()
    });
    let answer = call(&service, None).await;
    assert_eq!(store.calls(), ["create"]);
    let cookie = cookie_of(answer.headers()).unwrap();
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
    assert!(manager.load_id(token_of(&answer)).await.unwrap().is_some());
}

#[tokio::test]
async fn deleted_load_and_delete_and_a_cleared_cookie() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session| async move {
        session.delete().await.unwrap();
        ok()
    });
    let answer = call(&service, Some(&id)).await;
    assert_eq!(cookie_of(answer.headers()), Some(CLEARED));
    assert_eq!(store.calls(), ["load", "delete"]);
    // A second time there is nothing to delete, and the client is helped all the same.
    let answer = call(&service, Some(&id)).await;
    assert_eq!(cookie_of(answer.headers()), Some(CLEARED));
    assert_eq!(store.calls(), ["load"]);
    let answer = call(&service, None).await;
    assert_eq!(cookie_of(answer.headers()), None);
}

#[tokio::test]
async fn deleted_and_begun_again_one_cookie_with_a_fresh_token() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session| async move {
        session.delete().await.unwrap();
        assert!(session.is_empty().await.unwrap());
        session.insert("flash", "bye").unwrap();
        ok()
    });
    let answer = call(&service, Some(&id)).await;
    assert_eq!(store.calls(), ["load", "delete", "create"]);
    assert_ne!(token_of(&answer).key(), id.key());
    assert_eq!(store.inner().len(), 1);
}

#[tokio::test]
async fn missing_stale_or_ended_elsewhere_nothing() {
    let (store, manager) = seen();
    let read = site(&manager, |session| async move {
        assert!(session.is_empty().await.unwrap());
        ok()
    });
    // Missing.
    let gone = stored(&manager).await;
    manager.open(Some(gone.clone())).delete().await.unwrap();
    // Stale.
    let stale = stored(&manager).await;
    let session = manager.open(Some(stale.clone()));
    session.cycle().unwrap();
    session.save().await.unwrap();
    store.calls();
    for id in [&gone, &stale] {
        let answer = call(&read, Some(id)).await;
        assert_eq!(cookie_of(answer.headers()), None);
        assert_eq!(store.calls(), ["load"]);
    }
    // Ended while the request was under way, with a change that is too late.
    let id = stored(&manager).await;
    let ended = site(&manager, late_change);
    let answer = call(&ended, Some(&id)).await;
    assert_eq!(status(&answer), StatusCode::OK);
    assert_eq!(cookie_of(answer.headers()), None);
    assert!(manager.load_id(id).await.unwrap().is_none());
}

#[tokio::test]
async fn store_failed_503_and_the_old_cookie_works_after_recovery() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    let service = site(&manager, |session| async move {
        session.insert("theme", "dark").unwrap();
        ok()
    });
    let untouched = site(&manager, |_| async { ok() });
    store.set_always(Fault::Refuse);
    for id in [None, Some(&id)] {
        let answer = call(&service, id).await;
        assert_eq!(status(&answer), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(cookie_of(answer.headers()), None);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(status(&call(&untouched, id).await), StatusCode::OK);
    }
    store.set_always(Fault::Pass);
    assert_eq!(store.inner().len(), 1);
    assert!(manager.load_id(id).await.unwrap().is_some());
}

#[tokio::test]
async fn store_failed_answer_is_configurable() {
    let (store, manager) = seen();
    let service = site(&manager, |session| async move {
        session.insert("theme", "dark").unwrap();
        ok()
    })
    .on_failure(|error| {
        assert!(matches!(error, obsession_core::Error::Store(_)));
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        answer
    });
    store.set_always(Fault::Refuse);
    let answer = call(&service, None).await;
    assert_eq!(status(&answer), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_failed_handler_saves_nothing_more() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session| async move {
        session.insert("saved", &1).unwrap();
        session.save().await.unwrap();
        session.insert("dropped", &1).unwrap();
        let mut answer = ok();
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer
    });
    let answer = call(&service, Some(&id)).await;
    assert_eq!(status(&answer), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(store.calls(), ["load", "update"]);
    let names = manager.open(Some(id)).names().await.unwrap();
    assert_eq!(names, ["cart", "saved"]);
}

/// Python bug 22: one stamp for data and cookie logged out whoever wrote on every request.
#[tokio::test]
async fn active_readers_and_writers_are_both_sent_their_cookie_again() {
    let clock = std::sync::Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    for writes in [false, true] {
        let store = MemoryStore::builder()
            .clock(std::sync::Arc::clone(&clock))
            .build();
        let manager = SessionManager::builder(store)
            .clock(std::sync::Arc::clone(&clock))
            .build();
        let id = stored(&manager).await;
        let inner = hyper::service::service_fn(move |request: http::Request<String>| async move {
            let session = request.extensions().get::<Session>().unwrap();
            session.contains("cart").await.unwrap();
            if writes {
                session.update("n", |n: &mut u64| *n += 1).await.unwrap();
            }
            Ok(ok())
        });
        let cookie = obsession_hyper::Cookie::builder("__Host-id")
            .max_age(Duration::from_secs(60))
            .build()
            .unwrap();
        let service = obsession_hyper::SessionService::new(inner, manager, cookie);
        let (mut kept_until, mut reissued) = (seconds(&clock) + 60, 0);
        for _ in 0..36 {
            clock.advance(Duration::from_secs(5));
            assert!(seconds(&clock) < kept_until, "the browser dropped it");
            let answer = call(&service, Some(&id)).await;
            if let Some(cookie) = cookie_of(answer.headers()) {
                assert!(cookie.ends_with("; Max-Age=60"), "{writes}");
                kept_until = seconds(&clock) + 60;
                reissued += 1;
            }
        }
        // At most once per eighth of a minute, and here every ten seconds.
        assert_eq!(reissued, 18, "writes: {writes}");
    }
}

/// The handler signed in and saved, and what it changed after that could not be saved: the error's
/// answer left the client with the token that the sign-in had ended.
#[tokio::test]
async fn what_was_acknowledged_is_told_also_when_the_rest_fails() {
    for fails in [false, true] {
        let (store, manager) = seen();
        let id = stored(&manager).await;
        let broken = std::sync::Arc::clone(&store);
        let service = site(&manager, move |session| {
            let store = std::sync::Arc::clone(&broken);
            async move {
                session.sign_in("user-42").unwrap();
                session.save().await.unwrap();
                if fails {
                    session.insert("a", &1).unwrap();
                    store.set_always(Fault::Refuse);
                } else {
                    session.insert("large", &"x".repeat(100_000)).unwrap();
                }
                ok()
            }
        });
        let answer = call(&service, Some(&id)).await;
        assert!(status(&answer).is_server_error());
        store.set_always(Fault::Pass);
        let next = token_of(&answer);
        assert!(manager.load_id(id).await.unwrap().is_none());
        assert!(manager.load_id(next).await.unwrap().is_some());
    }
}
