//! Cookies in: what is taken for ours, and that nothing else is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{ask, call, cookie_of, ok, seen, site, site_with, stored};
use http::header::{COOKIE, HeaderValue};
use hyper::service::Service;
use obsession_core::{SessionId, SessionManager};
use obsession_hyper::Cookie;
use proptest::prelude::*;

const ID: &str = "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBBB.";

/// How often the store is asked when a handler looks at the session of a request with these lines.
async fn loads(manager: &SessionManager, store: &common::Seen, lines: &[&[u8]]) -> usize {
    let service = site(manager, |session| async move {
        session.is_empty().await.unwrap();
        ok()
    });
    let mut request = common::request(None);
    for line in lines {
        let line = HeaderValue::from_bytes(line).unwrap();
        request.headers_mut().append(COOKIE, line);
    }
    store.calls();
    let answer = service.call(request).await.unwrap();
    assert_eq!(
        cookie_of(answer.headers()),
        None,
        "a look never sets a cookie"
    );
    store.calls().len()
}

#[tokio::test]
async fn ours_is_found() {
    let (store, manager) = seen();
    for line in [
        format!("__Host-id={ID}"),
        format!("a=b; __Host-id={ID}"),
        format!("__Host-id={ID}; a=b"),
        format!("a=b;__Host-id={ID};c=d"),
        format!(" \t__Host-id \t= \t{ID}\t "),
        format!("__Host-id={ID}; __Host-id={ID}"),
        format!(";;=;a;b=;__Host-id={ID};"),
        format!("x=\"__Host-id=; __Host-id={ID}"),
    ] {
        assert_eq!(
            loads(&manager, &store, &[line.as_bytes()]).await,
            1,
            "{line}"
        );
    }
}

/// Python bug 9: a pattern search took `foo-_obs=` and a cut value for ours.
#[tokio::test]
async fn ci_01_what_only_looks_like_ours_never_reaches_the_store() {
    let (store, manager) = seen();
    for line in [
        format!("id={ID}"),
        format!("x__Host-id={ID}"),
        format!("foo-__Host-id={ID}"),
        format!("redirect=/?__Host-id={ID}"),
        format!("__Host-idx={ID}"),
        format!("__host-id={ID}"),
        format!("%5F%5FHost-id={ID}"),
        format!("=__Host-id={ID}"),
        format!("\u{2000}__Host-id={ID}"),
        format!("\u{85}__Host-id={ID}"),
        format!("\u{a0}__Host-id={ID}"),
        format!("$Version=1,__Host-id={ID}"),
        format!("$Version=1, __Host-id={ID}"),
        format!("__Host-id=\"{ID}\""),
        format!("__Host-id={ID}x"),
        format!("__Host-id={}", &ID[1..]),
        format!("__Host-id=={ID}"),
        format!("__Host-id={}", ID.replace('.', "%2E")),
        format!("__Host-id={}", ID.replace('.', "_")),
        format!("__Host-id={}", ID.replace('.', "=")),
        format!("__Host-id={} {}", &ID[..20], &ID[20..]),
        "__Host-id=".to_owned(),
        "__Host-id".to_owned(),
    ] {
        assert_eq!(
            loads(&manager, &store, &[line.as_bytes()]).await,
            0,
            "{line}"
        );
    }
}

#[tokio::test]
async fn ci_02_a_neighbour_that_is_not_text_hides_nothing() {
    let (store, manager) = seen();
    let mut line = b"bad=\xff\xfe; \xc3\x28=\x80; ".to_vec();
    line.extend(format!("__Host-id={ID}; more=\u{fe}").bytes());
    assert_eq!(loads(&manager, &store, &[&line]).await, 1);
    let before = b"bad=\xff".as_slice();
    let line = format!("__Host-id={ID}");
    assert_eq!(
        loads(&manager, &store, &[before, line.as_bytes(), before]).await,
        1
    );
}

#[tokio::test]
async fn ci_03_all_lines_are_read() {
    let (store, manager) = seen();
    let ours = format!("__Host-id={ID}");
    for at in 0..50 {
        let mut lines = vec![b"crumb=1".as_slice(); 50];
        lines[at] = ours.as_bytes();
        assert_eq!(loads(&manager, &store, &lines).await, 1, "line {at}");
    }
}

#[tokio::test]
async fn ci_04_two_different_values_are_none_in_every_order() {
    let (store, manager) = seen();
    let (good, bad) = (stored(&manager).await, ID);
    let good = format!("__Host-id={}", good.expose());
    for bad in [
        format!("__Host-id={bad}"),
        "__Host-id=".to_owned(),
        "__Host-id=x".to_owned(),
    ] {
        for pair in [[&good, &bad], [&bad, &good]] {
            let [one, two] = pair.map(String::as_bytes);
            assert_eq!(loads(&manager, &store, &[one, two]).await, 0);
            let line = [one, b"; a=b; ", two].concat();
            assert_eq!(loads(&manager, &store, &[&line]).await, 0);
            let line = [one, b"; ", two, b"; ", one].concat();
            assert_eq!(loads(&manager, &store, &[&line]).await, 0);
        }
    }
}

/// That two were presented is an event, which has none of their bytes.
#[tokio::test]
async fn ci_04_two_different_values_are_an_event() {
    common::log::begin();
    let (store, manager) = seen();
    // What a terminal would take for a command.
    let line = [format!("__Host-id={ID}; __Host-id=").as_bytes(), b"\x9b2J"].concat();
    loads(&manager, &store, &[&line]).await;
    let text = common::log::logged();
    assert!(
        text.contains("WARN") && text.contains("different session ids"),
        "{text}"
    );
    assert!(!text.contains(&ID[16..]) && !text.contains("2J"), "{text}");
}

/// Where the application asks for it, the first that loads is used, whatever stands beside it.
#[tokio::test]
async fn ci_04_the_first_that_loads_is_used_where_that_is_asked_for() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    let cookie = Cookie::builder("id").duplicates(2).build().unwrap();
    let service = site_with(&manager, cookie, |session| async move {
        let mut answer = ok();
        *answer.body_mut() = session.contains("cart").await.unwrap().to_string();
        answer
    });
    let good = format!("id={}", id.expose());
    let (unknown, other) = (format!("id={ID}"), format!("id={}", "x".repeat(40)));
    store.calls();
    for (pairs, found, loads) in [
        (vec![&*good], true, 1),
        (vec![&*good, &good, &good], true, 1),
        (vec![&*good, &unknown], true, 1),
        (vec![&*unknown, &good], true, 2),
        (vec![&*unknown, &unknown, &good], true, 2),
        // What is no id costs no look-up.
        (vec!["id=", "id=x", &good], true, 1),
        (vec!["id=", "id=x", "id=y"], false, 0),
        // Never more look-ups than were asked for, whatever would come then.
        (vec![&*unknown, &other, &good], false, 2),
    ] {
        let answer = ask(&service, &[("cookie", &pairs.join("; "))]).await;
        let body = http_body_util::BodyExt::collect(answer.into_body()).await;
        assert_eq!(body.unwrap().to_bytes(), found.to_string(), "{pairs:?}");
        assert_eq!(store.calls(), vec!["load"; loads], "{pairs:?}");
    }
}

#[tokio::test]
async fn ci_05_more_than_1024_cookies_are_not_read() {
    let (store, manager) = seen();
    let ours = format!("__Host-id={ID}");
    for (others, loaded) in [(1023, 1), (1024, 0), (10_000, 0)] {
        let line = "a=;".repeat(others);
        for line in [
            format!("{line}{ours}"),
            format!("{ours};{}", &line[..line.len() - 1]),
        ] {
            assert_eq!(loads(&manager, &store, &[line.as_bytes()]).await, loaded);
        }
    }
}

/// The table of attacks: a thousand copies are one, and the first that differs is enough.
#[tokio::test]
async fn ci_05_a_thousand_copies_cost_one_look_up_at_most() {
    let (store, manager) = seen();
    let mut pairs = vec![format!("__Host-id={ID}"); 1000];
    assert_eq!(
        loads(&manager, &store, &[pairs.join(";").as_bytes()]).await,
        1
    );
    pairs[999] = format!("__Host-id={}", "x".repeat(40));
    assert_eq!(
        loads(&manager, &store, &[pairs.join(";").as_bytes()]).await,
        0
    );
}

/// A header as long as hyper takes at all is left unread in no time.
#[tokio::test]
async fn ci_05_a_line_of_400_kb_is_not_read() {
    let (store, manager) = seen();
    let line = format!("{}__Host-id={ID}", "a=b; ".repeat(80_000));
    assert_eq!(loads(&manager, &store, &[line.as_bytes()]).await, 0);
}

#[tokio::test]
async fn ci_05_cookies_beyond_64_kib_are_not_read() {
    let (store, manager) = seen();
    let ours = format!("__Host-id={ID}");
    let line = |len: usize| "a".repeat(len - ours.len());
    let just = line(64 * 1024);
    assert_eq!(
        loads(&manager, &store, &[just.as_bytes(), ours.as_bytes()]).await,
        1
    );
    let over = line(64 * 1024 + 1);
    assert_eq!(
        loads(&manager, &store, &[ours.as_bytes(), over.as_bytes()]).await,
        0
    );
}

/// Python bugs 10 and 17: forged tokens on a page that reads cost a read each, and store nothing.
#[tokio::test]
async fn forged_tokens_on_a_page_that_reads_store_nothing() {
    let (store, manager) = seen();
    let service = site(&manager, |session| async move {
        session.get::<u64>("n").await.unwrap();
        ok()
    });
    for n in 0..1000 {
        let id: SessionId = format!("{n:0>40}").parse().unwrap();
        let answer = call(&service, Some(&id)).await;
        assert_eq!(cookie_of(answer.headers()), None);
    }
    assert_eq!(store.inner().len(), 0);
    assert_eq!(store.calls(), ["load"; 1000]);
}

/// A session that a forged token starts has a token that the client did not choose.
#[tokio::test]
async fn an_unknown_token_is_never_adopted() {
    let (store, manager) = seen();
    let service = site(&manager, |session| async move {
        session.insert("n", &1).unwrap();
        ok()
    });
    let forged: SessionId = ID.parse().unwrap();
    let answer = call(&service, Some(&forged)).await;
    assert_ne!(common::token_of(&answer).key(), forged.key());
    assert_eq!(store.inner().len(), 1);
    assert!(manager.load_id(forged).await.unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_come_in_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let (store, manager) = seen();
            runtime.block_on(loads(&manager, &store, &[value.as_bytes()]));
        }
    }
}
