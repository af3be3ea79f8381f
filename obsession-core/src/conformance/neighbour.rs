//! Two stores on one server, with prefixes or tables of their own.

use super::Fixture;
use super::fixture::rewritten;
use crate::{Create, Delete, Record, SessionStore, Touch, Update};

/// Isolation: what one stores, the other neither loads nor changes.
pub async fn neighbour_does_not_see_the_other_store<S: SessionStore>(at: Fixture<S>) {
    let other = at.neighbour();
    let record = at.created().await;
    assert_eq!(other.load(&record.key).await.expect("load"), None);
    let late = rewritten(&record, b"other");
    assert_eq!(
        other.update(record.revision, &late).await.expect("update"),
        Update::Gone
    );
    let touched = other
        .touch(&record.key, record.revision, at.time.later())
        .await;
    assert_eq!(touched.expect("touch"), Touch::Gone);
    assert_eq!(
        other.delete(&record.key).await.expect("delete"),
        Delete::Gone
    );
    assert_eq!(at.load(&record.key).await, Some(record));
}

/// Isolation: one key may be in both, as two records.
pub async fn neighbour_may_have_the_same_key<S: SessionStore>(at: Fixture<S>) {
    let other = at.neighbour();
    let record = at.created().await;
    let twin = rewritten(&record, b"twin");
    assert_eq!(other.create(&twin).await.expect("create"), Create::Created);
    assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    assert_eq!(
        other.load(&record.key).await.expect("load").as_ref(),
        Some(&twin)
    );
    at.delete(&record.key).await;
    assert_eq!(other.load(&record.key).await.expect("load"), Some(twin));
}

/// Isolation: cleanup of one takes nothing of the other.
pub async fn neighbour_is_not_cleaned_up<S: SessionStore>(at: Fixture<S>) {
    let other = at.neighbour();
    let mut live = Vec::new();
    for n in 0..6 {
        let twin = at.record();
        let created = other.create(&twin).await.expect("create");
        assert_eq!(created, Create::Created, "{n}");
        live.push(twin);
    }
    let soon = at.time.soon();
    for twin in &live {
        at.create(&Record {
            key: twin.key,
            expires_at: soon,
            ..at.record()
        })
        .await;
    }
    at.time.reach(soon).await;
    at.assert_removed(at.cleanup().await, 6);
    assert_eq!(other.delete_expired(100).await.expect("cleanup"), 0);
    for twin in live {
        assert_eq!(other.load(&twin.key).await.expect("load"), Some(twin));
    }
}

/// Isolation: each removes and counts what has expired of its own.
pub async fn neighbour_cleans_up_its_own<S: SessionStore>(at: Fixture<S>) {
    let (own, others) = (at.expiring(), [at.expiring(), at.expiring()]);
    at.create(&own).await;
    for record in &others {
        let created = at.neighbour().create(record).await.expect("create");
        assert_eq!(created, Create::Created);
    }
    at.time
        .reach(others[1].expires_at.max(own.expires_at))
        .await;
    at.assert_removed(at.cleanup().await, 1);
    let removed = at.neighbour().delete_expired(10).await.expect("cleanup");
    at.assert_removed(removed, 2);
}

/// Isolation: what one has deleted or written is nothing that the other has seen.
pub async fn neighbour_may_create_what_the_other_has_deleted<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    at.delete(&record.key).await;
    let created = at.neighbour().create(&record).await.expect("create");
    assert_eq!(created, Create::Created);
    let seen = at.neighbour().load(&record.key).await.expect("load");
    assert_eq!(seen.as_ref(), Some(&record));
    assert_eq!(at.load(&record.key).await, None);
}
