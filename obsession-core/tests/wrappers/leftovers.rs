//! What a migration leaves when it is cut off between its two steps: one record, in two stores.

use std::sync::Arc;
use std::time::Duration;

use obsession_core::conformance::{Fault, rewritten};
use obsession_core::{
    Clock, Create, Delete, Effect, ManualClock, Record, Revision, SessionIndex, SessionKey,
    SessionStore, Timestamp, Touch, Update,
};

use crate::around::{Inner, Wrapper, inner};
use crate::migrating::Migrating;

struct Halfway {
    old: Inner,
    new: Inner,
    store: Arc<Migrating<Inner>>,
    clock: Arc<ManualClock>,
    record: Record,
}

/// The record is in the new store, and the process ended before it was taken out of the old one.
async fn halfway() -> Halfway {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
    let (old, new) = (inner(&shared), inner(&shared));
    let record = Record {
        key: SessionKey::try_from(&[b'z'; SessionKey::LEN][..]).unwrap(),
        revision: Revision::fresh().unwrap(),
        subject: Some(Arc::from("zoë")),
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(1000),
        body: Arc::from(&b"body"[..]),
    };
    assert_eq!(old.create(&record).await.unwrap(), Create::Created);
    let store: Arc<Migrating<Inner>> =
        Wrapper::around([Arc::clone(&old), Arc::clone(&new)], shared);
    let next = rewritten(&record, b"next");
    // The load that looks, and the one that moves.
    old.plan([Fault::Pass, Fault::Pass, Fault::Refuse]);
    let cut = store.update(record.revision, &next).await.unwrap_err();
    assert_eq!(cut.effect(), Effect::NotApplied);
    for half in [&old, &new] {
        let seen = half.load(&record.key).await.unwrap();
        assert_eq!(seen.as_ref(), Some(&record));
    }
    Halfway {
        old,
        new,
        store,
        clock,
        record,
    }
}

#[tokio::test]
async fn it_is_listed_scanned_and_counted_once() {
    let Halfway { store, record, .. } = halfway().await;
    let once = [record];
    assert_eq!(store.list("zoë", None, 9).await.unwrap(), once);
    assert_eq!(store.scan(None, 9).await.unwrap(), once);
    assert_eq!(store.count().await.unwrap(), 1);
}

#[tokio::test]
async fn the_next_update_goes_on_with_the_move() {
    let at = halfway().await;
    let next = rewritten(&at.record, b"next");
    let updated = at.store.update(at.record.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
    assert_eq!(at.old.load(&next.key).await.unwrap(), None);
    assert_eq!(at.store.load(&next.key).await.unwrap(), Some(next));
}

#[tokio::test]
async fn a_touch_moves_the_deadline_of_the_one_that_stays() {
    let at = halfway().await;
    let (key, revision) = (at.record.key, at.record.revision);
    let later = at.record.expires_at.saturating_add(Duration::from_secs(9));
    let touched = at.store.touch(&key, revision, later).await.unwrap();
    assert_eq!(touched, Touch::Touched);
    at.clock.set(at.record.expires_at);
    let seen = at.store.load(&key).await.unwrap();
    assert_eq!(seen.map(|record| record.expires_at), Some(later));
}

#[tokio::test]
async fn a_delete_ends_both() {
    let at = halfway().await;
    let key = at.record.key;
    assert_eq!(at.store.delete(&key).await.unwrap(), Delete::Deleted);
    for store in [&at.old, &at.new] {
        assert_eq!(store.load(&key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_end_of_its_subject_ends_both_and_counts_one() {
    let at = halfway().await;
    assert_eq!(at.store.delete_subject("zoë", None).await.unwrap(), 1);
    assert_eq!(at.store.load(&at.record.key).await.unwrap(), None);
    assert_eq!(at.store.count().await.unwrap(), 0);
}

/// Ended in the old store, and the new one does not answer: what is left is told as it is.
#[tokio::test]
async fn a_delete_that_ends_one_of_them_is_unknown() {
    let at = halfway().await;
    let key = at.record.key;
    at.new.plan([Fault::Refuse]);
    let error = at.store.delete(&key).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(at.store.delete(&key).await.unwrap(), Delete::Deleted);
    assert_eq!(at.store.load(&key).await.unwrap(), None);
}
