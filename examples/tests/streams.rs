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
use hyper::header::{ACCEPT, CONTENT_TYPE, ORIGIN};
use hyper::{Method, StatusCode};

const BEGUN: &str = "event: begun\ndata: the session lives";

#[tokio::test]
async fn a_stream_ends_when_another_device_ends_its_session() {
    let demo = Demo::start("memory:");
    let (phone, laptop) = (demo.client(), demo.client());
    for device in [&phone, &laptop] {
        device.post("/sign-in", r#"{"user": "zoe"}"#).await;
    }
    let mut stream = phone.listen().await;
    assert_eq!(stream.next().await.as_deref(), Some(BEGUN));
    // A stream that lives while others of the user do what they like.
    laptop.post("/visit", "").await;
    let more = tokio::time::timeout(Duration::ZERO, stream.next()).await;
    assert!(more.is_err(), "{more:?}");
    let answer = laptop.post("/devices/sign-out-others", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    let began = Instant::now();
    let over = stream.next().await;
    assert!(began.elapsed() < Duration::from_secs(2), "not by polling");
    assert_eq!(over.as_deref(), Some("event: over\ndata: ended"));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_streams() {
    let demo = Demo::start("memory:");
    let client = demo.client();
    client.post("/sign-in", r#"{"user": "zoe"}"#).await;
    let mut stream = client.listen().await;
    assert_eq!(stream.next().await.as_deref(), Some(BEGUN));
    let began = Instant::now();
    demo.interrupt();
    let (status, _) = demo.wait();
    assert!(status.success());
    assert!(began.elapsed() < Duration::from_secs(8));
    assert_eq!(stream.next().await, None);
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

#[tokio::test]
async fn a_form_of_a_browser_that_says_no_origin_needs_the_token_of_the_page() {
    let demo = Demo::start("memory:");
    let client = demo.client();
    client.submit("/sign-in", "user=zoe").await;
    let page = client.get("/").await;
    let token = page.text().split("name=form_token value=").nth(1).unwrap();
    let token = token.split('>').next().unwrap().to_owned();
    let submit = async |form: String| {
        let mut request = client.request(Method::POST, "/visit", &form);
        let headers = request.headers_mut();
        let form = "application/x-www-form-urlencoded";
        headers.insert(CONTENT_TYPE, form.parse().unwrap());
        headers.insert(ACCEPT, "text/html".parse().unwrap());
        client.send(request).await.status
    };
    assert_eq!(submit(String::new()).await, StatusCode::FORBIDDEN);
    let foreign = token.replace(['0', '1', '2'], "3");
    let foreign = submit(format!("form_token={foreign}")).await;
    assert_eq!(foreign, StatusCode::FORBIDDEN);
    let own = submit(format!("form_token={token}")).await;
    assert_eq!(own, StatusCode::SEE_OTHER);
    assert_eq!(client.session().await["visits"], 1);
}
