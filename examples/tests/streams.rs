//! The demo's stream of events, and its guard against requests of other sites.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::{Duration, Instant};

use common::Demo;
use hyper::header::ORIGIN;
use hyper::{Method, StatusCode};

#[tokio::test]
async fn a_stream_ends_when_another_device_ends_its_session() {
    let demo = Demo::start("memory:");
    let (phone, laptop) = (demo.client(), demo.client());
    for device in [&phone, &laptop] {
        device.post("/sign-in", r#"{"user": "zoe"}"#).await;
    }
    let stream = tokio::spawn({
        let phone = phone.clone();
        async move { phone.get("/events").await }
    });
    // A stream that lives while others of the user do what they like.
    laptop.post("/visit", "").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!stream.is_finished());
    let answer = laptop.post("/devices/sign-out-others", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    let began = Instant::now();
    let answer = stream.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "not by polling");
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let events = "event: begun\ndata: the session lives\n\nevent: over\ndata: ended\n\n";
    assert_eq!(answer.text(), events);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_streams() {
    let demo = Demo::start("memory:");
    let client = demo.client();
    client.post("/sign-in", r#"{"user": "zoe"}"#).await;
    let stream = tokio::spawn(async move { client.get("/events").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    demo.interrupt();
    let (status, _) = demo.wait();
    assert!(status.success());
    assert!(began.elapsed() < Duration::from_secs(8));
    assert!(!stream.await.unwrap().text().contains("over"));
}

#[tokio::test]
async fn what_another_site_makes_a_browser_ask_for_is_refused() {
    let demo = Demo::start("memory:");
    let client = demo.client();
    client.post("/visit", "").await;
    for (origin, status) in [
        ("http://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
    ] {
        let mut request = client.request(Method::POST, "/visit", "");
        request
            .headers_mut()
            .insert(ORIGIN, origin.parse().unwrap());
        assert_eq!(client.send(request).await.status, status, "{origin}");
    }
    assert_eq!(client.session().await["visits"], 1);
}
