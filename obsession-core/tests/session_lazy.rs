//! What a request asks of the store: nothing before it has to, and no more than it has to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Fault, at};
use obsession_core::{Error, IdSource, Presented, Session, SessionId};

/// The round trips of each kind of request.
#[tokio::test]
async fn untouched_0_read_1_read_and_write_2_new_1_login_2() {
    let at = at();
    let id = at.stored().await;
    let finish = async |session: Session| {
        let _ = session.finish(true).await.unwrap();
        at.store.calls()
    };

    assert_eq!(finish(at.open(&id)).await, [""; 0]);
    assert_eq!(finish(at.manager.open(None)).await, [""; 0]);

    let read = at.open(&id);
    assert!(read.contains("cart").await.unwrap());
    assert_eq!(read.names().await.unwrap(), ["cart"]);
    assert_eq!(finish(read).await, ["load"]);

    let changed = at.open(&id);
    changed.update("n", |n: &mut u64| *n += 1).await.unwrap();
    changed.insert("theme", "dark").unwrap();
    changed.remove("cart").unwrap();
    assert_eq!(finish(changed).await, ["load", "update"]);

    let new = at.manager.open(None);
    new.update("n", |n: &mut u64| *n += 1).await.unwrap();
    new.insert("theme", "dark").unwrap();
    assert_eq!(finish(new).await, ["create"]);

    let login = at.open(&id);
    login.sign_in("user-42").unwrap();
    login.insert("role", "admin").unwrap();
    assert_eq!(finish(login).await, ["load", "update"]);
}

#[tokio::test]
async fn opening_cloning_showing_and_changing_ask_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    let clone = session.clone();
    let _ = format!("{session:?} {:?}", clone.activity());
    session.insert("a", &1).unwrap();
    session.remove("b").unwrap();
    session.clear().unwrap();
    session.cycle().unwrap();
    session.sign_in("user-42").unwrap();
    drop((session, clone));
    assert_eq!(at.store.calls(), [""; 0]);
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
}

#[tokio::test]
async fn every_kind_of_look_loads_once() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    for _ in 0..2 {
        session.get::<Vec<String>>("cart").await.unwrap();
        session.contains("cart").await.unwrap();
        session.names().await.unwrap();
        session.len().await.unwrap();
        session.is_empty().await.unwrap();
        session.id().await.unwrap();
        session.key().await.unwrap();
        session.subject().await.unwrap();
        session.info().await.unwrap();
        session.get_mut::<Vec<String>>("cart").await.unwrap();
    }
    assert_eq!(at.store.calls(), ["load"]);
}

#[tokio::test]
async fn one_load_whatever_looks_at_the_same_time() {
    let at = at();
    let id = at.stored().await;
    at.store.set_always(Fault::Yield);
    let session = at.open(&id);
    let looks: Vec<_> = (0..64)
        .map(|n| {
            let session = session.clone();
            tokio::spawn(async move {
                match n % 4 {
                    0 => session.contains("cart").await.unwrap(),
                    1 => session.len().await.unwrap() > 0,
                    2 => session.id().await.unwrap().is_some(),
                    _ => session.get_or_insert_with("n", || 1).await.unwrap() == 1,
                }
            })
        })
        .collect();
    for look in looks {
        assert!(look.await.unwrap());
    }
    assert_eq!(at.store.calls(), ["load"]);
}

#[tokio::test]
async fn a_session_that_is_not_there_is_asked_for_once() {
    let at = at();
    let id: SessionId = "x".repeat(40).parse().unwrap();
    let session = at.open(&id);
    for _ in 0..3 {
        assert!(session.is_empty().await.unwrap());
        assert_eq!(session.id().await.unwrap(), None);
    }
    assert_eq!(at.store.calls(), ["load"]);
}

#[tokio::test]
async fn a_failed_load_is_tried_again_by_the_next_look() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    at.store.plan([Fault::Refuse]);
    let answer = session.contains("cart").await;
    assert!(matches!(answer, Err(Error::Store(_))), "{answer:?}");
    assert!(session.contains("cart").await.unwrap());
    assert_eq!(at.store.calls(), ["load", "load"]);
}

#[tokio::test]
async fn the_client_is_asked_once_and_not_before_the_first_look() {
    #[derive(Debug)]
    struct Asked(Arc<AtomicUsize>);

    impl IdSource for Asked {
        fn presented(&self) -> Presented {
            self.0.fetch_add(1, Ordering::SeqCst);
            Presented::Nothing
        }

        fn max_age(&self) -> Option<Duration> {
            None
        }
    }

    let at = at();
    let asked = Arc::new(AtomicUsize::new(0));
    let untouched = at.manager.open_with(Asked(Arc::clone(&asked)));
    let _ = untouched.finish(true).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let session = at.manager.open_with(Asked(Arc::clone(&asked)));
    session.insert("a", &1).unwrap();
    session.names().await.unwrap();
    session.save().await.unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// A client of whose cookies one is stale, for transports that allow it.
#[tokio::test]
async fn of_several_ids_the_first_with_a_session_is_used() {
    #[derive(Debug)]
    struct Many(Vec<SessionId>);

    impl IdSource for Many {
        fn presented(&self) -> Presented {
            Presented::Several(self.0.clone())
        }

        fn max_age(&self) -> Option<Duration> {
            None
        }
    }

    let at = at();
    let (one, two) = (at.stored().await, at.stored().await);
    let missing: SessionId = "x".repeat(40).parse().unwrap();
    let replaced = at.stored().await;
    let session = at.open(&replaced);
    session.cycle().unwrap();
    session.save().await.unwrap();
    at.store.calls();
    for (ids, found, loads) in [
        (vec![&one, &two], Some(&one), 1),
        (vec![&missing, &two, &one], Some(&two), 2),
        (vec![&replaced, &missing, &two], Some(&two), 3),
        (vec![&missing], None, 1),
        (vec![], None, 0),
    ] {
        let session = at
            .manager
            .open_with(Many(ids.into_iter().cloned().collect()));
        assert_eq!(session.id().await.unwrap().as_ref(), found);
        assert_eq!(at.store.calls(), vec!["load"; loads]);
    }
    // That one of them was replaced just now is not forgotten: this request starts no other session.
    for ids in [vec![&replaced, &missing], vec![&missing, &replaced]] {
        let session = at
            .manager
            .open_with(Many(ids.into_iter().cloned().collect()));
        session.insert("a", &1).unwrap();
        assert!(matches!(session.save().await, Err(Error::Ended)));
    }
}

/// What `is_loaded` and `dirty` said, and more.
#[tokio::test]
async fn the_activity_says_what_was_done() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    assert_eq!(session.activity(), obsession_core::Activity::default());
    session.insert("a", &1).unwrap();
    assert!(session.activity().looked && !session.activity().loaded);
    session.contains("a").await.unwrap();
    assert!(session.activity().loaded);
    assert_eq!(session.activity().written, 0);
    session.save().await.unwrap();
    assert_eq!(session.activity().written, 1);
    session.cycle().unwrap();
    session.save().await.unwrap();
    assert!(session.activity().cycled && !session.activity().created);
    session.delete().await.unwrap();
    assert!(session.activity().deleted && !session.activity().client_told);
    let _ = session.finish(true).await.unwrap();
    assert!(session.activity().client_told);

    let new = at.manager.open(None);
    new.insert("a", &1).unwrap();
    new.save().await.unwrap();
    assert!(new.activity().created && !new.activity().loaded);
}
