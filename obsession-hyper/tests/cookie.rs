//! Cookies out: what is built, what is refused, and what a browser makes of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{call, cookie_of, ok, seen, stored};
use http::Request;
use hyper::service::service_fn;
use obsession_core::{Lifetime, MemoryStore, Session, SessionId, SessionManager};
use obsession_hyper::{Cookie, CookieBuilder, CookieError, SameSite, SessionService};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn co_02_rules_are_checked_at_construction() {
    use CookieError::*;
    let long = "n".repeat(4096 - SessionId::LEN + 1);
    let table: Vec<(CookieBuilder, CookieError)> = vec![
        (Cookie::builder(""), Name),
        (Cookie::builder("a b"), Name),
        (Cookie::builder("a=b"), Name),
        (Cookie::builder("a;b"), Name),
        (Cookie::builder("\u{2000}id"), Name),
        (Cookie::builder("id\r\nx"), Name),
        (Cookie::builder("\"id\""), Name),
        (Cookie::builder(long), NameTooLong),
        (Cookie::builder("id").path(""), Path),
        (Cookie::builder("id").path("shop"), Path),
        (Cookie::builder("id").path("/a;b"), Path),
        (Cookie::builder("id").path("/a\r\nSet-Cookie: x=y"), Path),
        (Cookie::builder("id").path("/a\0"), Path),
        (Cookie::builder("id").path("/a "), Path),
        (Cookie::builder("id").path("/ä"), Path),
        (
            Cookie::builder("id").path(format!("/{}", "p".repeat(1024))),
            Path,
        ),
        (Cookie::builder("id").domain(""), Domain),
        (Cookie::builder("id").domain(".example.org"), Domain),
        (Cookie::builder("id").domain("example.org."), Domain),
        (Cookie::builder("id").domain("example..org"), Domain),
        (Cookie::builder("id").domain("-a.org"), Domain),
        (Cookie::builder("id").domain("a-.org"), Domain),
        (Cookie::builder("id").domain("a_b.org"), Domain),
        (Cookie::builder("id").domain("a.org; Secure"), Domain),
        (Cookie::builder("id").domain("127.0.0.1"), Domain),
        (Cookie::builder("id").domain("a.org:80"), Domain),
        (Cookie::builder("id").domain("bücher.example"), Domain),
        (Cookie::builder("id").domain("l".repeat(64)), Domain),
        (Cookie::builder("id").domain(["l"; 128].join(".")), Domain),
        (Cookie::builder("id").max_age(Duration::ZERO), MaxAge),
        (
            Cookie::builder("id").max_age(Duration::from_millis(999)),
            MaxAge,
        ),
        (
            Cookie::builder("id").max_age(400 * DAY + Duration::from_secs(1)),
            MaxAge,
        ),
        (
            Cookie::builder("id")
                .same_site(SameSite::None)
                .secure(false),
            SameSiteNone,
        ),
        (
            Cookie::builder("id").partitioned(true).secure(false),
            Partitioned,
        ),
        (Cookie::builder("__Secure-id").secure(false), SecurePrefix),
        (Cookie::builder("__secure-id").secure(false), SecurePrefix),
        (Cookie::builder("__Host-id").secure(false), HostPrefix),
        (Cookie::builder("__HOST-id").path("/a"), HostPrefix),
        (Cookie::builder("__Host-id").domain("a.org"), HostPrefix),
        (Cookie::builder("__Http-id").http_only(false), HttpPrefix),
        (Cookie::builder("__Http-id").secure(false), HttpPrefix),
        (
            Cookie::builder("__Host-Http-id").http_only(false),
            HostHttpPrefix,
        ),
        (Cookie::builder("__Host-Http-id").path("/a"), HostPrefix),
    ];
    for (builder, error) in table {
        let shown = format!("{builder:?}");
        assert_eq!(builder.build().unwrap_err(), error, "{shown}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn what_is_right_is_built() {
    for builder in [
        Cookie::builder("_obs"),
        Cookie::builder("n".repeat(4096 - SessionId::LEN)),
        Cookie::builder("!#$%&'*+-.^_`|~"),
        Cookie::builder("id").secure(false).http_only(false),
        Cookie::builder("id")
            .path("/shop/a b/~%20")
            .domain("shop.example.org"),
        Cookie::builder("id").domain("localhost"),
        Cookie::builder("id").domain("xn--bcher-kva.example"),
        Cookie::builder("id").max_age(400 * DAY),
        Cookie::builder("id")
            .same_site(SameSite::None)
            .partitioned(true),
        Cookie::builder("__Host-Http-id").same_site(SameSite::Strict),
    ] {
        let shown = format!("{builder:?}");
        assert!(builder.build().is_ok(), "{shown}");
    }
}

/// The `Set-Cookie` lines that a service with this cookie sends for a new session and for its end.
async fn lines(cookie: Cookie) -> (String, String, SessionId) {
    // A session that lasts longer than every cookie, which would be cut to its end otherwise.
    let manager = SessionManager::builder(MemoryStore::new())
        .lifetime(Lifetime::new(DAY, 1000 * DAY))
        .build();
    let inner = service_fn(|request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        match request.body().as_str() {
            "end" => session.delete().await.unwrap(),
            _ => session.insert("a", &1).unwrap(),
        }
        Ok(ok())
    });
    let name = cookie.name().to_owned();
    let service = SessionService::new(inner, manager, cookie);
    let set = call(&service, None).await;
    let set = cookie_of(set.headers()).unwrap().to_owned();
    let id = set[name.len() + 1..][..SessionId::LEN]
        .parse::<SessionId>()
        .unwrap();
    let mut request = common::request(Some(&format!("{name}={}", id.expose())));
    request.body_mut().push_str("end");
    let clear = hyper::service::Service::call(&service, request).await;
    let clear = clear.unwrap_or_else(|never: std::convert::Infallible| match never {});
    let clear = cookie_of(clear.headers()).unwrap().to_owned();
    (set, clear, id)
}

#[tokio::test]
async fn the_lines_are_these() {
    let all = Cookie::builder("__Secure-shop")
        .path("/shop")
        .domain("example.org")
        .same_site(SameSite::None)
        .partitioned(true)
        .max_age(30 * DAY);
    let tail = "; Path=/shop; Domain=example.org; Secure; HttpOnly; Partitioned; SameSite=None";
    let (set, clear, id) = lines(all.build().unwrap()).await;
    assert_eq!(
        set,
        format!("__Secure-shop={}{tail}; Max-Age=2592000", id.expose())
    );
    assert_eq!(clear, format!("__Secure-shop={tail}; Max-Age=0"));

    let (set, clear, id) = lines(Cookie::default()).await;
    let tail = "; Path=/; Secure; HttpOnly; SameSite=Lax";
    assert_eq!(set, format!("__Host-id={}{tail}", id.expose()));
    assert_eq!(clear, format!("__Host-id={tail}; Max-Age=0"));

    let (set, _, id) = lines(Cookie::for_development()).await;
    assert_eq!(
        set,
        format!("id={}; Path=/; HttpOnly; SameSite=Lax", id.expose())
    );
}

#[tokio::test]
async fn co_06_the_header_is_marked_sensitive_and_shows_no_token() {
    let (_, manager) = seen();
    let mut id = stored(&manager).await;
    let lasting = Cookie::builder("__Host-id").max_age(DAY).build().unwrap();
    for cookie in [Cookie::default(), lasting] {
        let service = common::site_with(&manager, cookie, |session| async move {
            session.cycle().unwrap();
            ok()
        });
        let answer = call(&service, Some(&id)).await;
        assert!(answer.headers()["set-cookie"].is_sensitive());
        let shown = format!("{answer:?} {manager:?}");
        let new = common::token_of(&answer);
        assert!(!shown.contains(&id.expose()[16..]) && !shown.contains(&new.expose()[16..]));
        id = new;
    }
}

/// A session's own lifetime never makes a cookie that a browser would cut or drop at once.
#[tokio::test]
async fn a_lifetime_of_years_is_sent_as_400_days() {
    let (_, manager) = seen();
    let years = obsession_core::Lifetime::new(4000 * DAY, 4000 * DAY).persistent();
    let service = common::site(&manager, move |session| async move {
        session.insert("a", &1).unwrap();
        session.set_lifetime(years).unwrap();
        ok()
    });
    let answer = call(&service, None).await;
    let cookie = cookie_of(answer.headers()).unwrap();
    assert!(cookie.ends_with("; Max-Age=34560000"));
}
