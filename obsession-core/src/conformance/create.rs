//! Creates: a new record, never over another one.

use super::{Fixture, rewritten};
use crate::{Create, Record, SessionStore, Timestamp, Update};

/// Create: a live record of the key stays as it is.
pub async fn create_of_a_taken_key_changes_nothing<S: SessionStore>(at: Fixture<S>) {
    let first = at.created().await;
    let second = rewritten(&first, b"second");
    assert_eq!(
        at.store.create(&second).await.expect("create"),
        Create::KeyTaken
    );
    assert_eq!(at.load(&first.key).await, Some(first));
}

/// Recognised retries: a create that was applied answers as it did.
pub async fn create_again_is_recognised<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    assert_eq!(
        at.store.create(&record).await.expect("create"),
        Create::Created
    );
    assert_eq!(at.load(&record.key).await, Some(record));
}

/// Live or absent: an expired record does not keep its key.
pub async fn create_over_an_expired_record_replaces_it<S: SessionStore>(at: Fixture<S>) {
    let old = at.expiring();
    at.create(&old).await;
    at.time.reach(old.expires_at).await;
    let new = Record {
        key: old.key,
        ..at.record()
    };
    at.create(&new).await;
    assert_eq!(at.load(&old.key).await.as_ref(), Some(&new));
    at.cleanup().await;
    assert_eq!(at.load(&old.key).await, Some(new), "after cleanup");
}

/// Delete: nothing but a create with this key makes it load again.
pub async fn create_after_a_delete<S: SessionStore>(at: Fixture<S>) {
    let old = at.created().await;
    at.delete(&old.key).await;
    let new = rewritten(&old, b"new");
    at.create(&new).await;
    assert_eq!(at.load(&old.key).await, Some(new));
}

/// Live or absent: a record that is created too late is not served.
pub async fn create_of_an_expired_record_is_never_served<S: SessionStore>(at: Fixture<S>) {
    for expires_at in [at.time.now(), Timestamp::from_millis(0)] {
        let record = Record {
            expires_at,
            ..at.record()
        };
        let _ = at.store.create(&record).await.expect("create");
        assert_eq!(at.load(&record.key).await, None);
    }
}

/// Never an upsert: a create whose record was updated since, made once more, changes nothing.
pub async fn create_again_after_an_update_is_taken<S: SessionStore>(at: Fixture<S>) {
    let created = at.created().await;
    let updated = rewritten(&created, b"updated");
    at.update(created.revision, &updated).await;
    let again = at.store.create(&created).await.expect("create");
    assert_eq!(again, Create::KeyTaken);
    assert_eq!(at.load(&created.key).await, Some(updated));
}

/// Create: what an expired record had is not in the new one.
pub async fn create_over_an_expired_record_takes_nothing_from_it<S: SessionStore>(at: Fixture<S>) {
    let old = Record {
        subject: Some("old".into()),
        ..rewritten(&at.expiring(), &[0xff; 9000])
    };
    at.create(&old).await;
    at.time.reach(old.expires_at).await;
    let new = Record {
        key: old.key,
        ..at.record()
    };
    at.create(&new).await;
    assert_eq!(at.load(&new.key).await.as_ref(), Some(&new));
    let late = rewritten(&old, b"late");
    let late = at.store.update(old.revision, &late).await.expect("update");
    assert_eq!(late, Update::Conflict(new));
}

/// Live or absent: what has expired is not there, also for the create that made it.
pub async fn create_again_of_what_has_expired_makes_it<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    let again = Record {
        expires_at: at.time.later(),
        ..record
    };
    at.create(&again).await;
    assert_eq!(at.load(&again.key).await, Some(again));
}
