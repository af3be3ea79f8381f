//! The file store keeps the contract.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use obsession_core::FileStore;
use obsession_core::conformance::{Setup, Time};

async fn open(path: &Path, time: &Time) -> FileStore {
    let store = FileStore::builder(path).clock(time.clock());
    store.open().await.expect("a store")
}

async fn make(time: Time) -> Setup<FileStore> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("sessions");
    let away = folder.path().join("away");
    let (away_again, back) = (away.clone(), path.clone());
    let store = open(&path, &time).await;
    let neighbour = open(&folder.path().join("others"), &time).await;
    let begin = {
        let path = path.clone();
        move || {
            let moved = std::fs::rename(&path, &away);
            async { moved.expect("a rename") }
        }
    };
    let end = move || {
        let moved = std::fs::rename(&away_again, &back);
        async { moved.expect("a rename") }
    };
    Setup::new(store.clone())
        .peer(store)
        .neighbour(neighbour)
        .keep(folder)
        .outage(begin, end)
        .reopen(move |store| {
            let (path, time) = (path.clone(), time.clone());
            async move {
                drop(store);
                open(&path, &time).await
            }
        })
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
