//! Increments of one session by many requests at once: every one is counted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use obsession_core::{FileStore, MemoryStore, SessionManager, SessionStore};

const TASKS: u64 = 64;
const EACH: u64 = 1_000;

/// Every increment is a request of its own, with its own handle, and nothing is tried again here.
async fn count(store: impl SessionStore) {
    let manager = SessionManager::builder(store)
        // What is checked is the count, also on a disk that takes long for an fsync.
        .deadline(Duration::from_secs(60))
        .build();
    let session = manager.open(None);
    session.insert("visits", &0_u64).unwrap();
    session.save().await.unwrap();
    let id = session.id().await.unwrap();

    let begun = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (manager, id) = (manager.clone(), id.clone());
            tokio::spawn(async move {
                let mut replays = 0;
                for _ in 0..EACH {
                    let session = manager.open(id.clone());
                    session
                        .update("visits", |n: &mut u64| *n += 1)
                        .await
                        .unwrap();
                    let _ = session.finish(true).await.unwrap();
                    assert!(!session.activity().dropped);
                    replays += session.activity().replays;
                }
                replays
            })
        })
        .collect();
    let mut replays = 0;
    for task in tasks {
        replays += task.await.unwrap();
    }
    println!(
        "{} increments in {:?}, {replays} replays",
        TASKS * EACH,
        begun.elapsed()
    );

    let visits = manager.open(id).get::<u64>("visits").await.unwrap();
    assert_eq!(visits, Some(TASKS * EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_counts_every_one_of_64_000_increments() {
    count(MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_store_counts_every_one_of_64_000_increments() {
    let folder = tempfile::tempdir().unwrap();
    count(FileStore::open(folder.path()).await.unwrap()).await;
}
