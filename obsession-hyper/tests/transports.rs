//! Ways for ids other than a cookie, and several in turn.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Answer, all, ask, ok, seen, site_with, stored};
use http::header::HeaderName;
use http::{HeaderValue, Request, request, response};
use hyper::service::{Service, service_fn};
use obsession_core::{ClientAction, Presented, Session, SessionId};
use obsession_hyper::{Cookie, IdTransport, ReservedHeader, SessionService, Transport};

fn header() -> Transport {
    Transport::header(HeaderName::from_static("x-session")).unwrap()
}

async fn look(session: Session) -> http::Response<String> {
    let mut answer = ok();
    *answer.body_mut() = format!("{}", session.contains("cart").await.unwrap());
    answer
}

async fn sign_in(session: Session) -> http::Response<String> {
    session.sign_in("user-42").unwrap();
    session.save().await.unwrap();
    let mut answer = ok();
    let id = session.id().await.unwrap().unwrap();
    id.expose().clone_into(answer.body_mut());
    answer
}

async fn end(session: Session) -> http::Response<String> {
    session.delete().await.unwrap();
    ok()
}

/// The inner service's body.
async fn body(answer: Answer) -> String {
    let body = http_body_util::BodyExt::collect(answer.into_body()).await;
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_bearer_token_is_read() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    let id = id.expose();
    let site = site_with(&manager, Transport::bearer(), look);
    for (lines, found) in [
        (vec![format!("Bearer {id}")], "true"),
        (vec![format!("bearer   {id}")], "true"),
        (vec![format!("BEARER {id}"), format!("Bearer {id}")], "true"),
        (
            vec!["Basic YTpi".to_owned(), format!("Bearer {id}")],
            "true",
        ),
        (
            vec![format!("Bearer {id}"), "Bearer other".to_owned()],
            "false",
        ),
        (vec![format!("Basic {id}")], "false"),
        (vec![format!("Bearer{id}")], "false"),
        (vec![format!("Bearer \"{id}\"")], "false"),
        (vec![format!("Bearer {id}, Bearer {id}")], "false"),
        (vec![id.to_owned()], "false"),
        (vec!["Bearer".to_owned()], "false"),
        (vec![], "false"),
    ] {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("authorization", line.as_str()))
            .collect();
        let answer = ask(&site, &lines).await;
        assert_eq!(all(&answer, "vary"), ["authorization"]);
        assert_eq!(body(answer).await, found, "{lines:?}");
    }
    // A cookie is none of its business.
    let answer = ask(&site, &[("cookie", &format!("__Host-id={id}"))]).await;
    assert_eq!(body(answer).await, "false");
}

#[tokio::test]
async fn an_id_that_came_as_a_bearer_token_never_becomes_a_cookie() {
    let (_, manager) = seen();
    for transport in [
        Transport::bearer(),
        Transport::bearer().or(Cookie::default()),
        Transport::from(Cookie::default()).or(Transport::bearer()),
    ] {
        let id = stored(&manager).await;
        let line = format!("Bearer {}", id.expose());
        let site = site_with(&manager, transport.clone(), sign_in);
        let answer = ask(&site, &[("authorization", &line)]).await;
        assert_eq!(all(&answer, "set-cookie"), [""; 0]);
        // The handler hands it out, and it is good.
        let next: SessionId = body(answer).await.parse().unwrap();
        assert!(manager.load_id(next.clone()).await.unwrap().is_some());
        assert!(manager.load_id(id).await.unwrap().is_none());

        let line = format!("Bearer {}", next.expose());
        let site = site_with(&manager, transport, end);
        let answer = ask(&site, &[("authorization", &line)]).await;
        assert_eq!(all(&answer, "set-cookie"), [""; 0]);
        assert!(manager.load_id(next).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_header_is_read_told_and_emptied() {
    let (_, manager) = seen();
    let answer = ask(&site_with(&manager, header(), sign_in), &[]).await;
    let [id] = all(&answer, "x-session")[..] else {
        panic!("one line");
    };
    let id = id.to_owned();
    assert!(answer.headers()["x-session"].is_sensitive());
    assert_eq!(all(&answer, "set-cookie"), [""; 0]);
    assert_eq!(all(&answer, "cache-control"), ["no-store"]);
    assert_eq!(all(&answer, "vary"), ["x-session"]);
    assert_eq!(body(answer).await, id);

    let answer = ask(&site_with(&manager, header(), look), &[("x-session", &id)]).await;
    assert!(!answer.headers().contains_key("x-session"));
    let answer = ask(&site_with(&manager, header(), end), &[("x-session", &id)]).await;
    assert_eq!(all(&answer, "x-session"), [""]);
    assert!(
        manager
            .load_id(id.parse().unwrap())
            .await
            .unwrap()
            .is_none()
    );
}

/// With a cookie that is good and a token that is not, a client is nobody: another site could have
/// made its browser send the one, and only it can send the other.
#[tokio::test]
async fn the_first_of_a_chain_that_is_presented_something_decides() {
    let (store, manager) = seen();
    let chain = || Transport::bearer().or(header()).or(Cookie::default());
    let (one, two, three) = (
        stored(&manager).await,
        stored(&manager).await,
        stored(&manager).await,
    );
    let bearer = format!("Bearer {}", one.expose());
    let cookie = format!("__Host-id={}", three.expose());
    let all_three = [
        ("cookie", cookie.as_str()),
        ("x-session", two.expose()),
        ("authorization", &bearer),
    ];
    for (lines, subject_of, vary, told) in [
        (&all_three[..], Some(&one), vec!["authorization"], None),
        (
            &all_three[..2],
            Some(&two),
            vec!["authorization", "x-session"],
            Some("x-session"),
        ),
        (
            &all_three[..1],
            Some(&three),
            vec!["authorization", "x-session", "cookie"],
            Some("set-cookie"),
        ),
        (
            &[("cookie", cookie.as_str()), ("authorization", "Bearer x")],
            None,
            vec!["authorization"],
            None,
        ),
        (
            &[],
            None,
            vec!["authorization", "x-session", "cookie"],
            Some("x-session"),
        ),
    ] {
        let answer = ask(&site_with(&manager, chain(), sign_in), lines).await;
        assert_eq!(all(&answer, "vary"), vary);
        for name in ["x-session", "set-cookie"] {
            let has = answer.headers().contains_key(name);
            assert_eq!(has, told == Some(name), "{name} of {vary:?}");
        }
        let id: SessionId = body(answer).await.parse().unwrap();
        if let Some(old) = subject_of {
            assert_eq!(id.key(), old.key());
        } else {
            assert!([&one, &two, &three].iter().all(|old| old.key() != id.key()));
        }
    }
    assert_eq!(store.inner().len(), 5);
}

#[tokio::test]
async fn a_cookie_that_is_read_only_is_neither_set_nor_cleared() {
    let (_, manager) = seen();
    let old = Cookie::builder("sid").build().unwrap();
    let chain = Transport::from(Cookie::default()).or(Transport::from(old).read_only());
    let id = stored(&manager).await;
    let line = format!("sid={}", id.expose());
    let site = site_with(&manager, chain.clone(), look);
    assert_eq!(body(ask(&site, &[("cookie", &line)]).await).await, "true");
    let answer = ask(
        &site_with(&manager, chain.clone(), end),
        &[("cookie", &line)],
    )
    .await;
    assert_eq!(all(&answer, "set-cookie"), [""; 0]);
    // Whoever has none gets the new one.
    let answer = ask(&site_with(&manager, chain, sign_in), &[]).await;
    assert!(all(&answer, "set-cookie")[0].starts_with("__Host-id="));
}

/// `/<id>/...`: the path carries it.
#[derive(Clone, Debug, Default)]
struct Path {
    told: Arc<AtomicU32>,
}

impl IdTransport for Path {
    fn extract(&self, head: &request::Parts) -> Presented {
        let segment = head.uri.path().split('/').nth(1).unwrap_or_default();
        match segment.parse() {
            Ok(id) => Presented::Id(id),
            Err(_) => Presented::Nothing,
        }
    }

    fn tell(&self, action: &ClientAction, head: &mut response::Parts) {
        assert_ne!(*action, ClientAction::Keep);
        self.told.fetch_add(1, Ordering::Relaxed);
        let told = HeaderValue::from_static("told");
        head.headers.insert("x-told", told);
    }
}

#[tokio::test]
async fn a_way_of_the_applications_own_is_read_and_told() {
    let (store, manager) = seen();
    let path = Path::default();
    let id = stored(&manager).await;
    store.calls();
    let transport = || Transport::custom(path.clone()).or(Cookie::default());
    let with_id = || {
        let mut request = common::request(None);
        *request.uri_mut() = format!("/{}/page", id.expose()).parse().unwrap();
        request
    };
    let site = site_with(&manager, transport(), |_| async { ok() });
    let Ok(answer) = site.call(with_id()).await;
    assert_eq!((store.calls(), all(&answer, "vary")), (vec![], vec![]));

    let site = site_with(&manager, transport(), look);
    let Ok(answer) = site.call(with_id()).await;
    assert_eq!(all(&answer, "vary"), ["*"]);
    assert_eq!(path.told.load(Ordering::Relaxed), 0);
    assert_eq!(body(answer).await, "true");

    let site = site_with(&manager, transport(), sign_in);
    let Ok(answer) = site.call(with_id()).await;
    assert_eq!(path.told.load(Ordering::Relaxed), 1);
    assert_eq!(all(&answer, "x-told"), ["told"]);
    assert_eq!(all(&answer, "cache-control"), ["no-store"]);
    assert_eq!(all(&answer, "set-cookie"), [""; 0]);
}

#[test]
fn a_header_with_a_meaning_of_its_own_is_refused() {
    for name in [
        "cookie",
        "set-cookie",
        "authorization",
        "content-length",
        "keep-alive",
        "te",
    ] {
        let refused = Transport::header(HeaderName::from_static(name));
        assert_eq!(refused.unwrap_err(), ReservedHeader, "{name}");
    }
    assert!(!ReservedHeader.to_string().is_empty());
    assert!(Transport::header(HeaderName::from_static("x-auth-token")).is_ok());
}

/// What the inner service logs of a request has no token in it.
#[tokio::test]
async fn the_lines_with_ids_are_sensitive_in_the_request() {
    const NAMES: [&str; 4] = ["cookie", "authorization", "x-session", "accept"];
    let (_, manager) = seen();
    for (transport, sensitive) in [
        (Cookie::default().into(), &NAMES[..1]),
        (Transport::bearer(), &NAMES[1..2]),
        (header(), &NAMES[2..3]),
        (
            Transport::bearer().or(header()).or(Cookie::default()),
            &NAMES[..3],
        ),
    ] {
        let inner = service_fn(move |request: Request<String>| async move {
            for name in NAMES {
                let mut lines = request.headers().get_all(name).iter();
                let marked = lines.all(HeaderValue::is_sensitive);
                assert_eq!(marked, sensitive.contains(&name), "{name}");
            }
            Ok::<_, std::convert::Infallible>(ok())
        });
        let service = SessionService::new(inner, manager.clone(), transport);
        let lines = NAMES.map(|name| (name, "a"));
        ask(&service, &lines).await;
        ask(&service, &[lines, lines].concat()).await;
    }
}
