//! The demo as a process: killed, interrupted, started wrongly, with a store that fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Demo, PATIENCE, stores};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        if store == "memory:" {
            continue;
        }
        let demo = Demo::start(&store);
        let (first, second) = (demo.client(), demo.client());
        first.post("/visit", "").await;
        let anonymous = first.copy();
        first.post("/cart", r#"{"item": "quince"}"#).await;
        for client in [&first, &second] {
            client.submit("/sign-in", "user=zoe").await;
        }
        let key = first.session().await["key"].as_str().unwrap().to_owned();
        let last = first.session().await;
        let under_way = Arc::new(Semaphore::new(0));
        let visitors: Vec<_> = (0..8)
            .map(|_| {
                let visitor = demo.client();
                let under_way = Arc::clone(&under_way);
                tokio::spawn(async move {
                    let mut acknowledged = 0;
                    while let Ok(answer) = visitor
                        .try_send(visitor.request(hyper::Method::POST, "/visit", ""))
                        .await
                    {
                        acknowledged = answer.json()["visits"].as_u64().unwrap();
                        if acknowledged == 3 {
                            under_way.add_permits(1);
                        }
                    }
                    (visitor, acknowledged)
                })
            })
            .collect();
        let all = tokio::time::timeout(PATIENCE, under_way.acquire_many(8)).await;
        drop(all.expect("all of them write").unwrap());
        demo.kill();

        let demo = Demo::start(&store);
        for visitor in visitors {
            let (visitor, acknowledged) = visitor.await.unwrap();
            let visits = visitor.moved(&demo).session().await["visits"].as_u64();
            let visits = visits.unwrap_or(0);
            assert!(acknowledged >= 3, "{store}: nothing was written");
            // The one that was under way may have been written, and nothing else.
            assert!(
                (acknowledged..=acknowledged + 1).contains(&visits),
                "{store}"
            );
        }
        let (first, second) = (first.moved(&demo), second.moved(&demo));
        assert_eq!(first.session().await, last, "{store}");
        let anonymous = anonymous.moved(&demo);
        assert_eq!(anonymous.session().await["key"], Value::Null);
        let path = format!("/devices/{key}/sign-out");
        assert_eq!(second.post(&path, "").await.status, StatusCode::OK);
        assert_eq!(first.session().await["key"], Value::Null);
        demo.kill();

        let demo = Demo::start(&store);
        assert_eq!(first.moved(&demo).session().await["key"], Value::Null);
        assert_eq!(second.moved(&demo).session().await["user"], "zoe");
    }
}

#[tokio::test]
async fn an_interrupt_lets_requests_finish() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let demo = Demo::start_with(&store, &[], "demo=debug,info");
        let client = demo.client();
        client.post("/visit", "").await;
        let slow = client.clone();
        let note = tokio::spawn(async move { slow.post("/note/slow?wait_ms=2000", "kept").await });
        demo.logs("a note waits").await;
        demo.interrupt();
        let answer = note.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{store}");
        let (status, log) = demo.wait();
        assert!(status.success(), "{store}");
        assert!(String::from_utf8_lossy(&log).contains("stopped"), "{store}");
        if store != "memory:" {
            let demo = Demo::start(&store);
            let session = client.moved(&demo).session().await;
            assert_eq!(session["notes"], json!({"slow": "kept"}), "{store}");
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_and_leaves_the_cookie_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("files");
    let demo = Demo::start(&format!("file:{}", path.display()));
    let client = demo.client();
    client.post("/visit", "").await;
    let cookie = client.cookie();
    let away = folder.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    for _ in 0..2 {
        for answer in [
            client.post("/visit", "").await,
            client.submit("/sign-in", "user=zoe").await,
        ] {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(!answer.sets_cookie());
        }
    }
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(client.cookie(), cookie);
}

#[tokio::test]
async fn a_session_expires_and_its_cookie_is_not_touched() {
    let options = ["--idle-timeout", "1s", "--lifetime", "2s"];
    let demo = Demo::start_with("memory:", &options, "info");
    let client = demo.client();
    client.post("/visit", "").await;
    let expires = client.session().await["expires_at"].as_u64().unwrap();
    loop {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let left = u128::from(expires).saturating_sub(now.unwrap().as_millis());
        if left == 0 {
            break;
        }
        let left = u64::try_from(left).unwrap();
        tokio::time::sleep(Duration::from_millis(left)).await;
    }
    let answer = client.get("/api/session").await;
    assert_eq!(answer.json()["key"], Value::Null);
    assert!(!answer.sets_cookie());
}

#[tokio::test]
async fn the_serializer_may_change_between_two_starts() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file:{}", folder.path().join("files").display());
    let demo = Demo::start_with(&store, &["--serializer", "json"], "info");
    let client = demo.client();
    client.post("/cart", r#"{"item": "quince"}"#).await;
    demo.kill();
    let demo = Demo::start_with(&store, &["--serializer", "postcard"], "info");
    let client = client.moved(&demo);
    client.post("/cart", r#"{"item": "medlar"}"#).await;
    client.post("/visit", "").await;
    demo.kill();
    let demo = Demo::start_with(&store, &["--serializer", "json"], "info");
    let session = client.moved(&demo).session().await;
    assert_eq!(session["cart"], json!(["quince", "medlar"]));
    assert_eq!(session["visits"], 1);
}

#[tokio::test]
async fn a_wrong_start_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter.txt"), "dear").unwrap();
    let mut wrong = vec![
        ("nothing".to_owned(), "nothing"),
        ("mongodb://x".to_owned(), "mongodb"),
        ("memory:x".to_owned(), "memory"),
        ("file:".to_owned(), "path"),
        (format!("file:{}", foreign.display()), "foreign"),
    ];
    if cfg!(feature = "sled") {
        wrong.push(("sled:".to_owned(), "path"));
        wrong.push((format!("sled:{}", foreign.display()), "foreign"));
    }
    if cfg!(feature = "sqlite") {
        wrong.push(("sqlite:".to_owned(), "path"));
        wrong.push(("sqlite::memory:".to_owned(), "in memory"));
        wrong.push((format!("sqlite:{}", foreign.display()), "open"));
    } else {
        wrong.push(("sqlite:x".to_owned(), "--features sqlite"));
    }
    for (store, named) in wrong {
        let said = Demo::try_start(&store, &[], "info").err().expect(&store);
        assert!(
            said.contains(named) && !said.contains("panicked"),
            "{store}: {said}"
        );
    }
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
    for options in [
        ["--idle-timeout", "soon"],
        ["--idle-timeout", "0s"],
        ["--serializer", "xml"],
    ] {
        assert!(
            Demo::try_start("memory:", &options, "info").is_err(),
            "{options:?}"
        );
    }
    for store in stores(folder.path()) {
        let first = Demo::start(&store);
        // Several processes may share a SQLite file.
        if store.starts_with("sqlite:") {
            drop(Demo::start(&store));
        } else if store != "memory:" {
            let said = Demo::try_start(&store, &[], "info").err().unwrap();
            assert!(said.contains("in use"), "{said}");
        }
        let taken = first.address.to_string();
        let said = Demo::try_start("memory:", &["--listen", &taken], "info");
        assert!(said.err().unwrap().contains(&taken));
    }
}
