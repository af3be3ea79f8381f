//! Cleanup and counting, whose cost follows what expired.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{create, key, of, record};
use obsession_core::{ManualClock, Record, SessionIndex, SessionStore, Timestamp, Touch};
use obsession_sled::SledStore;

#[tokio::test]
async fn cleanup_takes_the_oldest_first_in_steps_and_spares_the_living() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let builder = SledStore::builder(folder.path()).clock(Arc::clone(&clock));
    let store = builder.open().await.unwrap();
    let ends = |n: u64| Record {
        expires_at: Timestamp::from_millis(1000 + n),
        ..of("zoë", record(n))
    };
    let records: Vec<_> = (0..300).map(ends).collect();
    create(&store, records.clone()).await;
    let later = Timestamp::from_millis(9000);
    let touched = store.touch(&key(3), records[3].revision, later).await;
    assert_eq!(touched.unwrap(), Touch::Touched);
    clock.advance(Duration::from_millis(1199));
    assert_eq!(store.count().await.unwrap(), 101);
    assert_eq!(store.delete_expired(150).await.unwrap(), 150);
    // The first 150 without number 3 are gone, so number 151 is the first that is left.
    let db_has = store.count().await.unwrap();
    assert_eq!(db_has, 101);
    assert_eq!(store.delete_expired(150).await.unwrap(), 49);
    assert_eq!(store.delete_expired(150).await.unwrap(), 0);
    assert_eq!(store.scan(None, 1000).await.unwrap().len(), 101);
    assert_eq!(store.list("zoë", None, 1000).await.unwrap().len(), 101);
    assert!(store.load(&key(3)).await.unwrap().is_some());
    store.close().await.unwrap();
    // Nothing is left of the others.
    let db = sled::open(folder.path()).unwrap();
    for tree in ["records", "deadlines", "subjects"] {
        assert_eq!(db.open_tree(tree).unwrap().len(), 101, "{tree}");
    }
}

#[tokio::test]
async fn the_count_stays_right_through_every_kind_of_change() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let builder = SledStore::builder(folder.path()).clock(Arc::clone(&clock));
    let store = builder.open().await.unwrap();
    let ends = |n: u64, at: u64| Record {
        expires_at: Timestamp::from_millis(at),
        ..record(n)
    };
    assert_eq!(store.count().await.unwrap(), 0);
    let records: Vec<_> = (0..10).map(|n| ends(n, 1000)).collect();
    create(&store, records.clone()).await;
    assert_eq!(store.count().await.unwrap(), 10);
    let _ = store.delete(&key(0)).await.unwrap();
    let later = Timestamp::from_millis(2000);
    let touched = store.touch(&key(1), records[1].revision, later).await;
    assert_eq!(touched.unwrap(), Touch::Touched);
    assert_eq!(store.count().await.unwrap(), 9);
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.count().await.unwrap(), 1);
    create(&store, [ends(2, 3000)]).await;
    assert_eq!(store.count().await.unwrap(), 2);
    assert_eq!(store.delete_expired(100).await.unwrap(), 7);
    assert_eq!(store.count().await.unwrap(), 2);
    store.close().await.unwrap();
}
