//! Messages for the next page: shown once, and none is lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{at, saved};
use obsession_core::{Error, Session};

async fn leave(session: &Session, message: &str) {
    session.flash(message.to_owned()).await.unwrap();
}

#[tokio::test]
async fn messages_are_shown_once_in_their_order() {
    let at = at();
    let session = at.manager.open(None);
    leave(&session, "a").await;
    leave(&session, "b").await;
    let id = saved(&session).await;
    let page = at.open(&id);
    assert_eq!(page.take_flashes::<String>().await.unwrap(), ["a", "b"]);
    assert!(page.take_flashes::<String>().await.unwrap().is_empty());
    let next = at.open(&id);
    assert!(next.take_flashes::<String>().await.unwrap().is_empty());
}

#[tokio::test]
async fn messages_of_two_requests_are_both_kept_and_one_page_of_two_gets_them() {
    let at = at();
    let id = at.stored().await;
    let (a, b) = (at.open(&id), at.open(&id));
    leave(&a, "a").await;
    leave(&b, "b").await;
    let _ = a.finish(true).await.unwrap();
    let _ = b.finish(true).await.unwrap();
    let (one, two) = (at.open(&id), at.open(&id));
    one.names().await.unwrap();
    two.names().await.unwrap();
    assert_eq!(one.take_flashes::<String>().await.unwrap(), ["a", "b"]);
    assert!(two.take_flashes::<String>().await.unwrap().is_empty());
}

/// A page without messages costs no write.
#[tokio::test]
async fn where_there_is_none_nothing_is_written() {
    let at = at();
    let id = at.stored().await;
    let page = at.open(&id);
    assert!(page.take_flashes::<String>().await.unwrap().is_empty());
    let _ = page.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load"]);
}

#[tokio::test]
async fn messages_of_another_type_are_an_error_and_stay() {
    let at = at();
    let session = at.manager.open(None);
    leave(&session, "a").await;
    let numbers = session.take_flashes::<u64>().await;
    assert!(matches!(numbers, Err(Error::Decode { .. })));
    assert_eq!(session.take_flashes::<String>().await.unwrap(), ["a"]);
}
