//! The suite of obsession-core, on sled.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use obsession_core::conformance::{Setup, Time};
use obsession_sled::SledStore;

async fn open(path: &Path, time: &Time) -> SledStore {
    let store = SledStore::builder(path).clock(time.clock());
    store.open().await.unwrap()
}

async fn make(time: Time) -> Setup<SledStore> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    let store = open(&path, &time).await;
    let setup = Setup::new(store.clone()).peer(store).keep(folder);
    setup.reopen(move |store| {
        let (path, time) = (path.clone(), time.clone());
        async move {
            store.close().await.unwrap();
            drop(store);
            open(&path, &time).await
        }
    })
}

obsession_core::conformance!(make, index, reopen, peer);
