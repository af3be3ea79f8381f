//! Updates: compare-and-swap, never an insert.

use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, revision, rewritten};
use crate::{Delete, Record, SessionStore, Timestamp, Update};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Update: everything is replaced.
pub async fn update_replaces_every_field<S: SessionStore>(at: Fixture<S>) {
    let old = Record {
        subject: Some(Arc::from("before")),
        ..at.record()
    };
    at.create(&old).await;
    let mut last = old.revision;
    for subject in [Some("after"), None, Some("")] {
        let new = Record {
            subject: subject.map(Arc::from),
            created_at: Timestamp::from_millis(77),
            expires_at: old.expires_at.saturating_add(MILLISECOND),
            ..rewritten(&old, b"a longer body than it was")
        };
        at.update(last, &new).await;
        assert_eq!(at.load(&old.key).await.as_ref(), Some(&new));
        last = new.revision;
    }
}

/// Update: only against the revision that was read, and a conflict brings the current record.
pub async fn update_of_another_revision_is_a_conflict_with_the_current_record<S: SessionStore>(
    at: Fixture<S>,
) {
    let first = at.created().await;
    let second = rewritten(&first, b"second");
    at.update(first.revision, &second).await;
    let stale = rewritten(&first, b"stale");
    let answer = at
        .store
        .update(first.revision, &stale)
        .await
        .expect("update");
    assert_eq!(answer, Update::Conflict(second.clone()));
    assert_eq!(at.load(&first.key).await, Some(second));
}

/// Recognised retries: an update that was applied is not a conflict.
pub async fn update_again_is_recognised<S: SessionStore>(at: Fixture<S>) {
    let first = at.created().await;
    let second = rewritten(&first, b"second");
    at.update(first.revision, &second).await;
    at.update(first.revision, &second).await;
    assert_eq!(at.load(&first.key).await, Some(second));
}

/// Never an upsert: of what never was.
pub async fn update_of_an_unknown_key_does_not_insert<S: SessionStore>(at: Fixture<S>) {
    let record = at.record();
    for expected in [record.revision, revision()] {
        assert_eq!(
            at.store.update(expected, &record).await.expect("update"),
            Update::Gone
        );
    }
    assert_eq!(at.load(&record.key).await, None);
}

/// Never an upsert: of what was deleted.
pub async fn update_of_a_deleted_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    assert_eq!(
        at.store.delete(&record.key).await.expect("delete"),
        Delete::Deleted
    );
    let late = rewritten(&record, b"late");
    assert_eq!(
        at.store
            .update(record.revision, &late)
            .await
            .expect("update"),
        Update::Gone
    );
    assert_eq!(at.load(&record.key).await, None);
}

/// Never an upsert: of what expired, whether or not cleanup ran.
pub async fn update_of_an_expired_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        ..at.record()
    };
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    let late = Record {
        expires_at: at.time.later(),
        ..rewritten(&record, b"late")
    };
    for _ in 0..2 {
        assert_eq!(
            at.store
                .update(record.revision, &late)
                .await
                .expect("update"),
            Update::Gone
        );
        assert_eq!(at.load(&record.key).await, None);
        at.store.delete_expired(100).await.expect("cleanup");
    }
}

/// Update: the new deadline may be earlier than the old one, and holds.
pub async fn update_may_end_earlier<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let shorter = Record {
        expires_at: at.time.soon(),
        ..rewritten(&record, b"shorter")
    };
    at.update(record.revision, &shorter).await;
    assert_eq!(at.load(&record.key).await.as_ref(), Some(&shorter));
    at.time.reach(shorter.expires_at).await;
    assert_eq!(at.load(&record.key).await, None);
    assert_eq!(at.store.delete_expired(100).await.expect("cleanup"), 1);
}
