//! Touches: a later deadline, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, rewritten};
use crate::{Delete, Record, SessionStore, Timestamp, Touch};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Touch: the deadline, and nothing else.
pub async fn touch_moves_the_deadline_and_nothing_else<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        subject: Some(Arc::from("s")),
        ..at.record()
    };
    at.create(&record).await;
    let touched = Record {
        expires_at: at.time.later(),
        ..record.clone()
    };
    let answer = at
        .store
        .touch(&record.key, touched.expires_at)
        .await
        .expect("touch");
    assert_eq!(answer, Touch::Touched);
    at.time.reach(record.expires_at).await;
    assert_eq!(at.load(&record.key).await, Some(touched));
}

/// Touch: only ever later.
pub async fn touch_never_shortens<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    for earlier in [
        at.time.soon(),
        at.time.now(),
        Timestamp::from_millis(0),
        record.expires_at,
    ] {
        let answer = at.store.touch(&record.key, earlier).await.expect("touch");
        assert_eq!(answer, Touch::Touched);
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    }
}

/// Never an upsert: a touch never creates.
pub async fn touch_of_an_unknown_key_does_not_create<S: SessionStore>(at: Fixture<S>) {
    let key = at.record().key;
    assert_eq!(
        at.store.touch(&key, at.time.later()).await.expect("touch"),
        Touch::Gone
    );
    assert_eq!(at.load(&key).await, None);
}

/// Never an upsert: a touch after a delete.
pub async fn touch_of_a_deleted_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let key = at.created().await.key;
    assert_eq!(
        at.store.delete(&key).await.expect("delete"),
        Delete::Deleted
    );
    assert_eq!(
        at.store.touch(&key, at.time.later()).await.expect("touch"),
        Touch::Gone
    );
    assert_eq!(at.load(&key).await, None);
}

/// Never an upsert: a touch after the deadline.
pub async fn touch_of_an_expired_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        ..at.record()
    };
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    assert_eq!(
        at.store
            .touch(&record.key, at.time.later())
            .await
            .expect("touch"),
        Touch::Gone
    );
    assert_eq!(at.load(&record.key).await, None);
}

/// Touch: the revision stays.
pub async fn touch_is_no_conflict_for_an_update<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let later = record.expires_at.saturating_add(MILLISECOND);
    assert_eq!(
        at.store.touch(&record.key, later).await.expect("touch"),
        Touch::Touched
    );
    at.update(record.revision, &rewritten(&record, b"after the touch"))
        .await;
}
