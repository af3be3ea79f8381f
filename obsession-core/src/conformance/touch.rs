//! Touches: a later deadline, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, revision, rewritten};
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
        .touch(&record.key, record.revision, touched.expires_at)
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
        let answer = at
            .store
            .touch(&record.key, record.revision, earlier)
            .await
            .expect("touch");
        assert_eq!(answer, Touch::Touched);
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    }
}

/// Never an upsert: a touch never creates.
pub async fn touch_of_an_unknown_key_does_not_create<S: SessionStore>(at: Fixture<S>) {
    let record = at.record();
    let later = at.time.later();
    let answer = at.store.touch(&record.key, record.revision, later).await;
    assert_eq!(answer.expect("touch"), Touch::Gone);
    assert_eq!(at.load(&record.key).await, None);
}

/// Never an upsert: a touch after a delete.
pub async fn touch_of_a_deleted_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let deleted = at.store.delete(&record.key).await.expect("delete");
    assert_eq!(deleted, Delete::Deleted);
    let later = at.time.later();
    let answer = at.store.touch(&record.key, record.revision, later).await;
    assert_eq!(answer.expect("touch"), Touch::Gone);
    assert_eq!(at.load(&record.key).await, None);
}

/// Never an upsert: a touch after the deadline.
pub async fn touch_of_an_expired_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    assert_eq!(
        at.store
            .touch(&record.key, record.revision, at.time.later())
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
    at.touch(&record, later).await;
    at.update(record.revision, &rewritten(&record, b"after the touch"))
        .await;
}

/// Touch: what was written since has set its own deadline, and keeps it.
pub async fn touch_of_another_revision_changes_nothing<S: SessionStore>(at: Fixture<S>) {
    let old = at.created().await;
    let shorter = Record {
        expires_at: at.time.soon(),
        ..rewritten(&old, b"a shorter lifetime")
    };
    at.update(old.revision, &shorter).await;
    for late in [old.revision, revision()] {
        let answer = at.store.touch(&old.key, late, at.time.later()).await;
        assert_eq!(answer.expect("touch"), Touch::Changed);
        assert_eq!(at.load(&old.key).await.as_ref(), Some(&shorter));
    }
    at.time.reach(shorter.expires_at).await;
    assert_eq!(at.load(&old.key).await, None);
}

/// Touch: to the millisecond.
pub async fn touch_moves_by_a_millisecond<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.created().await;
    for _ in 0..5 {
        record.expires_at = record.expires_at.saturating_add(MILLISECOND);
        at.touch(&record, record.expires_at).await;
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    }
}

/// Recognised retries: a touch that is made again is the same.
pub async fn touch_again_is_touched<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.created().await;
    record.expires_at = record.expires_at.saturating_add(MILLISECOND);
    for _ in 0..3 {
        at.touch(&record, record.expires_at).await;
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    }
}

/// Touch: however long the body is.
pub async fn touch_keeps_a_large_body<S: SessionStore>(at: Fixture<S>) {
    let body: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let mut record = rewritten(&at.record(), &body);
    at.create(&record).await;
    record.expires_at = record.expires_at.saturating_add(MILLISECOND);
    at.touch(&record, record.expires_at).await;
    let seen = at.load(&record.key).await.expect("the record");
    assert!(seen == record, "200,000 bytes came back otherwise");
}

/// Isolation: this record's deadline and no other's.
pub async fn touch_leaves_others_alone<S: SessionStore>(at: Fixture<S>) {
    let (one, other) = (at.expiring(), at.expiring());
    at.create(&one).await;
    at.create(&other).await;
    at.touch(&one, at.time.later()).await;
    assert_eq!(at.load(&other.key).await.as_ref(), Some(&other));
    at.time.reach(other.expires_at).await;
    assert_eq!(at.load(&other.key).await, None);
    assert!(at.load(&one.key).await.is_some());
}

/// Live or absent: what has expired is gone, also for a touch that was made before or is stale.
pub async fn touch_of_an_expired_record_is_gone_whatever_it_asks<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    let last = record.expires_at.saturating_add(Duration::from_millis(20));
    at.touch(&record, last).await;
    at.time.reach(last).await;
    for expected in [record.revision, revision()] {
        for expires_at in [record.expires_at, last, at.time.later()] {
            let answer = at.store.touch(&record.key, expected, expires_at).await;
            assert_eq!(answer.expect("touch"), Touch::Gone);
        }
    }
}
