//! Cleanup: what has expired, and nothing else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Fixture, rewritten};
use crate::{Create, Record, SessionStore, Timestamp};

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
    at.assert_removed(at.cleanup().await, 8);
    assert_eq!(at.cleanup().await, 0, "a second time");
    for record in live {
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

/// Cleanup: at most `limit`, and fewer only when no more were found.
pub async fn cleanup_keeps_to_its_limit<S: SessionStore>(at: Fixture<S>) {
    let soon = at.time.soon();
    let mut keys = HashSet::new();
    for n in 0..10 {
        let record = Record {
            expires_at: soon,
            ..at.record()
        };
        at.create(&record).await;
        if n % 2 == 0 {
            // Of two places that a record may have, half of them are in each.
            at.update(record.revision, &rewritten(&record, b"again"))
                .await;
        }
        keys.insert(record.key);
    }
    at.time.reach(soon).await;
    assert_eq!(at.store.delete_expired(0).await.expect("cleanup"), 0);
    let first = at.store.delete_expired(4).await.expect("cleanup");
    at.assert_removed(first, 4);
    at.assert_removed(first + at.cleanup_by(4).await, 10);
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
    at.touch(&touched, later).await;
    at.update(
        updated.revision,
        &Record {
            expires_at: later,
            ..rewritten(&updated, b"u")
        },
    )
    .await;
    at.time.reach(soon).await;
    assert_eq!(at.cleanup().await, 0);
    assert!(at.load(&touched.key).await.is_some(), "touched");
    assert!(at.load(&updated.key).await.is_some(), "updated");
}

/// Cleanup: nothing to do is no error.
pub async fn cleanup_of_an_empty_store_is_zero<S: SessionStore>(at: Fixture<S>) {
    assert_eq!(at.cleanup().await, 0);
}

/// Cleanup: no limit is too large for it.
pub async fn cleanup_takes_any_limit<S: SessionStore>(at: Fixture<S>) {
    for limit in [1, 2, 3, 7, 1 << 20, usize::MAX] {
        let expiring = [at.expiring(), at.expiring(), at.expiring()];
        let last = expiring.iter().map(|record| record.expires_at).max();
        for record in &expiring {
            at.create(record).await;
        }
        at.time.reach(last.expect("three")).await;
        let removed = at.cleanup_by(limit).await;
        at.assert_removed(removed, 3);
        assert_eq!(at.cleanup().await, 0, "left at a limit of {limit}");
    }
}

/// Cleanup: live records between the expired ones, in every order, do not end it.
pub async fn cleanup_passes_by_what_is_live<S: SessionStore>(at: Fixture<S>) {
    let mut live = Vec::new();
    let mut expired = Vec::new();
    for n in 0..8 {
        let expiring = at.expiring();
        at.create(&expiring).await;
        if n % 2 == 0 {
            at.touch(&expiring, at.time.later()).await;
            live.push(expiring.key);
            live.push(at.created().await.key);
        } else {
            expired.push(expiring);
        }
    }
    let last = expired.iter().map(|record| record.expires_at).max();
    at.time.reach(last.expect("four")).await;
    at.assert_removed(at.cleanup_by(1).await, 4);
    for key in live {
        assert!(at.load(&key).await.is_some(), "a live record is gone");
    }
    // An expired record that is still there would take its key's new record for a retry.
    for Record { key, revision, .. } in expired {
        let again = Record {
            key,
            revision,
            ..at.record()
        };
        at.create(&again).await;
        assert_eq!(at.load(&key).await, Some(again));
    }
    assert_eq!(at.cleanup().await, 0);
}

/// Cleanup: what was created under the key of a deleted or expired record is a record of its own.
pub async fn cleanup_lets_a_later_create_be<S: SessionStore>(at: Fixture<S>) {
    let (deleted, expired) = (at.expiring(), at.expiring());
    at.create(&deleted).await;
    at.create(&expired).await;
    at.delete(&deleted.key).await;
    let again = Record {
        key: deleted.key,
        ..at.record()
    };
    at.create(&again).await;
    at.time
        .reach(deleted.expires_at.max(expired.expires_at))
        .await;
    let new = Record {
        key: expired.key,
        ..at.record()
    };
    at.create(&new).await;
    at.cleanup().await;
    assert_eq!(at.load(&again.key).await, Some(again));
    assert_eq!(at.load(&new.key).await, Some(new));
}

/// Cleanup: of records of every size and kind, none keeps it from the others.
pub async fn cleanup_takes_what_has_any_form<S: SessionStore>(at: Fixture<S>) {
    let mut last = at.time.now();
    let sizes = [0, 1, 100, 5_000, 70_000];
    for size in sizes {
        let record = rewritten(&at.expiring(), &vec![0xee; size]);
        last = last.max(record.expires_at);
        at.create(&record).await;
        let named = Record {
            subject: Some("\u{1f980}".repeat(size.min(200)).into()),
            ..at.expiring()
        };
        last = last.max(named.expires_at);
        at.create(&named).await;
    }
    let live = at.created().await;
    at.time.reach(last).await;
    at.assert_removed(at.cleanup_by(3).await, 2 * sizes.len());
    assert_eq!(at.load(&live.key).await, Some(live));
}

/// Cleanup: what ends in a moment is live.
pub async fn cleanup_does_not_come_early<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.expiring();
    if at.time.is_set() {
        let next = at.time.now().as_millis() + 1;
        record.expires_at = Timestamp::from_millis(next);
    }
    at.create(&record).await;
    assert_eq!(at.cleanup().await, 0);
    assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    at.time.reach(record.expires_at).await;
    at.assert_removed(at.cleanup().await, 1);
}

/// Cleanup: a call removes as many as its limit allows, not a batch of another size.
pub async fn cleanup_takes_as_many_as_it_may<S: SessionStore>(at: Fixture<S>) {
    let records = at.many();
    // Long enough for a slow store to create them all, which it does together.
    let each = Duration::from_millis(10);
    let last = each * u32::try_from(records).expect("few");
    let last = at.time.now().saturating_add(last);
    let create = |_| {
        let record = Record {
            expires_at: last,
            ..at.record()
        };
        let store = Arc::clone(&at.store);
        async move { store.create(&record).await }
    };
    let creating: JoinSet<_> = (0..records).map(create).collect();
    for created in creating.join_all().await {
        assert_eq!(created.expect("create"), Create::Created);
    }
    at.time.reach(last).await;
    let removed = at
        .store
        .delete_expired(10 * records)
        .await
        .expect("cleanup");
    at.assert_removed(removed, records);
    assert_eq!(at.cleanup().await, 0);
}
