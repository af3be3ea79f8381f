//! Routes that must not use their session: an error in debug builds, an event in others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{at, at_with};
use obsession_core::{Error, Event, Events};

#[derive(Debug, Default)]
struct Told(std::sync::Mutex<Vec<Event>>);

impl Events for Told {
    fn tell(&self, event: &Event) {
        if matches!(event, Event::Marked { .. }) {
            self.0.lock().unwrap().push(event.clone());
        }
    }
}

#[tokio::test]
async fn a_marked_request_that_uses_its_session_is_found() {
    let told = std::sync::Arc::new(Told::default());
    let at = at_with(|builder| builder.events(std::sync::Arc::clone(&told)));
    let id = at.stored().await;
    let session = at.open(&id);
    session.mark_untouched("/static");
    let answers = [
        session.names().await.map(drop),
        session.insert("n", &1),
        session.cycle(),
        session.delete().await,
    ];
    if cfg!(debug_assertions) {
        for answer in answers {
            assert!(matches!(answer, Err(Error::Marked { route: "/static" })));
        }
        let _ = session.finish(true).await.unwrap();
        assert!(!session.activity().looked);
        assert_eq!(at.store.calls(), [""; 0]);
    } else {
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(
            *told.0.lock().unwrap(),
            [Event::Marked { route: "/static" }]
        );
    }
}

#[tokio::test]
async fn a_marked_request_that_leaves_its_session_alone_costs_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.mark_untouched("/static");
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), [""; 0]);
}
