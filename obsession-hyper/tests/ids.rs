//! Identifiers, row by row: `id_03` is ID-3 of the list of requirements.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use common::log::logged;
use common::{all, ask, call, cookie_of, ok, seen, site, stored, token_of};
use http::StatusCode;
use obsession_core::{MemoryStore, Session, SessionId, SessionManager, SessionStore};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";

/// The id that a new session would get.
async fn fresh(manager: &SessionManager) -> SessionId {
    let session = manager.open(None);
    session.insert("a", &1).unwrap();
    session.id().await.unwrap().unwrap()
}

async fn writes(session: Session) -> http::Response<String> {
    session.insert("a", &1).unwrap();
    ok()
}

async fn reads(session: Session) -> http::Response<String> {
    session.is_empty().await.unwrap();
    ok()
}

/// 240 bits: no two are the same, and every symbol is as likely as any other in every place. The
/// bound is seven standard deviations over what is expected of 63 degrees of freedom.
///
/// With `OBSESSION_FULL=1` of ten million.
#[tokio::test]
async fn id_01_ids_are_random_in_every_place() {
    let ids = std::env::var_os("OBSESSION_FULL").map_or(100_000, |_| 10_000_000);
    let manager = SessionManager::new(MemoryStore::new());
    let mut seen = Vec::new();
    let mut counts = vec![[0_u32; 256]; SessionId::LEN];
    for _ in 0..ids {
        let id = fresh(&manager).await;
        for (place, symbol) in id.expose().bytes().enumerate() {
            counts[place][usize::from(symbol)] += 1;
        }
        let id: [u8; SessionId::LEN] = id.expose().as_bytes().try_into().unwrap();
        seen.push(id);
    }
    seen.sort_unstable();
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]));
    let expected = f64::from(u32::try_from(ids / 64).unwrap());
    for (place, counts) in counts.iter().enumerate() {
        let square = |symbol: &u8| (f64::from(counts[usize::from(*symbol)]) - expected).powi(2);
        let chi_square = ALPHABET.iter().map(square).sum::<f64>() / expected;
        assert!(
            chi_square < 63.0 + 7.0 * 11.3,
            "place {place}: {chi_square}"
        );
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), 64);
    }
}

#[tokio::test]
async fn id_02_a_generator_that_fails_is_an_error_and_never_a_weaker_id() {
    fn broken(_: &mut [u8]) -> Result<(), getrandom::Error> {
        Err(getrandom::Error::UNSUPPORTED)
    }
    let store = Arc::new(MemoryStore::new());
    let manager = SessionManager::builder(Arc::clone(&store))
        .random(broken)
        .build();
    let answer = call(&site(&manager, writes), None).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(cookie_of(answer.headers()), None);
    assert_eq!(store.len(), 0);
}

#[tokio::test]
async fn id_03_every_other_spelling_of_an_id_is_none_or_another_id() {
    let (store, manager) = seen();
    let service = site(&manager, reads);
    for n in 0..1000 {
        let id = fresh(&manager).await;
        let id = id.expose();
        let place = n % SessionId::LEN;
        let (before, symbol, after) = (&id[..place], &id[place..=place], &id[place + 1..]);
        let other_case = if symbol.to_ascii_lowercase() == symbol {
            symbol.to_ascii_uppercase()
        } else {
            symbol.to_ascii_lowercase()
        };
        let code = symbol.as_bytes()[0];
        for (spelling, reaches) in [
            (format!("{before}{other_case}{after}"), true),
            (format!("{before}%{code:02X}{after}"), false),
            (format!("{before}{after}"), false),
            (format!("{before}{symbol}{symbol}{after}"), false),
            (format!("{before}_{after}"), false),
            (format!("{before}+{after}"), false),
            (format!("{id}="), false),
            (format!("\"{id}\""), false),
        ] {
            let parsed = SessionId::parse(spelling.as_bytes());
            assert_eq!(parsed.is_ok(), reaches, "{spelling}");
            let same = spelling == id;
            assert_eq!(parsed.is_ok_and(|parsed| parsed.expose() == id), same);
            ask(&service, &[("cookie", &format!("__Host-id={spelling}"))]).await;
            assert_eq!(store.calls().len(), usize::from(reaches), "{spelling}");
        }
    }
}

#[tokio::test]
async fn id_04_an_unknown_id_is_never_adopted() {
    let (store, manager) = seen();
    let forged = fresh(&manager).await;
    call(&site(&manager, reads), Some(&forged)).await;
    assert_eq!(store.inner().len(), 0);
    let answer = call(&site(&manager, writes), Some(&forged)).await;
    assert_ne!(token_of(&answer).key(), forged.key());
    assert_eq!(store.inner().len(), 1);
}

/// What is stored, logged and shown, in a whole life, has the key and never the secret.
#[tokio::test]
async fn id_05_no_secret_is_stored_logged_or_shown() {
    let hex = |secret: &str| {
        let hex: Vec<_> = secret.bytes().map(|b| format!("{b:02x}")).collect();
        hex.concat()
    };
    common::log::begin();
    let (store, manager) = seen();
    let first = token_of(&call(&site(&manager, writes), None).await);
    let signs_in = site(&manager, |session: Session| async move {
        session.sign_in("user-42").unwrap();
        let mut answer = ok();
        *answer.body_mut() = format!("{session:?} {:?}", session.id().await.unwrap());
        answer
    });
    let answer = call(&signs_in, Some(&first)).await;
    let second = token_of(&answer);
    let record = store.inner().load(&second.key()).await.unwrap().unwrap();
    let stored = String::from_utf8_lossy(&record.body);
    let shown = format!("{answer:?} {manager:?} {second:?} {record:?} {stored}");
    // The one from before is no secret any more, but somebody's log of it would be as bad.
    call(&site(&manager, reads), Some(&first)).await;
    let line = format!(
        "__Host-id={}; __Host-id={}",
        first.expose(),
        second.expose()
    );
    ask(&site(&manager, reads), &[("cookie", &line)]).await;
    let tokens = [first, second];

    let text = shown + &logged();
    assert!(text.contains("different session ids"), "it is logged");
    for token in &tokens {
        assert!(text.contains(token.key().as_str()), "the key is shown");
        let secret = &token.expose()[16..];
        assert!(!text.contains(secret) && !text.contains(&hex(secret)));
    }
    // That this would be seen.
    tracing::info!("{}", tokens[0].expose());
    assert!(logged().contains(&tokens[0].expose()[16..]));
}

#[tokio::test]
async fn id_06_an_id_of_one_realm_is_worthless_in_another() {
    let store = Arc::new(MemoryStore::new());
    let realms = ["", "shop", "shop2", "Shop"];
    let managers = realms.map(|realm| {
        SessionManager::builder(Arc::clone(&store))
            .realm(realm)
            .build()
    });
    for (home, manager) in managers.iter().enumerate() {
        let id = stored(manager).await;
        for (other, manager) in managers.iter().enumerate() {
            let service = site(manager, |session: Session| async move {
                let mut answer = ok();
                *answer.body_mut() = session.contains("cart").await.unwrap().to_string();
                answer
            });
            let answer = call(&service, Some(&id)).await;
            let body = http_body_util::BodyExt::collect(answer.into_body())
                .await
                .unwrap();
            assert_eq!(body.to_bytes(), (home == other).to_string());
        }
    }
}

#[tokio::test]
async fn id_07_a_list_of_sessions_has_keys_that_open_nothing() {
    let store = Arc::new(MemoryStore::new());
    let manager = SessionManager::builder_indexed(store).build();
    let signs_in = site(&manager, |session: Session| async move {
        session.sign_in("user-42").unwrap();
        ok()
    });
    let id = token_of(&call(&signs_in, None).await);
    let list = manager.sessions_of("user-42", None, 10).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].key, id.key());
    assert!(!format!("{list:?}").contains(&id.expose()[16..]));
    let guess: SessionId = format!("{}{}", list[0].key, "A".repeat(24))
        .parse()
        .unwrap();
    assert!(manager.load_id(guess).await.unwrap().is_none());
    assert!(manager.load_id(id).await.unwrap().is_some());
}

#[tokio::test]
async fn id_08_nothing_but_the_cookie_is_read_unless_it_is_asked_for() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, reads);
    let mut request = common::request(None);
    let id = id.expose();
    *request.uri_mut() = format!("/{id}/a;id={id}?__Host-id={id}&id={id}")
        .parse()
        .unwrap();
    *request.body_mut() = format!("__Host-id={id}&id={id}");
    for (name, value) in [
        ("authorization", format!("Bearer {id}")),
        ("x-session", id.to_owned()),
        ("__host-id", id.to_owned()),
        ("cookie2", format!("__Host-id={id}")),
        ("set-cookie", format!("__Host-id={id}")),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let Ok(answer) = hyper::service::Service::call(&service, request).await;
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(all(&answer, "set-cookie"), [""; 0]);
}
