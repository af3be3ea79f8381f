//! The demo from outside: what each route does, on every store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Client, Demo, stores};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// Runs `test` on a demo of each store.
async fn on_every_store<F: Future<Output = ()>>(test: impl Fn(Client, Client) -> F) {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let demo = Demo::start(&store);
        test(demo.client(), demo.client()).await;
        demo.interrupt();
        let (status, log) = demo.wait();
        assert!(
            status.success(),
            "{store}: {}",
            String::from_utf8_lossy(&log)
        );
    }
}

#[tokio::test]
async fn a_stranger_has_no_session_no_cookie_and_nothing_stored() {
    on_every_store(|client, _| async move {
        let answer = client.get("/api/session").await;
        assert!(!answer.sets_cookie());
        let nothing = json!({
            "user": null, "visits": null, "cart": null, "notes": null,
            "key": null, "created_at": null, "expires_at": null,
        });
        assert_eq!(answer.json(), nothing);
        for path in ["/", "/api/devices", "/healthz"] {
            let answer = client.get(path).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(!answer.sets_cookie(), "{path}");
        }
        assert!(!client.post("/sign-out", "").await.sets_cookie());
    })
    .await;
}

#[tokio::test]
async fn a_visitor_counts_shops_signs_in_and_out() {
    on_every_store(|client, _| async move {
        assert_eq!(client.post("/visit", "").await.json(), json!({"visits": 1}));
        let anonymous = client.cookie();
        let answer = client.post("/visit", "").await;
        assert_eq!(answer.json(), json!({"visits": 2}));
        assert!(!answer.sets_cookie());
        client.post("/cart", r#"{"item": "quince"}"#).await;
        client.post("/cart", r#"{"item": "medlar"}"#).await;
        client.post("/note/a", "one").await;

        let before = client.session().await;
        let answer = client.post("/sign-in", r#"{"user": "zoë"}"#).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_ne!(client.cookie(), anonymous);
        let after = client.session().await;
        assert_eq!(after["user"], "zoë");
        assert_eq!(after["key"], before["key"], "the session is the same");
        assert_eq!(after["cart"], json!(["quince", "medlar"]));
        assert_eq!(after["notes"], json!({"a": "one"}));
        assert_eq!(after["visits"], 2);

        let old = client.copy();
        old.set_cookie(anonymous);
        let stale = old.get("/api/session").await;
        assert_eq!(
            stale.json()["key"],
            Value::Null,
            "the token before the sign-in"
        );
        assert!(!stale.sets_cookie());

        let signed_in = client.copy();
        let answer = client.post("/sign-out", "").await;
        assert!(answer.sets_cookie());
        assert_eq!(client.cookie(), None);
        assert_eq!(signed_in.session().await["key"], Value::Null);
        assert!(!signed_in.get("/api/session").await.sets_cookie());
    })
    .await;
}

#[tokio::test]
async fn two_hundred_visits_at_once_are_two_hundred() {
    on_every_store(|client, _| async move {
        client.post("/cart", r#"{"item": "quince"}"#).await;
        let visits: Vec<_> = (0..200)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.post("/visit", "").await.status })
            })
            .collect();
        for visit in visits {
            assert_eq!(visit.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(client.session().await["visits"], 200);
    })
    .await;
}

#[tokio::test]
async fn two_notes_at_once_both_survive() {
    on_every_store(|client, _| async move {
        client.post("/visit", "").await;
        let (one, two) = tokio::join!(
            client.post("/note/one?wait_ms=300", "first"),
            client.post("/note/two?wait_ms=100", "second"),
        );
        assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
        let notes = json!({"one": "first", "two": "second"});
        assert_eq!(client.session().await["notes"], notes);
    })
    .await;
}

#[tokio::test]
async fn a_note_that_ends_after_the_sign_out_revives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let demo = Demo::start_with(&store, &[], "demo=debug,info");
        let client = demo.client();
        client.submit("/sign-in", "user=zo%C3%AB").await;
        let (late, tab) = (client.copy(), client.copy());
        let note = tokio::spawn(async move { late.post("/note/late?wait_ms=2000", "x").await });
        demo.logs("a note waits").await;
        client.post("/sign-out", "").await;
        let answer = note.await.unwrap();
        assert_eq!(answer.status, StatusCode::CONFLICT, "{store}");
        assert!(!answer.sets_cookie());
        assert_eq!(tab.session().await["key"], Value::Null, "{store}");
    }
}

#[tokio::test]
async fn a_second_device_signs_the_first_out() {
    on_every_store(|first, second| async move {
        for client in [&first, &second] {
            client.submit("/sign-in", "user=zoe").await;
        }
        let key = first.session().await["key"].as_str().unwrap().to_owned();
        let devices = second.get("/api/devices").await.json();
        let devices = devices["devices"].as_array().unwrap();
        assert_eq!(devices.len(), 2);
        for device in devices {
            assert_eq!(device["current"], device["key"] != key.as_str());
            assert!(device["created_at"].is_u64() && device["last_seen"].is_u64());
        }
        let path = format!("/devices/{key}/sign-out");
        assert_eq!(second.post(&path, "").await.status, StatusCode::OK);
        assert_eq!(first.session().await["key"], Value::Null);
        assert_eq!(second.session().await["user"], "zoe");
        assert_eq!(second.post(&path, "").await.status, StatusCode::NOT_FOUND);

        first.submit("/sign-in", "user=zoe").await;
        let ended = second.post("/devices/sign-out-others", "").await;
        assert_eq!(ended.json(), json!({"signed_out": 1}));
        assert_eq!(first.session().await["key"], Value::Null);
        assert_eq!(second.session().await["user"], "zoe");
    })
    .await;
}

#[tokio::test]
async fn nobody_signs_out_somebody_elses_device() {
    on_every_store(|zoe, mallory| async move {
        zoe.submit("/sign-in", "user=zoe").await;
        let key = zoe.session().await["key"].as_str().unwrap().to_owned();
        let path = format!("/devices/{key}/sign-out");
        assert_eq!(
            mallory.post(&path, "").await.status,
            StatusCode::UNAUTHORIZED
        );
        mallory.submit("/sign-in", "user=mallory").await;
        assert_eq!(mallory.post(&path, "").await.status, StatusCode::NOT_FOUND);
        mallory.post("/devices/sign-out-others", "").await;
        assert_eq!(zoe.session().await["user"], "zoe");
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_answered_and_changes_nothing() {
    on_every_store(|client, _| async move {
        client.post("/cart", r#"{"item": "quince"}"#).await;
        let before = client.session().await;
        let large = "x".repeat(64 * 1024 + 1);
        for (method, path, body, status) in [
            ("GET", "/nothing", "", 404),
            ("GET", "//", "", 404),
            ("GET", "/devices", "", 404),
            ("POST", "/devices/short/sign-out", "", 404),
            ("POST", "/healthz", "", 405),
            ("POST", "/", "", 405),
            ("GET", "/visit", "", 405),
            ("DELETE", "/cart", "", 405),
            ("PATCH", "/api/session", "", 405),
            ("POST", "/cart", "", 400),
            ("POST", "/cart", "{", 400),
            ("POST", "/cart", "[]", 400),
            ("POST", "/cart", r#"{"item": 7}"#, 400),
            ("POST", "/cart", r#"{"item": ""}"#, 400),
            ("POST", "/cart", r#"{"other": "quince"}"#, 400),
            ("POST", "/sign-in", "user", 400),
            ("POST", "/sign-in", r#"{"user": "a\u0000b"}"#, 400),
            ("POST", "/note/a?wait_ms=x", "x", 400),
            ("POST", "/note/a?wait_ms=-1", "x", 400),
            ("POST", "/note/a?wait_ms=999999999999", "x", 400),
            ("POST", "/note/%ff", "x", 400),
            ("POST", "/note/", "x", 400),
            ("POST", "/note/a", &large, 413),
            ("POST", "/visit", &large, 413),
        ] {
            let method = method.parse::<Method>().unwrap();
            let answer = client.send(client.request(method, path, body)).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert!(answer.json()["error"].is_string(), "{path}");
            assert!(!answer.sets_cookie(), "{path}");
            assert_eq!(
                answer.headers.contains_key("allow"),
                status == 405,
                "{path}"
            );
        }
        // A session that would be too large is refused, and what was there stays.
        for n in 0..2 {
            let body = "y".repeat(40 * 1024);
            let answer = client.post(&format!("/note/{n}"), &body).await;
            assert_eq!(answer.status.as_u16(), [200, 413][n]);
        }
        let after = client.session().await;
        assert_eq!(
            (&after["cart"], &after["key"]),
            (&before["cart"], &before["key"])
        );
    })
    .await;
}

#[tokio::test]
async fn the_page_works_without_scripts_and_escapes_what_users_wrote() {
    on_every_store(|client, _| async move {
        let page = client.get("/").await;
        assert!(page.text().contains("Not signed in"));
        let answer = client.submit("/visit", "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let back = answer.headers["location"].to_str().unwrap().to_owned();
        assert!(
            client
                .get(&back)
                .await
                .text()
                .contains("a session was made")
        );
        client
            .submit("/cart", "item=%3Cscript%3Ealert(1)%3C/script%3E")
            .await;
        client.submit("/sign-in", "user=%3Cb%3E%22%27").await;
        client.post("/note/%3Ci%3E", "<script>").await;
        let page = client.get("/?did=%3Cscript%3E+loaded").await;
        let text = page.text();
        assert!(!text.contains("<script>") && !text.contains("<i>") && !text.contains("<b>\""));
        assert!(text.contains("&lt;script&gt;alert(1)"));
        assert!(text.contains("Your devices") && text.contains("(this one)"));
        assert_eq!(page.headers["vary"], "cookie");
        assert!(!page.headers.contains_key("set-cookie"));
    })
    .await;
}

#[tokio::test]
async fn a_message_is_for_the_next_page_alone() {
    on_every_store(|client, other| async move {
        client.submit("/sign-in", "user=%3Cb%3Ezoe").await;
        let page = client.get("/").await;
        assert!(page.text().contains("Welcome, &lt;b&gt;zoe."));
        assert!(!client.get("/").await.text().contains("Welcome"));
        other.post("/sign-in", r#"{"user": "<b>zoe"}"#).await;
        assert!(!other.get("/").await.text().contains("Welcome"));
        client.submit("/devices/sign-out-others", "").await;
        let page = client.get("/").await;
        assert!(page.text().contains("One device was signed out."));
    })
    .await;
}

#[tokio::test]
async fn what_was_read_of_a_session_is_not_kept_anywhere() {
    on_every_store(|client, _| async move {
        client.post("/visit", "").await;
        for path in ["/", "/api/session", "/api/devices"] {
            let answer = client.get(path).await;
            assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        }
        let health = client.get("/healthz").await;
        assert!(!health.headers.contains_key("cache-control"));
    })
    .await;
}
