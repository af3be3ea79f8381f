//! What is logged of a request: in a span that names its session, with the reason, and without a
//! token or a value.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::log::{at_info, begin, logged};
use common::{call, late_change, ok, seen, site, stored, token_of};
use hyper::service::Service;
use obsession_core::conformance::{Fault, Faulty};
use obsession_core::{ManualClock, MemoryStore, Session, SessionId, SessionManager, Timestamp};
use tracing::Instrument;

/// The lines from the level on, without what is another one's.
fn lines() -> Vec<String> {
    let logged = logged();
    let lines = logged.lines().map(|line| {
        let level = line
            .find(" DEBUG ")
            .or_else(|| line.find(" INFO "))
            .unwrap();
        line[level..].trim().to_owned()
    });
    lines.collect()
}

/// A whole life, line by line.
#[tokio::test]
async fn each_line_of_a_request_names_its_session_and_says_why() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let manager = SessionManager::builder(Faulty::new(store)).clock(Arc::clone(&clock));
    let manager = manager.build();
    begin();

    let visit = site(&manager, |session: Session| async move {
        session.insert("cart", "a secret wish").unwrap();
        tracing::info!("in the handler");
        ok()
    });
    let id = token_of(&call(&visit, None).await);
    let key = id.key().to_string();
    let written = "obsession_core::attempt: session written";
    let told = "obsession_core::finish: client is sent its token";
    assert_eq!(
        lines(),
        [
            "INFO session: spans: in the handler".to_owned(),
            "DEBUG session: obsession_core::commit: no usable session id presented=Nothing".into(),
            format!(
                "DEBUG session{{key={key}}}: {written} key={key} changes=[insert \"cart\"] \
                 created=true cycled=false"
            ),
            format!("DEBUG session{{key={key}}}: {told} key={key} because=Some(Created)"),
        ]
    );

    clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    let reads = site(&manager, |session: Session| async move {
        session.contains("cart").await.unwrap();
        tracing::info!("in the handler");
        ok()
    });
    call(&reads, Some(&id)).await;
    let seen = lines();
    let named = format!("session{{key={key}}}:");
    let loaded = format!("obsession_core::commit: session loaded key={key} found=true");
    assert_eq!(seen[0], format!("DEBUG {named} {loaded}"));
    assert_eq!(seen[1], format!("INFO {named} spans: in the handler"));
    assert!(
        seen[2].contains(&format!("session touched key={key} deadline=")),
        "{seen:?}"
    );
    assert_eq!(seen.len(), 3);

    let signs_in = site(&manager, |session: Session| async move {
        session.sign_in("user-42").unwrap();
        ok()
    });
    let next = token_of(&call(&signs_in, Some(&id)).await);
    let seen = lines();
    assert!(
        seen[1].contains("changes=[sign in] created=false cycled=true"),
        "{seen:?}"
    );
    assert!(seen[2].ends_with("because=Some(Cycled)"), "{seen:?}");

    let signs_out = site(&manager, |session: Session| async move {
        session.delete().await.unwrap();
        ok()
    });
    call(&signs_out, Some(&next)).await;
    let seen = lines();
    assert!(
        seen[1].ends_with(&format!("session deleted key={key}")),
        "{seen:?}"
    );
    assert!(
        seen[2].ends_with("client is to forget its token because=\"deleted\""),
        "{seen:?}"
    );
}

/// What the server's own span says goes with it, also from the task that saves.
#[tokio::test]
async fn the_span_of_the_server_is_around_it() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    begin();
    let writes = site(&manager, |session: Session| async move {
        session.insert("a", &1).unwrap();
        ok()
    });
    let span = tracing::info_span!("request", path = "/cart");
    let line = format!("__Host-id={}", id.expose());
    let answer = async { writes.call(common::request(Some(&line))).await };
    let Ok(_) = answer.instrument(span).await;
    let seen = lines();
    let within = format!("request{{path=\"/cart\"}}:session{{key={}}}: ", id.key());
    assert!(
        seen.len() == 2 && seen.iter().all(|line| line.contains(&within)),
        "{seen:?}"
    );
}

/// Also where the session's own span is not enabled, as in most deployments.
#[tokio::test]
async fn the_span_of_the_server_is_around_what_is_saved_in_a_task() {
    let store = Arc::new(Faulty::new(MemoryStore::new()));
    let manager = SessionManager::new(Arc::clone(&store));
    let id = stored(&manager).await;
    store.set_always(Fault::Delay(Duration::from_millis(1)));
    let ended = site(&manager, late_change);
    begin();
    let _here = tracing::subscriber::set_default(at_info());
    let span = tracing::info_span!("request", path = "/cart");
    let line = format!("__Host-id={}", id.expose());
    let answer = async { ended.call(common::request(Some(&line))).await };
    let Ok(_) = answer.instrument(span).await;
    let logged = logged();
    let mut dropped = logged
        .lines()
        .filter(|line| line.contains("changes dropped"));
    let line = dropped.next().expect("a line");
    assert!(line.contains("request{path=\"/cart\"}: "), "{line}");
}

#[tokio::test]
async fn no_line_has_a_token_or_a_value() {
    let (_, manager) = seen();
    begin();
    let writes = site(&manager, |session: Session| async move {
        session.insert("cart", "a secret wish").unwrap();
        session.cycle().unwrap();
        ok()
    });
    let mut id: Option<SessionId> = None;
    for _ in 0..3 {
        let next = token_of(&call(&writes, id.as_ref()).await);
        id = Some(next);
    }
    let secret = id.unwrap().expose()[SessionId::LEN - 20..].to_owned();
    let logged = logged();
    assert!(logged.contains("session written"));
    assert!(
        !logged.contains(&secret) && !logged.contains("wish"),
        "{logged}"
    );
}
