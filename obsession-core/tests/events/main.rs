//! What is told of a session's life: each event once, in its scenario, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod tokens;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{At, Fault, at_with, saved};
use obsession_core::{
    Cleanup, DropReason, Effect, EndReason, Event, Events, IdSource, Lifetime, MemoryStore,
    Presented, Record, Revision, SessionId, SessionManager, SessionStore, StoreCall,
};

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Event>>);

impl Events for Told {
    fn tell(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Told {
    /// What was told since the last time, but for the store's answers.
    fn news(&self) -> Vec<Event> {
        let mut events = std::mem::take(&mut *self.0.lock().unwrap());
        events.retain(|event| !matches!(event, Event::Answered { .. }));
        events
    }

    /// Which calls the store answered since the last time.
    fn calls(&self) -> Vec<(StoreCall, Option<Effect>)> {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        let calls = events.iter().filter_map(|event| match event {
            Event::Answered { call, failed, .. } => Some((*call, *failed)),
            _ => None,
        });
        calls.collect()
    }
}

fn observed() -> (At, Arc<Told>) {
    let told = Arc::new(Told::default());
    let mut at = at_with(|builder| builder.max_size(1000));
    at.manager = observe(&at, &told, Lifetime::default());
    (at, told)
}

fn observe(at: &At, told: &Arc<Told>, lifetime: Lifetime) -> SessionManager {
    SessionManager::builder(Arc::clone(&at.store))
        .clock(Arc::clone(&at.clock))
        .max_size(1000)
        .lifetime(lifetime)
        .events(Arc::clone(told))
        .build()
}

fn dropped(id: &SessionId, why: DropReason) -> Event {
    let key = Some(id.key());
    Event::Dropped { key, why }
}

#[tokio::test]
async fn reading_and_writing_are_no_events() {
    let (at, told) = observed();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("n", &1).unwrap();
    let _ = session.finish(true).await.unwrap();
    at.open(&id).names().await.unwrap();
    let _ = at.manager.open(None).finish(true).await.unwrap();
    assert_eq!(told.news(), []);
}

#[tokio::test]
async fn a_session_that_is_stored_is_created_once() {
    let (at, told) = observed();
    let session = at.manager.open(None);
    session.insert("n", &1).unwrap();
    assert_eq!(told.news(), [], "nothing is stored yet");
    let key = saved(&session).await.key();
    assert_eq!(told.news(), [Event::Created { key }]);
    session.insert("n", &2).unwrap();
    session.save().await.unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(told.news(), []);
}

/// The first answer is lost, and the write that is sent again is recognised.
#[tokio::test]
async fn a_write_that_is_sent_twice_is_told_once() {
    let (at, told) = observed();
    at.store.plan([Fault::LoseAnswer]);
    let session = at.manager.open(None);
    session.insert("n", &1).unwrap();
    let key = saved(&session).await.key();
    assert_eq!(told.news(), [Event::Created { key }]);
}

#[tokio::test]
async fn a_sign_in_is_told_with_its_subject_and_not_as_a_cycle() {
    let (at, told) = observed();
    let session = at.manager.open(None);
    session.sign_in("user-42").unwrap();
    let key = saved(&session).await.key();
    let subject: Arc<str> = "user-42".into();
    let signed_in = Event::SignedIn { key, subject };
    assert_eq!(told.news(), [Event::Created { key }, signed_in.clone()]);
    session.sign_in("user-42").unwrap();
    session.save().await.unwrap();
    assert_eq!(told.news(), [signed_in]);
    // Who is signed in stays so without being told again.
    session.insert("n", &1).unwrap();
    session.save().await.unwrap();
    assert_eq!(told.news(), []);
}

#[tokio::test]
async fn a_cycle_is_told_once() {
    let (at, told) = observed();
    let id = at.stored().await;
    let session = at.open(&id);
    session.cycle().unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(told.news(), [Event::Cycled { key: id.key() }]);
}

#[tokio::test]
async fn an_end_is_told_by_whoever_made_it() {
    let (at, told) = observed();
    let id = at.stored().await;
    let ended = |why| Event::Ended { key: id.key(), why };
    let late = at.open(&id);
    late.names().await.unwrap();
    let session = at.open(&id);
    session.delete().await.unwrap();
    session.delete().await.unwrap();
    late.delete().await.unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(told.news(), [ended(EndReason::Deleted)]);
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_told_once_it_is_known() {
    let (at, told) = observed();
    let id = at.stored().await;
    let session = at.open(&id);
    at.store.plan([Fault::Pass, Fault::LoseAnswer]);
    session.delete().await.unwrap_err();
    assert_eq!(told.news(), []);
    session.delete().await.unwrap();
    let (key, why) = (id.key(), EndReason::Deleted);
    assert_eq!(told.news(), [Event::Ended { key, why }]);
}

#[tokio::test]
async fn a_session_that_is_ended_from_another_is_told_as_revoked() {
    let (at, told) = observed();
    let session = at.manager.open(None);
    session.sign_in("user-42").unwrap();
    let key = saved(&session).await.key();
    told.news();
    assert!(!at.manager.end("user-43", &key).await.unwrap());
    assert_eq!(told.news(), []);
    assert!(at.manager.end("user-42", &key).await.unwrap());
    assert!(!at.manager.end("user-42", &key).await.unwrap());
    let why = EndReason::Revoked;
    assert_eq!(told.news(), [Event::Ended { key, why }]);
}

#[tokio::test]
async fn the_end_of_all_sessions_is_one_event() {
    let told = Arc::new(Told::default());
    let manager = SessionManager::builder_indexed(MemoryStore::new())
        .events(Arc::clone(&told))
        .build();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let session = manager.open(None);
        session.sign_in("user-42").unwrap();
        keys.push(saved(&session).await.key());
    }
    told.news();
    manager.end_all("user-42", Some(&keys[1])).await.unwrap();
    let all_ended = Event::AllEnded {
        subject: "user-42".into(),
        except: Some(keys[1]),
        count: 2,
    };
    assert_eq!(told.news(), [all_ended]);
}

#[tokio::test]
async fn a_session_that_expires_under_a_request_is_told_as_expired_and_its_changes_as_dropped() {
    let (at, told) = observed();
    let id = at.stored().await;
    let session = at.open(&id);
    session.names().await.unwrap();
    at.pass(14 * 24 * 60 * 60);
    session.insert("n", &1).unwrap();
    let _ = session.finish(true).await.unwrap();
    let key = id.key();
    let dropped = dropped(&id, DropReason::Ended);
    assert_eq!(told.news(), [Event::Expired { key }, dropped]);
}

#[tokio::test]
async fn a_session_over_a_shortened_lifetime_is_told_as_expired() {
    let (mut at, told) = observed();
    let id = at.stored().await;
    let hour = Duration::from_secs(60 * 60);
    at.manager = observe(&at, &told, Lifetime::new(hour, hour));
    at.pass(60 * 60);
    assert!(at.open(&id).info().await.unwrap().is_none());
    let key = id.key();
    assert_eq!(told.news(), [Event::Expired { key }]);
}

#[tokio::test]
async fn cleanup_tells_how_many_it_removed() {
    let (at, told) = observed();
    let cleanup: Cleanup = at.manager.cleanup().batch(2);
    cleanup.run_once().await.unwrap();
    assert_eq!(told.news(), []);
    for _ in 0..3 {
        at.stored().await;
    }
    at.pass(15 * 24 * 60 * 60);
    cleanup.run_once().await.unwrap();
    let removed = |count| Event::Removed { count };
    assert_eq!(told.news(), [removed(2), removed(1)]);
}
