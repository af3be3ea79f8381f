//! The other headers of a response: caches, and cookies that are not ours.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{call, ok, seen, site, stored};
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE, VARY};
use http::{Response, StatusCode};
use obsession_core::Session;

const STATUS: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::NOT_MODIFIED,
    StatusCode::NOT_FOUND,
    StatusCode::INTERNAL_SERVER_ERROR,
];

fn answer(status: StatusCode, cache_control: Option<&'static str>) -> Response<String> {
    let mut answer = ok();
    *answer.status_mut() = status;
    if let Some(value) = cache_control {
        answer
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static(value));
    }
    answer
}

fn all(headers: &HeaderMap, name: http::HeaderName) -> Vec<&str> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

#[tokio::test]
async fn co_07_a_cookie_comes_with_no_store_and_never_with_public() {
    let (_, manager) = seen();
    for status in STATUS {
        for (handler, sent) in [
            (None, "no-store"),
            (Some("public, max-age=60"), "no-store"),
            (Some("private"), "no-store"),
            (Some("s-maxage=60"), "no-store"),
            (Some("no-store, public"), "no-store"),
            (Some("no-store, max-age=0"), "no-store, max-age=0"),
            (Some("No-Store"), "No-Store"),
            (Some("private, no-store"), "private, no-store"),
            (Some("no-store, s-maxage=60"), "no-store"),
            (Some("private=\"a, no-store, b\""), "no-store"),
            (Some("a=\"\\\", no-store"), "no-store"),
        ] {
            let service = site(&manager, move |session: Session| async move {
                session.insert("n", &1).unwrap();
                session.save().await.unwrap();
                answer(status, handler)
            });
            let answer = call(&service, None).await;
            common::token_of(&answer);
            assert_eq!(
                all(answer.headers(), CACHE_CONTROL),
                [sent],
                "{status} {handler:?}"
            );
        }
    }
}

/// Caches that honour these do not look at Cache-Control (RFC 9213 2.2).
#[tokio::test]
async fn co_07_what_is_meant_for_some_caches_alone_does_not_let_them_keep_a_cookie() {
    let (_, manager) = seen();
    for name in ["cdn-cache-control", "surrogate-control"] {
        for changes in [true, false] {
            let service = site(&manager, move |session: Session| async move {
                if changes {
                    session.insert("n", &1).unwrap();
                }
                let mut answer = ok();
                let long = HeaderValue::from_static("max-age=600");
                answer.headers_mut().insert(name, long);
                answer
            });
            let answer = call(&service, None).await;
            let sent = if changes { "no-store" } else { "max-age=600" };
            assert_eq!(answer.headers()[name], sent);
            assert_eq!(answer.headers().contains_key(CACHE_CONTROL), changes);
        }
    }
}

#[tokio::test]
async fn co_07_without_a_cookie_the_handlers_word_on_caching_stands() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    for status in STATUS {
        for handler in [None, Some("public, max-age=60"), Some("private")] {
            for looks in [false, true] {
                let service = site(&manager, move |session: Session| async move {
                    if looks {
                        session.contains("cart").await.unwrap();
                    }
                    answer(status, handler)
                });
                let answer = call(&service, Some(&id)).await;
                let sent: Vec<_> = handler.into_iter().collect();
                assert_eq!(all(answer.headers(), CACHE_CONTROL), sent);
                assert_eq!(answer.headers().contains_key(VARY), looks, "{status}");
            }
        }
    }
}

#[tokio::test]
async fn co_07_vary_is_added_once() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    for (handler, sent) in [
        (None, vec!["cookie"]),
        (Some("accept-encoding"), vec!["accept-encoding", "cookie"]),
        (Some("Cookie"), vec!["Cookie"]),
        (Some("accept, cookie"), vec!["accept, cookie"]),
        (Some("*"), vec!["*"]),
        (Some("cookie-jar"), vec!["cookie-jar", "cookie"]),
    ] {
        let service = site(&manager, move |session: Session| async move {
            session.contains("cart").await.unwrap();
            let mut answer = ok();
            if let Some(value) = handler {
                answer
                    .headers_mut()
                    .insert(VARY, HeaderValue::from_static(value));
            }
            answer
        });
        let answer = call(&service, Some(&id)).await;
        assert_eq!(all(answer.headers(), VARY), sent);
    }
}

#[tokio::test]
async fn co_03_at_most_one_cookie_of_our_name_and_others_as_they_were() {
    let (_, manager) = seen();
    let own = "__Host-id=mallory; Path=/; Secure";
    let others = [
        "a=1; Path=/",
        "x__Host-id=2",
        "__host-id=3",
        "b=__Host-id=4",
    ];
    for changes in [true, false] {
        let service = site(&manager, move |session: Session| async move {
            if changes {
                session.insert("n", &1).unwrap();
            }
            let mut answer = ok();
            for cookie in [others[0], own, others[1], own, others[2], others[3]] {
                answer
                    .headers_mut()
                    .append(SET_COOKIE, HeaderValue::from_static(cookie));
            }
            answer
        });
        let answer = call(&service, None).await;
        let sent = all(answer.headers(), SET_COOKIE);
        let ours = sent
            .iter()
            .filter(|cookie| cookie.starts_with("__Host-id="))
            .count();
        assert_eq!(ours, if changes { 1 } else { 2 });
        let kept: Vec<_> = sent
            .iter()
            .filter(|c| !c.starts_with("__Host-id="))
            .collect();
        assert_eq!(kept, others.iter().collect::<Vec<_>>());
        assert_eq!(sent.contains(&own), !changes);
    }
}

/// Python bug 5: the session's cookie was added to a header list that the application used again.
#[tokio::test]
async fn headers_that_an_application_uses_again_hold_no_cookie() {
    static SHARED: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(|| {
        HeaderMap::from_iter([(VARY, HeaderValue::from_static("accept"))])
    });
    let (_, manager) = seen();
    for _ in 0..2 {
        let service = site(&manager, |session: Session| async move {
            session.insert("n", &1).unwrap();
            let mut answer = ok();
            answer.headers_mut().clone_from(&SHARED);
            answer
        });
        common::token_of(&call(&service, None).await);
        assert_eq!(SHARED.len(), 1);
    }
}
