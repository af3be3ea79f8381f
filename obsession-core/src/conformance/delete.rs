//! Deletes: gone, and stays gone.

use super::Fixture;
use crate::{Delete, SessionStore};

/// Delete: the record is gone when it is acknowledged.
pub async fn delete_ends_the_record<S: SessionStore>(at: Fixture<S>) {
    let key = at.created().await.key;
    at.delete(&key).await;
    assert_eq!(at.load(&key).await, None);
}

/// Delete: again, or of what never was, is an outcome.
pub async fn delete_again_is_gone<S: SessionStore>(at: Fixture<S>) {
    let key = at.created().await.key;
    let answers = [Delete::Deleted, Delete::Gone, Delete::Gone];
    for answer in answers {
        assert_eq!(at.store.delete(&key).await.expect("delete"), answer);
    }
    assert_eq!(
        at.store.delete(&at.record().key).await.expect("delete"),
        Delete::Gone
    );
}

/// Live or absent: there is nothing to delete after the deadline.
pub async fn delete_of_an_expired_record_is_gone<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    assert_eq!(
        at.store.delete(&record.key).await.expect("delete"),
        Delete::Gone
    );
}

/// Delete: this record and no other.
pub async fn delete_leaves_others_alone<S: SessionStore>(at: Fixture<S>) {
    let (one, other) = (at.created().await, at.created().await);
    at.delete(&one.key).await;
    assert_eq!(at.load(&other.key).await, Some(other));
}
