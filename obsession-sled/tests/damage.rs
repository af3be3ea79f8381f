//! A row that does not decode is an error for its key, and for nobody else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{create, key, of, record, with_body};
use obsession_core::{
    Clock, CorruptRow, Create, Delete, Effect, ManualClock, Record, SessionIndex, SessionStore,
    StoreError, Timestamp, Update,
};
use obsession_sled::SledStore;

fn assert_damaged<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    let error = answer.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied);
    assert!(error.source().unwrap().is::<CorruptRow>());
}

/// Flips a bit in the stored row of `n`.
fn damage(path: &Path, n: u64) {
    let db = sled::open(path).unwrap();
    let records = db.open_tree("records").unwrap();
    let mut row = records.get(key(n).as_bytes()).unwrap().unwrap().to_vec();
    row[5] ^= 1;
    records.insert(key(n).as_bytes(), row).unwrap();
    db.flush().unwrap();
}

/// A store with three sessions of one subject that end at 1,000 ms; that of key 2 is damaged.
async fn damaged(path: &Path) -> (SledStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(10)));
    let builder = || SledStore::builder(path).clock(Arc::clone(&clock));
    let store = builder().open().await.unwrap();
    let session = |n| Record {
        expires_at: Timestamp::from_millis(1000),
        ..of("zoë", record(n))
    };
    create(&store, (1..=3).map(session)).await;
    store.close().await.unwrap();
    damage(path, 2);
    (builder().open().await.unwrap(), clock)
}

#[tokio::test]
async fn it_is_an_error_for_every_call_but_delete() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _clock) = damaged(folder.path()).await;
    let later = record(2);
    assert_damaged(store.load(&key(2)).await);
    assert_damaged(store.create(&later).await);
    assert_damaged(store.update(later.revision, &later).await);
    assert_damaged(store.touch(&key(2), later.revision, later.expires_at).await);
    assert_eq!(store.delete(&key(2)).await.unwrap(), Delete::Deleted);
    assert_eq!(store.load(&key(2)).await.unwrap(), None);
    create(&store, [later]).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn others_of_its_batch_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _clock) = damaged(folder.path()).await;
    let (bad, good) = (record(2), record(4));
    let (refused, created) = tokio::join!(store.create(&bad), store.create(&good));
    assert_damaged(refused);
    assert_eq!(created.unwrap(), Create::Created);
    store.close().await.unwrap();
}

#[tokio::test]
async fn lists_leave_it_out() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _clock) = damaged(folder.path()).await;
    let keys = |records: Vec<Record>| records.iter().map(|r| r.key).collect::<Vec<_>>();
    assert_eq!(
        keys(store.list("zoë", None, 10).await.unwrap()),
        [key(1), key(3)]
    );
    assert_eq!(keys(store.scan(None, 10).await.unwrap()), [key(1), key(3)]);
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 2);
    assert_damaged(store.load(&key(2)).await);
    store.close().await.unwrap();
}

#[tokio::test]
async fn cleanup_leaves_it_and_goes_on_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = damaged(folder.path()).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(clock.now(), Timestamp::from_millis(1010));
    // In steps of one it would be stuck at the damaged one, if that kept its place.
    assert_eq!(store.delete_expired(1).await.unwrap(), 1);
    assert_eq!(store.delete_expired(1).await.unwrap(), 1);
    assert_eq!(store.delete_expired(1).await.unwrap(), 0);
    assert_damaged(store.load(&key(2)).await);
    assert_eq!(store.count().await.unwrap(), 0);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_piece_is_damage_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let store = SledStore::open(path).await.unwrap();
    let large = with_body(10_000, record(1));
    create(&store, [large.clone()]).await;
    store.close().await.unwrap();
    {
        let db = sled::open(path).unwrap();
        let pieces = db.open_tree("overflow").unwrap();
        let (second, _) = pieces.iter().nth(1).unwrap().unwrap();
        pieces.remove(second).unwrap();
    }
    let store = SledStore::open(path).await.unwrap();
    assert_damaged(store.load(&key(1)).await);
    // Whoever replaces it all need not read it.
    let small = record(1);
    let answer = store.update(large.revision, &small).await.unwrap();
    assert_eq!(answer, Update::Updated);
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(small));
    store.close().await.unwrap();
}
