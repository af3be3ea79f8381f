//! Between the head of a response and the end of its body: what can still be changed.
//!
//! | the change | with a session | without one |
//! |---|---|---|
//! | a value put in | saved at the end | `HeadSent` |
//! | a value removed, all cleared | saved at the end | nothing to do |
//! | sign-in, cycle, another lifetime | `HeadSent` | `HeadSent` |
//! | delete | at once; the client keeps a token that is dead | nothing to do |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Kept, at, at_with};
use obsession_core::{ClientAction, DropReason, Error, Event, Events, Lifetime};

#[tokio::test]
async fn values_change_after_the_head_and_are_saved_at_the_end() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("head", &1).unwrap();
    assert_eq!(session.finish_head(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.calls(), ["load", "update"]);
    session.insert("body", &1).unwrap();
    session.remove("cart").unwrap();
    session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["cart", "head"]);
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.calls(), ["update"]);
    assert_eq!(at.names(&id).await.unwrap(), ["body", "head", "n"]);
    assert!(matches!(session.insert("late", &1), Err(Error::Closed)));
}

#[tokio::test]
async fn what_needs_a_cookie_after_the_head_is_an_error_and_changes_nothing() {
    let at = at();
    let id = at.stored().await;
    for id in [Some(id.clone()), None] {
        let session = at.manager.open(id.clone());
        session.names().await.unwrap();
        let _ = session.finish_head(true).await.unwrap();
        let lifetime = Lifetime::default().persistent();
        assert!(matches!(session.sign_in("user-42"), Err(Error::HeadSent)));
        assert!(matches!(session.cycle(), Err(Error::HeadSent)));
        assert!(matches!(
            session.set_lifetime(lifetime),
            Err(Error::HeadSent)
        ));
        if id.is_none() {
            assert!(matches!(session.insert("n", &1), Err(Error::HeadSent)));
            let update = session.update("n", |n: &mut u64| *n += 1).await;
            assert!(matches!(update, Err(Error::HeadSent)));
            let first = session.get_or_insert_with("n", || 1).await;
            assert!(matches!(first, Err(Error::HeadSent)));
            // These would make no session.
            session.remove("n").unwrap();
            session.clear().unwrap();
        }
        at.store.calls();
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
        assert_eq!(at.store.calls(), [""; 0]);
    }
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
    assert_eq!(at.store.inner().len(), 1);
}

/// Nobody had looked by the time of the head, so that there is no session came out with the save.
#[tokio::test]
async fn a_value_for_a_session_that_turns_out_to_be_missing_makes_no_orphan() {
    #[derive(Debug, Default)]
    struct Told(std::sync::Mutex<Vec<Event>>);
    impl Events for Told {
        fn tell(&self, event: &Event) {
            if matches!(event, Event::Dropped { .. }) {
                self.0.lock().unwrap().push(event.clone());
            }
        }
    }
    let told = std::sync::Arc::new(Told::default());
    let at = at_with(|builder| builder.events(std::sync::Arc::clone(&told)));
    let session = at.manager.open(None);
    let _ = session.finish_head(true).await.unwrap();
    assert!(matches!(session.insert("n", &1), Err(Error::HeadSent)));
    let id = at.stored().await;
    at.other(&id).delete().await.unwrap();
    let session = at.open(&id);
    let _ = session.finish_head(true).await.unwrap();
    session.insert("n", &1).unwrap();
    assert!(matches!(session.save().await, Err(Error::HeadSent)));
    session.save().await.unwrap();
    assert_eq!(at.store.inner().len(), 0);
    let (key, why) = (None, DropReason::HeadSent);
    assert_eq!(*told.0.lock().unwrap(), [Event::Dropped { key, why }]);
}

#[tokio::test]
async fn a_session_is_ended_after_the_head_and_stays_so() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.names().await.unwrap();
    let _ = session.finish_head(true).await.unwrap();
    session.delete().await.unwrap();
    assert!(matches!(session.insert("n", &1), Err(Error::HeadSent)));
    let _ = session.finish(true).await.unwrap();
    assert!(at.names(&id).await.is_none());
    assert_eq!(at.store.inner().len(), 0);
}

/// The stamp of the cookie would say that the client was sent it again, and it would not be.
#[tokio::test]
async fn a_renewal_that_is_due_after_the_head_waits_for_the_next_request() {
    let at = at();
    let id = at.stored().await;
    let day = Duration::from_secs(86_400);
    let open = || at.manager.open_with(Kept(id.clone(), day));
    let session = open();
    session.names().await.unwrap();
    let _ = session.finish_head(true).await.unwrap();
    at.pass(12 * 3600);
    session.insert("n", &1).unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    let next = open();
    next.names().await.unwrap();
    let action = next.finish(true).await.unwrap();
    assert!(matches!(action, ClientAction::Set { .. }));
}

#[tokio::test]
async fn whether_a_clone_is_left_is_known() {
    let at = at();
    let session = at.manager.open(None);
    assert!(!session.is_shared());
    let clone = session.clone();
    assert!(session.is_shared());
    drop(clone);
    assert!(!session.is_shared());
}
