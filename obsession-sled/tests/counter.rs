//! No increment is lost, however many requests make one at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use obsession_core::SessionManager;
use obsession_sled::SledStore;

const TASKS: u64 = 64;
const EACH: u64 = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn the_increments_of_64_tasks_are_all_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let manager = SessionManager::builder(store.clone())
        // All of them want the one record, so some wait for long on a slow disk.
        .deadline(Duration::from_secs(60))
        .build();
    let session = manager.open(None);
    session.insert("n", &0_u64).unwrap();
    session.save().await.unwrap();
    let id = session.id().await.unwrap();

    let begun = Instant::now();
    let increments = |_| {
        let (manager, id) = (manager.clone(), id.clone());
        tokio::spawn(async move {
            for _ in 0..EACH {
                let session = manager.open(id.clone());
                session.update("n", |n: &mut u64| *n += 1).await.unwrap();
                let _ = session.finish(true).await.unwrap();
            }
        })
    };
    for task in (0..TASKS).map(increments).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    println!(
        "{} increments in {:?}, {} flushes",
        TASKS * EACH,
        begun.elapsed(),
        store.flushes()
    );
    let n = manager.open(id).get::<u64>("n").await.unwrap();
    assert_eq!(n, Some(TASKS * EACH));
    store.close().await.unwrap();
}
