//! Cleanup: what has expired, and nothing else.

use std::collections::HashSet;

use super::{Fixture, rewritten};
use crate::{Record, SessionStore, Touch};

/// Cleanup: all that has expired, nothing that is live.
pub async fn cleanup_removes_the_expired_and_nothing_else<S: SessionStore>(at: Fixture<S>) {
    let soon = at.time.soon();
    let mut live = Vec::new();
    for n in 0..12 {
        let mut record = at.record();
        if n % 3 > 0 {
            record.expires_at = soon;
        } else {
            live.push(record.clone());
        }
        at.create(&record).await;
    }
    at.time.reach(soon).await;
    // A store may have removed some in passing, and one whose server does it by itself all.
    assert!(at.store.delete_expired(100).await.expect("cleanup") <= 8);
    assert_eq!(
        at.store.delete_expired(100).await.expect("cleanup"),
        0,
        "a second time"
    );
    for record in live {
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

/// Cleanup: at most `limit`, and fewer only when no more were found.
pub async fn cleanup_keeps_to_its_limit<S: SessionStore>(at: Fixture<S>) {
    let soon = at.time.soon();
    let mut keys = HashSet::new();
    for _ in 0..10 {
        let record = Record {
            expires_at: soon,
            ..at.record()
        };
        at.create(&record).await;
        keys.insert(record.key);
    }
    at.time.reach(soon).await;
    assert_eq!(at.store.delete_expired(0).await.expect("cleanup"), 0);
    let first = at.store.delete_expired(4).await.expect("cleanup");
    assert!(first <= 4, "{first} of at most 4");
    while at.store.delete_expired(4).await.expect("cleanup") == 4 {}
    assert_eq!(at.store.delete_expired(4).await.expect("cleanup"), 0);
}

/// Cleanup: what a touch or an update saved in time is live.
pub async fn cleanup_spares_what_was_touched_or_updated<S: SessionStore>(at: Fixture<S>) {
    let soon = at.time.soon();
    let touched = Record {
        expires_at: soon,
        ..at.record()
    };
    let updated = Record {
        expires_at: soon,
        ..at.record()
    };
    at.create(&touched).await;
    at.create(&updated).await;
    let later = at.time.later();
    assert_eq!(
        at.store
            .touch(&touched.key, touched.revision, later)
            .await
            .expect("touch"),
        Touch::Touched
    );
    at.update(
        updated.revision,
        &Record {
            expires_at: later,
            ..rewritten(&updated, b"u")
        },
    )
    .await;
    at.time.reach(soon).await;
    assert_eq!(at.store.delete_expired(100).await.expect("cleanup"), 0);
    assert!(at.load(&touched.key).await.is_some(), "touched");
    assert!(at.load(&updated.key).await.is_some(), "updated");
}

/// Cleanup: nothing to do is no error.
pub async fn cleanup_of_an_empty_store_is_zero<S: SessionStore>(at: Fixture<S>) {
    assert_eq!(at.store.delete_expired(100).await.expect("cleanup"), 0);
}
