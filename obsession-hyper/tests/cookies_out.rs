//! Cookies out, row by row: `co_04` is CO-4 of the list of requirements. `co_02` and `co_06` are in
//! `cookie.rs`, `co_03` and `co_07` in `headers.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{all, call, cookie_of, ok, seen, site, stored, token_of};
use hyper::service::service_fn;
use obsession_core::Session;
use obsession_core::conformance::Fault;
use obsession_hyper::{Cookie, SessionLayer};
use proptest::prelude::*;

async fn end(session: Session) -> http::Response<String> {
    session.delete().await.unwrap();
    ok()
}

#[tokio::test]
async fn co_01_the_default_cookie_is_this_one() {
    let (_, manager) = seen();
    let service = site(&manager, |session: Session| async move {
        session.insert("a", &1).unwrap();
        ok()
    });
    let answer = call(&service, None).await;
    let id = token_of(&answer);
    let cookie = format!(
        "__Host-id={}; Path=/; Secure; HttpOnly; SameSite=Lax",
        id.expose()
    );
    assert_eq!(cookie_of(answer.headers()), Some(cookie.as_str()));
}

/// Whichever call fails, and however, the answer is an error and says nothing of an id that may not
/// be. What a lost answer hides is made when it is sent again.
#[tokio::test]
async fn co_04_a_cookie_is_sent_when_the_store_has_said_yes_and_not_before() {
    let handler = |session: Session| async move {
        session.insert("a", &1).unwrap();
        session.sign_in("user-42").unwrap();
        ok()
    };
    for fault in [Fault::Refuse, Fault::LoseRequest, Fault::LoseAnswer] {
        for begun in [false, true] {
            for at in 0..if begun { 2 } else { 1 } {
                let (store, manager) = seen();
                let id = if begun {
                    Some(stored(&manager).await)
                } else {
                    None
                };
                let mut plan = vec![Fault::Pass; at];
                plan.extend(vec![fault.clone(); 100]);
                store.plan(plan);
                let answer = call(&site(&manager, handler), id.as_ref()).await;
                assert_eq!(answer.status(), 503, "{fault:?} {begun} {at}");
                assert_eq!(cookie_of(answer.headers()), None);
                assert_eq!(all(&answer, "cache-control"), ["no-store"]);
            }
        }
    }
}

/// The removal repeats every attribute. That it is sent when a client signs out, whatever it
/// presented, is in `python.rs`. It is not sent because a session was not found: of two requests at
/// once the late one would take away what the other was given.
#[tokio::test]
async fn co_05_the_removal_repeats_name_and_attributes() {
    let cookie = Cookie::builder("__Secure-shop")
        .path("/shop")
        .domain("example.org")
        .partitioned(true)
        .build()
        .unwrap();
    let (_, manager) = seen();
    let sets = common::site_with(&manager, cookie.clone(), |session: Session| async move {
        session.insert("a", &1).unwrap();
        ok()
    });
    let set = common::ask(&sets, &[]).await;
    let set = cookie_of(set.headers()).unwrap().to_owned();
    let clears = common::site_with(&manager, cookie, end);
    let clear = common::ask(&clears, &[("cookie", common::wire::pair(&set))]).await;
    let (_, attributes) = set.split_once(';').unwrap();
    let expected = format!("__Secure-shop=;{attributes}; Max-Age=0");
    assert_eq!(cookie_of(clear.headers()), Some(expected.as_str()));
}

#[tokio::test]
async fn co_08_a_sign_out_can_clear_what_the_site_has_stored() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    let line = format!("__Host-id={}", id.expose());
    for (own, sent) in [(None, r#""cache", "storage""#), (Some("\"*\""), "\"*\"")] {
        let service = service_fn(move |request: http::Request<String>| async move {
            let session = request.extensions().get::<Session>().unwrap();
            session.delete().await.unwrap();
            let mut answer = ok();
            if let Some(own) = own {
                answer
                    .headers_mut()
                    .insert("clear-site-data", own.parse().unwrap());
            }
            Ok::<_, std::convert::Infallible>(answer)
        });
        let layer = SessionLayer::new(manager.clone(), Cookie::default());
        let plain = common::ask(&layer.layer(service), &[("cookie", &line)]).await;
        assert_eq!(all(&plain, "clear-site-data"), Vec::from_iter(own));
        let clearing = layer.clear_site_data().layer(service);
        let answer = common::ask(&clearing, &[("cookie", &line)]).await;
        assert_eq!(all(&answer, "clear-site-data"), [sent]);
        // Where there is nothing to forget, and where there is something to keep.
        let sets = service_fn(async |request: http::Request<String>| {
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("a", &1).unwrap();
            Ok::<_, std::convert::Infallible>(ok())
        });
        let keeping = SessionLayer::new(manager.clone(), Cookie::default())
            .clear_site_data()
            .layer(sets);
        let answer = common::ask(&keeping, &[]).await;
        common::token_of(&answer);
        assert_eq!(all(&answer, "clear-site-data"), [""; 0]);
        let answer = common::ask(&clearing, &[]).await;
        assert_eq!(all(&answer, "clear-site-data"), Vec::from_iter(own));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever text comes in, no cookie is built that ends its header line or its attribute.
    #[test]
    fn co_06_no_text_leaves_its_place_in_the_line(
        at in 0..3_usize,
        before in "[a-z]{0,4}",
        bad in "[\\x00-\\x1f\\x7f;]",
        after in "(\\nSet-Cookie: a=b)?",
    ) {
        let text = format!("{before}{bad}{after}");
        let builder = match at {
            0 => Cookie::builder(text),
            1 => Cookie::builder("id").path(format!("/{text}")),
            _ => Cookie::builder("id").domain(text),
        };
        prop_assert!(builder.build().is_err());
    }
}
