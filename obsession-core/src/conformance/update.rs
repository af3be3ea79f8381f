//! Updates: compare-and-swap, never an insert.

use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, revision, rewritten};
use crate::{Record, SessionStore, Timestamp, Update};

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
    at.delete(&record.key).await;
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
    let record = at.expiring();
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
        at.cleanup().await;
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
    at.assert_removed(at.cleanup().await, 1);
}

/// Update: a later deadline holds, and cleanup does not go by the old one.
pub async fn update_may_end_later<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    let longer = Record {
        expires_at: at.time.later(),
        ..rewritten(&record, b"longer")
    };
    at.update(record.revision, &longer).await;
    at.time.reach(record.expires_at).await;
    assert_eq!(at.cleanup().await, 0);
    assert_eq!(at.load(&record.key).await, Some(longer));
}

/// Live or absent: an update to a deadline that has passed ends the record.
pub async fn update_may_end_it<S: SessionStore>(at: Fixture<S>) {
    for expires_at in [at.time.now(), Timestamp::from_millis(0)] {
        let record = at.created().await;
        let ended = Record {
            expires_at,
            ..rewritten(&record, b"ended")
        };
        at.update(record.revision, &ended).await;
        assert_eq!(at.load(&record.key).await, None);
        let late = rewritten(&record, b"late");
        let late = at.store.update(ended.revision, &late).await;
        assert_eq!(late.expect("update"), Update::Gone);
    }
}

/// Bytes in, bytes out: nothing of a longer body, subject or other field stays behind.
pub async fn update_to_a_shorter_body_leaves_nothing_of_the_longer<S: SessionStore>(
    at: Fixture<S>,
) {
    let long = Record {
        subject: Some("a subject that is long".into()),
        ..rewritten(&at.record(), &vec![0xaa; 20_000])
    };
    at.create(&long).await;
    let mut last = long.revision;
    for length in [9_000, 40, 1, 0, 20_000, 3] {
        let next = Record {
            subject: (length > 100).then(|| "s".into()),
            ..rewritten(&long, &vec![0x55; length])
        };
        at.update(last, &next).await;
        let seen = at.load(&long.key).await;
        assert!(seen == Some(next.clone()), "{length} bytes: {seen:?}");
        last = next.revision;
    }
}

/// Update: a conflict brings the record as it is now, with the deadline that a touch has moved.
pub async fn update_conflict_shows_a_moved_deadline<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let later = record.expires_at.saturating_add(MILLISECOND);
    at.touch(&record, later).await;
    let late = rewritten(&record, b"late");
    let answer = at.store.update(revision(), &late).await.expect("update");
    let touched = Record {
        expires_at: later,
        ..record
    };
    assert_eq!(answer, Update::Conflict(touched));
}

/// Update: a write that was applied and then overtaken, sent again, is a conflict.
pub async fn update_again_after_another_is_a_conflict<S: SessionStore>(at: Fixture<S>) {
    let first = at.created().await;
    let second = rewritten(&first, b"second");
    at.update(first.revision, &second).await;
    let third = rewritten(&second, b"third");
    at.update(second.revision, &third).await;
    let again = at.store.update(first.revision, &second).await;
    assert_eq!(again.expect("update"), Update::Conflict(third.clone()));
    assert_eq!(at.load(&first.key).await, Some(third));
}

/// No resurrection: what was read before a delete is not written over what was created after it.
pub async fn update_of_the_record_before_the_delete_is_a_conflict<S: SessionStore>(at: Fixture<S>) {
    let old = at.created().await;
    at.delete(&old.key).await;
    let new = rewritten(&old, b"a new life");
    at.create(&new).await;
    let late = rewritten(&old, b"late");
    let late = at.store.update(old.revision, &late).await.expect("update");
    assert_eq!(late, Update::Conflict(new.clone()));
    assert_eq!(at.load(&old.key).await, Some(new));
}

/// Isolation: an update is of this key and no other, also where the revision is another's.
pub async fn update_leaves_others_alone<S: SessionStore>(at: Fixture<S>) {
    let (one, other) = (at.created().await, at.created().await);
    let next = rewritten(&one, b"next");
    let answer = at.store.update(other.revision, &next).await;
    assert_eq!(answer.expect("update"), Update::Conflict(one.clone()));
    at.update(one.revision, &next).await;
    assert_eq!(at.load(&other.key).await, Some(other));
    assert_eq!(at.load(&one.key).await, Some(next));
}

/// Live or absent: a retry of a write to what has expired is told so.
pub async fn update_again_of_what_has_expired_is_gone<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let ending = Record {
        expires_at: at.time.soon(),
        ..rewritten(&record, b"ending")
    };
    at.update(record.revision, &ending).await;
    at.time.reach(ending.expires_at).await;
    let again = at.store.update(record.revision, &ending).await;
    assert_eq!(again.expect("update"), Update::Gone);
}
