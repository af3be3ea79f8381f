//! A subject's sessions: listed, ended one by one and all at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{NOW, at, saved};
use obsession_core::{Error, ManualClock, MemoryStore, SessionId, SessionKey, SessionManager};

struct Users {
    manager: SessionManager,
    clock: Arc<ManualClock>,
    zoe: Vec<SessionId>,
    ann: SessionId,
    nobody: SessionId,
}

/// Five sessions of zoë, one of ann and one of nobody.
async fn users() -> Users {
    let clock = Arc::new(ManualClock::new(NOW));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let manager = SessionManager::builder_indexed(store)
        .clock(Arc::clone(&clock))
        .build();
    let sign_in = async |subject: Option<&str>| {
        let session = manager.open(None);
        session.insert("a", &1).unwrap();
        if let Some(subject) = subject {
            session.sign_in(subject).unwrap();
        }
        saved(&session).await
    };
    let mut zoe = Vec::new();
    for _ in 0..5 {
        zoe.push(sign_in(Some("zoë")).await);
    }
    let (ann, nobody) = (sign_in(Some("ann")).await, sign_in(None).await);
    Users {
        manager,
        clock,
        zoe,
        ann,
        nobody,
    }
}

impl Users {
    async fn keys(&self, subject: &str) -> BTreeSet<SessionKey> {
        let sessions = self.manager.sessions_of(subject, None, 100).await.unwrap();
        sessions.iter().map(|info| info.key).collect()
    }

    async fn lives(&self, id: &SessionId) -> bool {
        self.manager.load_id(id.clone()).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn the_sessions_of_a_subject_are_listed_page_by_page() {
    let at = users().await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = at
            .manager
            .sessions_of("zoë", after.as_ref(), 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.key);
        for info in page {
            assert_eq!(info.subject.as_deref(), Some("zoë"));
            assert_eq!((info.created_at, info.last_seen), (NOW, NOW));
            seen.push(info.key);
        }
    }
    assert!(seen.is_sorted());
    let all: BTreeSet<_> = at.zoe.iter().map(SessionId::key).collect();
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
    assert_eq!(at.keys("zoe").await.len(), 0);
}

#[tokio::test]
async fn a_session_is_ended_by_its_own_subject_and_by_nobody_else() {
    let at = users().await;
    let key = at.zoe[0].key();
    assert!(!at.manager.end("ann", &key).await.unwrap());
    assert!(!at.manager.end("", &at.nobody.key()).await.unwrap());
    assert!(at.lives(&at.zoe[0]).await && at.lives(&at.nobody).await);
    assert!(at.manager.end("zoë", &key).await.unwrap());
    assert!(!at.lives(&at.zoe[0]).await);
    assert!(!at.manager.end("zoë", &key).await.unwrap());
    assert_eq!(at.keys("zoë").await.len(), 4);
}

#[tokio::test]
async fn all_sessions_of_a_subject_but_one_are_ended() {
    let at = users().await;
    let kept = &at.zoe[2];
    let ended = at.manager.end_all("zoë", Some(&kept.key())).await.unwrap();
    assert_eq!(ended, 4);
    for id in &at.zoe {
        assert_eq!(at.lives(id).await, id == kept);
    }
    assert!(at.lives(&at.ann).await && at.lives(&at.nobody).await);
    assert_eq!(at.manager.end_all("zoë", None).await.unwrap(), 1);
    assert!(!at.lives(kept).await);
}

#[tokio::test]
async fn a_request_under_way_does_not_revive_what_another_device_ended() {
    let at = users().await;
    let late = at.manager.open(Some(at.zoe[0].clone()));
    late.insert("late", &1).unwrap();
    late.contains("a").await.unwrap();
    at.manager.end_all("zoë", None).await.unwrap();
    assert!(matches!(late.save().await, Err(Error::Ended)));
    assert!(!at.lives(&at.zoe[0]).await);
    assert!(at.keys("zoë").await.is_empty());
}

#[tokio::test]
async fn a_list_shows_no_session_that_has_expired() {
    let at = users().await;
    at.clock
        .advance(std::time::Duration::from_secs(15 * 24 * 60 * 60));
    assert!(at.keys("zoë").await.is_empty());
    assert_eq!(at.manager.end_all("zoë", None).await.unwrap(), 0);
}

#[tokio::test]
async fn without_an_index_that_is_said() {
    let at = at();
    let listed = at.manager.sessions_of("zoë", None, 10).await;
    assert!(matches!(listed, Err(Error::NoIndex)));
    let ended = at.manager.end_all("zoë", None).await;
    assert!(matches!(ended, Err(Error::NoIndex)));
    assert_eq!(at.store.calls(), [""; 0]);
    // One session is found by its key.
    let session = at.manager.open(None);
    session.sign_in("zoë").unwrap();
    let id = saved(&session).await;
    assert!(at.manager.end("zoë", &id.key()).await.unwrap());
}
