//! axum's handlers, served over real sockets in HTTP/1 and HTTP/2.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use common::wire::{Client, VERSIONS, pair};
use common::{Seen, cookie_of, seen};
use http::StatusCode;
use obsession_core::SessionManager;
use obsession_core::conformance::Fault;
use obsession_hyper::{
    Cookie, CurrentSession, SessionEntry, SessionLayer, SessionRejection, Value,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
}

impl SessionEntry for Cart {
    const NAME: &'static str = "cart";
}

/// It has no default.
#[derive(Debug, Serialize, Deserialize)]
struct Profile {
    name: String,
}

impl SessionEntry for Profile {
    const NAME: &'static str = "profile";
}

type Answer = Result<String, SessionRejection>;

async fn untouched(_: CurrentSession) {}

async fn without_layer(session: Option<CurrentSession>) -> String {
    session.is_none().to_string()
}

async fn sign_in(CurrentSession(session): CurrentSession) -> Answer {
    session.sign_in("user-42")?;
    session.insert(
        Profile::NAME,
        &Profile {
            name: "Ada".to_owned(),
        },
    )?;
    Ok(String::new())
}

async fn profile(profile: Option<Value<Profile>>) -> String {
    profile.map_or_else(|| "nobody".to_owned(), |profile| profile.name.clone())
}

async fn show(cart: Value<Cart>) -> String {
    cart.items.join(",")
}

async fn add(mut cart: Value<Cart>) -> Answer {
    let length = cart
        .update(|cart| {
            cart.items.push("quince".to_owned());
            cart.items.len()
        })
        .await?;
    assert_eq!(cart.items.len(), length);
    Ok(length.to_string())
}

/// Another request adds something between this one's look and its write.
async fn add_late(mut cart: Value<Cart>) -> Answer {
    let id = cart.session().id().await?;
    let other = cart.session().manager().open(id);
    other
        .update("cart", |cart: &mut Cart| {
            cart.items.push("medlar".to_owned());
        })
        .await?;
    other.save().await?;
    cart.update(|cart| cart.items.push("late".to_owned()))
        .await?;
    cart.session().save().await?;
    Ok(String::new())
}

async fn replace(mut cart: Value<Cart>) -> Answer {
    cart.set(Cart {
        items: vec!["medlar".to_owned()],
    })?;
    assert_eq!(cart.items, ["medlar"]);
    Ok(cart.into_inner().items.join(","))
}

async fn empty(cart: Value<Cart>) -> Answer {
    let Cart { items } = cart.remove()?;
    Ok(items.join(","))
}

async fn other_type(CurrentSession(session): CurrentSession) -> Answer {
    session.insert(Cart::NAME, "no cart")?;
    Ok(String::new())
}

async fn serve(manager: SessionManager) -> SocketAddr {
    let app = Router::new()
        .route("/", get(untouched))
        .route("/sign-in", get(sign_in))
        .route("/profile", get(profile))
        .route("/cart", get(show))
        .route("/cart/add", get(add))
        .route("/cart/late", get(add_late))
        .route("/cart/set", get(replace))
        .route("/cart/empty", get(empty))
        .route("/cart/other", get(other_type))
        .layer(SessionLayer::new(manager, Cookie::default()))
        .route("/bare", get(untouched))
        .route("/bare/value", get(show))
        .route("/bare/option", get(without_layer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn site(version: common::wire::Version) -> (Arc<Seen>, Client) {
    let (store, manager) = seen();
    let address = serve(manager).await;
    (store, Client::connect(address, version).await)
}

#[tokio::test]
async fn extracting_the_session_asks_the_store_for_nothing() {
    for version in VERSIONS {
        let (store, mut client) = site(version).await;
        let answer = client
            .get("/", Some(&format!("__Host-id={}", "x".repeat(40))))
            .await;
        assert_eq!(answer.status(), StatusCode::OK, "{version:?}");
        assert_eq!(store.calls(), [""; 0]);
        assert!(!answer.headers().contains_key("vary"));
    }
}

#[tokio::test]
async fn a_value_is_loaded_changed_replaced_and_removed() {
    for version in VERSIONS {
        let (store, mut client) = site(version).await;
        let answer = client.get("/cart/add", None).await;
        assert_eq!(answer.body(), "1", "{version:?}");
        let cookie = pair(cookie_of(answer.headers()).unwrap()).to_owned();
        assert_eq!(store.calls(), ["create"]);
        let cookie = Some(cookie.as_str());
        assert_eq!(client.get("/cart/add", cookie).await.body(), "2");
        assert_eq!(store.calls(), ["load", "update"]);
        assert_eq!(client.get("/cart", cookie).await.body(), "quince,quince");
        assert_eq!(client.get("/cart/set", cookie).await.body(), "medlar");
        assert_eq!(client.get("/cart/empty", cookie).await.body(), "medlar");
        assert_eq!(client.get("/cart", cookie).await.body(), "");
    }
}

#[tokio::test]
async fn an_update_of_a_value_is_made_again_on_what_others_wrote() {
    let (_, mut client) = site(VERSIONS[0]).await;
    let answer = client.get("/cart/add", None).await;
    let cookie = pair(cookie_of(answer.headers()).unwrap()).to_owned();
    client.get("/cart/late", Some(&cookie)).await;
    let answer = client.get("/cart", Some(&cookie)).await;
    assert_eq!(answer.body(), "quince,medlar,late");
}

#[tokio::test]
async fn a_value_without_a_default_is_an_option() {
    let (_, mut client) = site(VERSIONS[0]).await;
    assert_eq!(client.get("/profile", None).await.body(), "nobody");
    let answer = client.get("/sign-in", None).await;
    let cookie = pair(cookie_of(answer.headers()).unwrap()).to_owned();
    assert_eq!(client.get("/profile", Some(&cookie)).await.body(), "Ada");
}

#[tokio::test]
async fn a_rejection_is_an_answer_with_an_empty_body() {
    let (store, mut client) = site(VERSIONS[0]).await;
    let answer = client.get("/cart/add", None).await;
    let cookie = pair(cookie_of(answer.headers()).unwrap()).to_owned();
    let other = client.get("/cart/other", None).await;
    let other = pair(cookie_of(other.headers()).unwrap()).to_owned();
    for (path, cookie, fault, status) in [
        ("/bare", None, Fault::Pass, 500),
        ("/bare/value", None, Fault::Pass, 500),
        ("/cart", Some(&cookie), Fault::Refuse, 503),
        ("/cart/add", Some(&cookie), Fault::Refuse, 503),
        ("/profile", Some(&cookie), Fault::Refuse, 503),
        ("/cart", Some(&other), Fault::Pass, 500),
    ] {
        store.set_always(fault);
        let answer = client.get(path, cookie.map(String::as_str)).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.body(), "");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(cookie_of(answer.headers()), None);
    }
    store.set_always(Fault::Pass);
    assert_eq!(client.get("/cart", Some(&cookie)).await.body(), "quince");
    assert_eq!(client.get("/bare/option", None).await.body(), "true");
}
