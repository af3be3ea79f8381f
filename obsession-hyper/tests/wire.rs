//! The table of `SessionService` from outside: real sockets, HTTP/1 and HTTP/2.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;

use common::wire::{Client, VERSIONS, Version, pair, serve};
use common::{Seen, cookie_of, seen};
use http::header::COOKIE;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use obsession_core::Session;
use obsession_core::conformance::Fault;
use obsession_hyper::{Cookie, SessionService};

const CLEARED: &str = "__Host-id=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";

async fn handle(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let session = request.extensions().get::<Session>().unwrap();
    let body = match request.uri().path() {
        "/read" => session.get::<u64>("n").await.map(|n| format!("{n:?}")),
        "/count" => session
            .update("n", |n: &mut u64| *n += 1)
            .await
            .map(|()| String::new()),
        "/sign-in" => session.sign_in("user-42").map(|()| String::new()),
        "/end" => session.delete().await.map(|()| String::new()),
        _ => Ok("nobody looked".to_owned()),
    };
    Ok(body.map_or_else(
        |_| {
            let mut answer = Response::new(String::new());
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        },
        Response::new,
    ))
}

async fn site(version: Version) -> (Arc<Seen>, Client) {
    let (store, manager) = seen();
    let service = SessionService::new(service_fn(handle), manager, Cookie::default());
    let address = serve(service).await;
    (store, Client::connect(address, version).await)
}

#[tokio::test]
async fn a_session_lives_from_its_first_cookie_to_its_last() {
    for version in VERSIONS {
        let (store, mut client) = site(version).await;

        let answer = client.get("/", None).await;
        assert_eq!(answer.body(), "nobody looked", "{version:?}");
        assert!(!answer.headers().contains_key("vary"));
        assert_eq!(store.calls(), [""; 0]);

        let answer = client.get("/count", None).await;
        let first = pair(cookie_of(answer.headers()).unwrap()).to_owned();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(store.calls(), ["create"]);

        let answer = client.get("/read", Some(&first)).await;
        assert_eq!(answer.body(), "Some(1)");
        assert_eq!(answer.headers()["vary"], "cookie");
        assert_eq!(cookie_of(answer.headers()), None);
        assert_eq!(store.calls(), ["load"]);

        let answer = client.get("/count", Some(&first)).await;
        assert_eq!(cookie_of(answer.headers()), None);
        assert_eq!(store.calls(), ["load", "update"]);

        let answer = client.get("/sign-in", Some(&first)).await;
        let second = pair(cookie_of(answer.headers()).unwrap()).to_owned();
        assert_ne!(first, second);
        assert_eq!(store.calls(), ["load", "update"]);

        // The one before the sign-in is dead, and the answer does not take the new one away.
        let answer = client.get("/read", Some(&first)).await;
        assert_eq!(answer.body(), "None");
        assert_eq!(cookie_of(answer.headers()), None);
        assert_eq!(store.calls(), ["load"]);

        let answer = client.get("/end", Some(&second)).await;
        assert_eq!(cookie_of(answer.headers()), Some(CLEARED));
        assert_eq!(store.calls(), ["load", "delete"]);
        assert_eq!(store.inner().len(), 0);
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_503_with_an_empty_body_where_the_session_is_changed() {
    for version in VERSIONS {
        let (store, mut client) = site(version).await;
        let answer = client.get("/count", None).await;
        let cookie = pair(cookie_of(answer.headers()).unwrap()).to_owned();
        store.set_always(Fault::Refuse);
        let answer = client.get("/sign-in", Some(&cookie)).await;
        assert_eq!(
            answer.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "{version:?}"
        );
        assert_eq!(answer.body(), "");
        assert_eq!(cookie_of(answer.headers()), None);
        let answer = client.get("/", Some(&cookie)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        store.set_always(Fault::Pass);
        assert_eq!(client.get("/read", Some(&cookie)).await.body(), "Some(1)");
    }
}

/// A browser may split its cookies over many lines in HTTP/2 (RFC 9113 8.2.3), and some clients do
/// so in HTTP/1.
#[tokio::test]
async fn ci_03_a_cookie_is_found_in_every_line() {
    for version in VERSIONS {
        let (_, mut client) = site(version).await;
        let answer = client.get("/count", None).await;
        let cookie = pair(cookie_of(answer.headers()).unwrap()).to_owned();
        for at in 0..40 {
            let mut lines = vec![(COOKIE, "crumb=1"); 40];
            lines[at] = (COOKIE, &cookie);
            let answer = client.send("/read", &lines).await;
            assert_eq!(answer.body(), "Some(1)", "{version:?}, line {at}");
        }
    }
}
