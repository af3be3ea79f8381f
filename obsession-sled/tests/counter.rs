//! No increment is lost, however many requests make one at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use obsession_core::conformance::count_up;
use obsession_sled::SledStore;

#[tokio::test(flavor = "multi_thread")]
async fn the_increments_of_64_tasks_are_all_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let counted = count_up(store.clone(), 64, 1000).await;
    println!("{counted:?}, {} flushes", store.flushes());
    store.close().await.unwrap();
}
