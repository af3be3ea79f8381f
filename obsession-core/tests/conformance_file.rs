//! The file store keeps the contract.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use obsession_core::FileStore;
use obsession_core::conformance::Time;
use tempfile::TempDir;

async fn make(time: Time) -> (FileStore, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FileStore::builder(folder.path()).clock(time.clock());
    (store.open().await.expect("a store"), folder)
}

obsession_core::conformance!(make, index);
