//! What a migration leaves when it is cut off between its two steps: one record, in two stores.

use std::time::Duration;

use obsession_core::conformance::{Fault, rewritten};
use obsession_core::{Delete, Effect, SessionIndex, SessionStore, Touch, Update};

use crate::moves::{
    Moves, a_delete_during_a_move_is_not_undone, a_load_during_a_move_finds_the_record,
};

fn moves() -> Moves {
    Moves::new(|migrating| migrating)
}

/// The record is in the new store, and the process ended before it was taken out of the old one.
async fn halfway() -> Moves {
    let at = moves();
    at.create().await;
    let next = rewritten(&at.record, b"next");
    // The load that looks, the one that moves, and the delete.
    at.old.plan([Fault::Pass, Fault::Pass, Fault::Refuse]);
    let cut = at.store.update(at.record.revision, &next).await;
    assert_eq!(cut.unwrap_err().effect(), Effect::NotApplied);
    for half in [&at.old, &at.new] {
        let seen = half.load(&at.record.key).await.unwrap();
        assert_eq!(seen.as_ref(), Some(&at.record));
    }
    at
}

#[tokio::test]
async fn a_record_is_found_while_it_is_moved() {
    a_load_during_a_move_finds_the_record(moves()).await;
}

#[tokio::test]
async fn a_record_that_is_deleted_while_it_is_moved_is_gone() {
    a_delete_during_a_move_is_not_undone(moves()).await;
}

#[tokio::test]
async fn it_is_listed_scanned_and_counted_once() {
    let Moves { store, record, .. } = halfway().await;
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
