//! The suite of obsession-core, on sled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use obsession_core::conformance::Time;
use obsession_sled::SledStore;
use tempfile::TempDir;

async fn make(time: Time) -> (SledStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::builder(folder.path().join("sessions"))
        .clock(time.clock())
        .open()
        .await
        .unwrap();
    (store, folder)
}

obsession_core::conformance!(make, index);
