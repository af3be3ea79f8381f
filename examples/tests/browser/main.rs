//! The demo in a real browser, over http and over https.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "tls")]

#[path = "../common/mod.rs"]
mod common;
mod device;

use common::Demo;
use device::Device;
use serde_json::{Value, json};
use testing::Certificates;

/// A demo, and whose word a browser has to take for it.
struct Site {
    demo: Demo,
    certificates: Option<Certificates>,
}

impl Site {
    fn http() -> Self {
        Self {
            demo: Demo::start("memory:"),
            certificates: None,
        }
    }

    fn https() -> Self {
        let certificates = Certificates::new().unwrap();
        let [certificate, key] = [certificates.certificate(), certificates.key()];
        let options = [
            "--tls-certificate",
            certificate.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        Self {
            demo: Demo::start_with("memory:", &options, "info"),
            certificates: Some(certificates),
        }
    }

    async fn device(&self) -> Device {
        let scheme = if self.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        let url = format!("{scheme}://localhost:{}", self.demo.address.port());
        Device::at(&url, self.certificates.as_ref()).await
    }
}

/// Each case, over both.
macro_rules! cases {
    ($($case:ident),*) => {
        mod over_http {
            $(
                #[tokio::test]
                #[ignore = "needs a browser: scripts/test --browser"]
                async fn $case() {
                    super::$case(super::Site::http()).await;
                }
            )*
        }

        mod over_https {
            $(
                #[tokio::test]
                #[ignore = "needs a browser: scripts/test --browser"]
                async fn $case() {
                    super::$case(super::Site::https()).await;
                }
            )*
        }
    };
}

cases!(
    the_browser_keeps_the_cookie_as_it_was_meant,
    a_device_that_another_ends_is_out_at_once,
    all_other_devices_are_out_at_once,
    after_a_sign_out_the_way_back_shows_nothing_private
);

async fn the_browser_keeps_the_cookie_as_it_was_meant(site: Site) {
    let device = site.device().await;
    assert_eq!(device.cookies().await, [] as [Value; 0], "a look sets none");
    device.click("/visit").await;
    let visitor = token(&device).await;
    device.sign_in("zoe").await;
    let https = site.certificates.is_some();
    let name = if https { "__Host-id" } else { "id" };
    let kept = device.cookies().await;
    assert_eq!(kept.len(), 1, "the visitor's is replaced");
    for (attribute, value) in [
        ("name", json!(name)),
        // Without a dot ahead: of this host alone.
        ("domain", json!("localhost")),
        ("path", json!("/")),
        ("secure", json!(https)),
        ("httpOnly", json!(true)),
        ("sameSite", json!("Lax")),
        // Until the browser is closed.
        ("session", json!(true)),
        ("expires", json!(-1)),
    ] {
        assert_eq!(kept[0][attribute], value, "{attribute}");
    }
    let user = token(&device).await;
    assert_eq!(user.len(), 40);
    assert_ne!(user, visitor);

    assert_eq!(device.run("return document.cookie").await, "");
    let source = device
        .run("return document.documentElement.outerHTML")
        .await;
    assert!(!source.as_str().unwrap().contains(&user[16..]));
    // What a script writes beside it changes nothing.
    let forged = format!("document.cookie = '{name}=forged; path=/'; return document.cookie");
    assert_eq!(device.run(&forged).await, "");
    assert_eq!(token(&device).await, user);

    // More than once: where the page reloaded itself as soon as its stream was over, that cut off the
    // answer that was under way, and with it the word to forget the cookie, at times.
    for _ in 0..8 {
        device.click("/sign-out").await;
        device.shows("Not signed in").await;
        assert_eq!(device.cookies().await, [] as [Value; 0], "it is forgotten");
        device.sign_in("zoe").await;
    }
}

/// A tab that only listens: what is heard is kept with the page, so a reload would forget it.
const LISTEN: &str = "
    const stream = new EventSource('/events');
    window.heard = {};
    for (const name of ['begun', 'over'])
        window.heard[name] = new Promise(tell => stream.addEventListener(name, event => {
            if (name === 'over') stream.close();
            tell(event.data);
        }))";
const SESSION: &str = "return fetch('/api/session').then(answer => answer.json())";

async fn a_device_that_another_ends_is_out_at_once(site: Site) {
    is_out_at_once(site, |key| format!("/devices/{key}/sign-out")).await;
}

async fn all_other_devices_are_out_at_once(site: Site) {
    is_out_at_once(site, |_| "/devices/sign-out-others".to_owned()).await;
}

async fn is_out_at_once(site: Site, action: impl Fn(&str) -> String) {
    let (phone, laptop) = tokio::join!(site.device(), site.device());
    laptop.sign_in("zoe").await;
    phone.sign_in("zoe").await;
    let session = phone.run(SESSION).await;
    assert_eq!(session["user"], "zoe");
    let old = token(&phone).await;

    let page = phone.tab().await;
    let listening = phone.open_tab("/healthz").await;
    phone.run(LISTEN).await;
    let begun = phone.run("return heard.begun").await;
    assert_eq!(begun, "the session lives");
    // As in a browser that has no streams.
    let deaf = phone.open_tab("/healthz").await;
    phone.run_first("delete window.EventSource").await;
    phone.open("/").await;
    phone.shows("Signed in as zoe").await;

    laptop.reload().await;
    let action = action(session["key"].as_str().unwrap());
    laptop.click(&action).await;
    laptop.shows("Signed in as zoe").await;

    phone.go_to_tab(&listening).await;
    assert_eq!(phone.run("return heard.over").await, "ended");
    // The page has a stream of its own, and goes with it.
    phone.go_to_tab(&page).await;
    phone.shows("Not signed in").await;
    phone.go_to_tab(&deaf).await;
    let text = phone.text().await;
    assert!(text.contains("Signed in as zoe"), "not clicked yet: {text}");
    phone.click("/visit").await;
    phone.shows("Not signed in").await;
    assert_eq!(phone.run(SESSION).await["visits"], 1);
    let new = token(&phone).await;
    assert_ne!(new[..16], old[..16], "a session of its own");
}

async fn after_a_sign_out_the_way_back_shows_nothing_private(site: Site) {
    let device = site.device().await;
    device.sign_in("zoe").await;
    device.enter("item", "a-secret-quince").await;
    device.click("/cart").await;
    device.shows("a-secret-quince").await;
    device.click("/sign-out").await;
    device.shows("Not signed in").await;
    for _ in 0..2 {
        device.back().await;
        device.shows("Not signed in").await;
        let text = device.text().await;
        assert!(
            !text.contains("zoe") && !text.contains("a-secret"),
            "{text}"
        );
        device.reload().await;
        device.shows("Not signed in").await;
    }
    assert_eq!(device.cookies().await, [] as [Value; 0]);
}

/// The one token that the browser has.
async fn token(device: &Device) -> String {
    let cookies = device.cookies().await;
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    cookies[0]["value"].as_str().unwrap().to_owned()
}
