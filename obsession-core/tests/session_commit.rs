//! What a commit writes, when, and what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{at, at_with, saved, sent};
use obsession_core::{ClientAction, Error, Lifetime};
use serde::{Deserialize, Serialize, Serializer};

/// Nobody can write this down, unless it is harmless.
#[derive(Deserialize, Default)]
struct Fussy(bool);

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 {
            return Err(serde::ser::Error::custom("not this one"));
        }
        serializer.serialize_bool(self.0)
    }
}

/// The session stayed dirty after it was saved, so every save wrote it again.
#[tokio::test]
async fn a_save_followed_by_the_end_of_the_request_writes_once() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    session.save().await.unwrap();
    session.save().await.unwrap();
    for _ in 0..2 {
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    }
    assert_eq!(at.store.calls(), ["load", "update"]);

    let new = at.manager.open(None);
    new.insert("a", &1).unwrap();
    let id = saved(&new).await;
    for _ in 0..2 {
        let action = new.finish(true).await.unwrap();
        assert_eq!(sent(action).as_ref(), Some(&id));
    }
    assert_eq!(at.store.calls(), ["create"]);
}

/// An empty dictionary counted as nothing to save, so the last key could not be removed: a logout
/// by `del session["user"]` left the user logged in.
#[tokio::test]
async fn emptying_is_saved() {
    let empty: [fn(&obsession_core::Session); 2] = [
        |session| session.remove("cart").unwrap(),
        |session| session.clear().unwrap(),
    ];
    for empty in empty {
        let at = at();
        let id = at.stored().await;
        let session = at.open(&id);
        empty(&session);
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
        assert_eq!(at.store.calls(), ["load", "update"]);
        assert_eq!(at.names(&id).await.unwrap(), [""; 0]);
    }
}

#[tokio::test]
async fn an_emptied_session_keeps_its_token_its_user_and_its_lifetime() {
    let at = at();
    let session = at.manager.open(None);
    session.insert("a", &1).unwrap();
    session.sign_in("user-42").unwrap();
    session.set_lifetime(Lifetime::NIST_AAL2).unwrap();
    let id = saved(&session).await;
    let before = session.info().await.unwrap().unwrap();
    session.clear().unwrap();
    assert_eq!(saved(&session).await, id);
    let info = at.other(&id).info().await.unwrap().unwrap();
    assert_eq!(info.subject.as_deref(), Some("user-42"));
    assert_eq!(info.expires_at, before.expires_at);
}

#[tokio::test]
async fn a_new_session_with_nothing_in_it_is_not_stored() {
    let at = at();
    let session = at.manager.open(None);
    session.insert("a", &1).unwrap();
    session.remove("a").unwrap();
    session.set_lifetime(Lifetime::NIST_AAL1).unwrap();
    session.save().await.unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert!(at.store.inner().is_empty());
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not_written() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("saved", &1).unwrap();
    session.save().await.unwrap();
    session.insert("dropped", &1).unwrap();
    session.sign_in("user-42").unwrap();
    assert_eq!(session.finish(false).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.calls(), ["load", "update"]);
    assert_eq!(at.names(&id).await.unwrap(), ["cart", "saved"]);
}

/// A value that could not be written had already replaced the stored session by an empty file.
#[tokio::test]
async fn a_value_that_cannot_be_written_leaves_the_stored_bytes_as_they_were() {
    let at = at();
    let id = at.stored().await;
    let session = at.other(&id);
    session.insert("fussy", &Fussy(false)).unwrap();
    session.save().await.unwrap();
    let before = at.record(&id).await;

    let session = at.open(&id);
    let answer = session.insert("cart", &Fussy(true));
    assert!(matches!(answer, Err(Error::Encode { .. })), "{answer:?}");
    let answer = session.update("fussy", |fussy: &mut Fussy| fussy.0 = true);
    assert!(matches!(answer.await, Err(Error::Encode { .. })));
    let answer = session.get_or_insert_with("new", || Fussy(true)).await;
    assert!(matches!(answer, Err(Error::Encode { .. })));
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.record(&id).await, before);

    // A guard can only say so at the next save, and then nothing is written.
    let session = at.open(&id);
    session.insert("other", &1).unwrap();
    let guard = session.get_mut::<Fussy>("fussy").await.unwrap();
    guard.unwrap().0 = true;
    let answer = session.finish(true).await;
    assert!(matches!(answer, Err(Error::Encode { .. })), "{answer:?}");
    assert_eq!(at.record(&id).await, before);
    assert_eq!(at.store.calls(), ["load", "load"]);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_the_store_is_asked() {
    let at = at();
    let session = at.manager.open(None);
    session.insert("a", &"x".repeat(70_000)).unwrap();
    match session.save().await {
        Err(Error::TooLarge { size, limit }) => {
            assert!((70_000..70_200).contains(&size));
            assert_eq!(limit, 64 * 1024);
        }
        answer => panic!("{answer:?}"),
    }
    assert_eq!(at.store.calls(), [""; 0]);

    let id = at.stored().await;
    let before = at.record(&id).await;
    let session = at.open(&id);
    session.insert("a", &"x".repeat(70_000)).unwrap();
    assert!(matches!(session.save().await, Err(Error::TooLarge { .. })));
    assert_eq!(at.store.calls(), ["load"]);
    assert_eq!(at.record(&id).await, before);
    // The application was told, so there is nothing left to wait for.
    assert_eq!(session.try_finish(true), Some(ClientAction::Keep));
}

#[tokio::test]
async fn the_limit_is_exact() {
    let text = "x".repeat(500);
    let at = at();
    let session = at.others.open(None);
    session.insert("a", &text).unwrap();
    let id = saved(&session).await;
    let size = at.record(&id).await.unwrap().body.len();
    for (limit, fits) in [(size, true), (size - 1, false)] {
        let at = at_with(|builder| builder.max_size(limit));
        let session = at.manager.open(None);
        session.insert("a", &text).unwrap();
        assert_eq!(session.save().await.is_ok(), fits);
    }
}

/// The application was told; at the end of the request the same error would turn its answer into
/// another one.
#[tokio::test]
async fn what_was_refused_is_not_tried_again_at_the_end() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &"x".repeat(70_000)).unwrap();
    assert!(session.save().await.is_err());
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert!(session.activity().dropped);
    assert_eq!(at.store.calls(), ["load"]);
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);

    // Without having been told, it is an error at the end.
    let session = at.open(&id);
    session.insert("a", &"x".repeat(70_000)).unwrap();
    let answer = session.finish(true).await;
    assert!(matches!(answer, Err(Error::TooLarge { .. })), "{answer:?}");
}

#[tokio::test]
async fn what_was_refused_can_be_made_to_fit() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &"x".repeat(70_000)).unwrap();
    session.insert("b", &1).unwrap();
    assert!(session.save().await.is_err());
    session.remove("a").unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.names(&id).await.unwrap(), ["b", "cart"]);

    // Another change that does not make it fit is tried, and refused again.
    let session = at.open(&id);
    session.insert("a", &"x".repeat(70_000)).unwrap();
    assert!(session.save().await.is_err());
    session.insert("c", &1).unwrap();
    assert!(matches!(
        session.finish(true).await,
        Err(Error::TooLarge { .. })
    ));
}

/// What was changed after the response had begun was stored without a cookie, or lost.
#[tokio::test]
async fn a_sign_in_after_the_response_changes_nothing_of_what_the_request_may_do() {
    let at = at();
    let old = at.stored().await;
    let session = at.other(&old);
    session.cycle().unwrap();
    saved(&session).await;
    let late = at.open(&old);
    assert!(late.is_empty().await.unwrap());
    let _ = late.finish(true).await.unwrap();
    assert!(matches!(late.sign_in("user-42"), Err(Error::Closed)));
    let answer = late.delete().await;
    assert!(matches!(answer, Err(Error::Ended)), "{answer:?}");
}

#[tokio::test]
async fn a_change_after_the_response_is_an_error_and_stores_nothing() {
    let at = at();
    let id = at.stored().await;
    for presented in [None, Some(id.clone())] {
        let session = at.manager.open(presented);
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
        let add = |n: &mut u64| *n += 1;
        for answer in [
            session.insert("a", &1),
            session.remove("cart"),
            session.clear(),
            session.cycle(),
            session.sign_in("user-42"),
            session.set_lifetime(Lifetime::NIST_AAL1),
            session.update("n", add).await,
            session.get_or_insert_with("n", || 1).await.map(drop),
        ] {
            assert!(matches!(answer, Err(Error::Closed)), "{answer:?}");
        }
        session.save().await.unwrap();
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    }
    let session = at.open(&id);
    let _ = session.finish(true).await.unwrap();
    let answer = session.take::<Vec<String>>("cart").await;
    assert!(matches!(answer, Err(Error::Closed)), "{answer:?}");
    // It can still be read.
    assert!(session.contains("cart").await.unwrap());
    assert_eq!(at.store.inner().len(), 1);
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
}

/// A clone in another task may let go of a guard while the request ends.
#[tokio::test]
async fn a_guard_that_is_late_does_not_spoil_what_was_in_time() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    let mut late = session
        .get_mut::<Vec<String>>("cart")
        .await
        .unwrap()
        .unwrap();
    late.push("medlar".to_owned());
    assert_eq!(session.try_finish(true), None);
    drop(late);
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.names(&id).await.unwrap(), ["a", "cart"]);
}
