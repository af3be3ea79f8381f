//! The suite of obsession-core, on SQLite.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use obsession_core::conformance::{Setup, Time};
use obsession_sqlx::SqliteStore;

async fn open(path: &Path, table: &str, time: &Time) -> SqliteStore {
    let url = format!("sqlite:{}", path.display());
    let builder = SqliteStore::builder(&*url).table(table);
    let builder = builder.clock(time.clock()).migrate().await.unwrap();
    builder.connect().await.unwrap()
}

async fn make(time: Time) -> Setup<SqliteStore> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("sessions.db");
    let store = open(&path, "sessions", &time).await;
    let peer = open(&path, "sessions", &time).await;
    let neighbour = open(&path, "neighbours", &time).await;
    Setup::new(store)
        .peer(peer)
        .neighbour(neighbour)
        .keep(folder)
        .reopen(move |store| {
            let (path, time) = (path.clone(), time.clone());
            async move {
                store.close().await;
                drop(store);
                open(&path, "sessions", &time).await
            }
        })
}

obsession_core::conformance!(make, index, reopen, neighbour, peer);
