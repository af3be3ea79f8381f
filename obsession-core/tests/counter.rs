//! Increments of one session by many requests at once: every one is counted.
//!
//! With `OBSESSION_FULL=1` the file store, which syncs each of them, counts as far as the memory store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use obsession_core::conformance::count_up;
use obsession_core::{FileStore, MemoryStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_counts_every_one_of_64_000_increments() {
    println!("{:?}", count_up(MemoryStore::new(), 64, 1000).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_store_counts_every_one_of_the_increments_of_64_tasks() {
    let each = std::env::var_os("OBSESSION_FULL").map_or(100, |_| 1000);
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).await.unwrap();
    println!("{:?}", count_up(store, 64, each).await);
}
