//! One line: every clause of the contract is a test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use custom_store::RedbStore;
use obsession_core::conformance::{Setup, Time};

async fn make(time: Time) -> Setup<RedbStore> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let store = RedbStore::open(&path, time.clock()).unwrap();
    let setup = Setup::new(store.clone()).peer(store).keep(folder);
    setup.reopen(move |store| {
        // The file is free once the last clone of the store is gone.
        drop(store);
        let store = RedbStore::open(&path, time.clock()).unwrap();
        async move { store }
    })
}

obsession_core::conformance!(make, index, reopen, peer);
