//! Which directories are opened, and by whom.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;

use common::{create, key, of, record};
use obsession_core::{Create, Effect, SessionIndex, SessionStore};
use obsession_sled::{OpenError, SledStore};

const MARKER: &str = "obsession-sled";

/// Names and contents of all files, at the top.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let content = fs::read(entry.path()).unwrap_or_default();
            (entry.file_name().into_string().unwrap(), content)
        })
        .collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/when/missing");
    let records: Vec<_> = (0..100).map(|n| of("zoë", record(n))).collect();
    let store = SledStore::open(&path).await.unwrap();
    create(&store, records.clone()).await;
    store.close().await.unwrap();
    let store = SledStore::open(&path).await.unwrap();
    assert_eq!(store.list("zoë", None, 1000).await.unwrap(), records);
    assert_eq!(store.scan(None, 1000).await.unwrap(), records);
    assert_eq!(store.count().await.unwrap(), 100);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "all I have").unwrap();
    fs::write(folder.path().join("snap.1.generating"), "mine").unwrap();
    let before = contents(folder.path());
    let error = SledStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error:?}");
    assert!(error.to_string().contains(folder.path().to_str().unwrap()));
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn a_database_of_another_application_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(sled::open(folder.path()).unwrap());
    let before = contents(folder.path());
    let error = SledStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error:?}");
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn a_file_of_the_markers_name_is_no_proof() {
    for marker in ["", "obsession", "#!/bin/sh\n"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MARKER), marker).unwrap();
        fs::write(folder.path().join("thesis.txt"), "all I have").unwrap();
        let before = contents(folder.path());
        let error = SledStore::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::NotOurs { .. }), "{error:?}");
        assert_eq!(contents(folder.path()), before);
    }
}

#[tokio::test]
async fn a_file_instead_of_a_directory_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "all I have").unwrap();
    let error = SledStore::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    assert!(error.source().is_some());
    assert_eq!(fs::read(&path).unwrap(), b"all I have");
}

#[tokio::test]
async fn an_unknown_format_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    SledStore::open(folder.path())
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    fs::write(folder.path().join(MARKER), "obsession-sled 2\n").unwrap();
    let before = contents(folder.path());
    match SledStore::open(folder.path()).await.unwrap_err() {
        OpenError::UnknownVersion { found, .. } => assert_eq!(found, "2"),
        error => panic!("{error:?}"),
    }
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn a_lost_database_is_an_error_and_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    SledStore::open(folder.path())
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    fs::remove_file(folder.path().join("db")).unwrap();
    let error = SledStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Incomplete { .. }), "{error:?}");
}

#[tokio::test]
async fn a_second_open_is_told_so_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    // The first may be reading this one.
    let unfinished = folder.path().join("snap.7.generating");
    fs::write(&unfinished, "").unwrap();
    let error = SledStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(unfinished.exists());
    create(&store, [record(1)]).await;
    store.close().await.unwrap();
}

/// sled takes such a file for its newest snapshot and does not open. A kill while it opened left
/// one in 120 of 3,723 tries, and in 8 of them a database that could not be opened any more.
#[tokio::test]
async fn an_unfinished_snapshot_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    create(&store, (0..10).map(record)).await;
    store.close().await.unwrap();
    let unfinished = folder.path().join("snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&unfinished, "half a snap").unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    assert!(!unfinished.exists());
    assert_eq!(store.count().await.unwrap(), 10);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_creation_that_was_cut_short_is_gone_on_with() {
    // What there is at the instants at which it can be killed.
    let states: [&[(&str, &str)]; 6] = [
        &[],
        &[(MARKER, "")],
        &[(MARKER, "obsess")],
        &[(MARKER, "\0\0\0\0")],
        &[
            (MARKER, ""),
            (
                "conf",
                "segment_size: 524288\nuse_compression: false\nversion: 0.34\n",
            ),
        ],
        &[
            (MARKER, ""),
            ("conf", "segment_si"),
            ("db", ""),
            ("snap.00.generating", ""),
        ],
    ];
    for state in states {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in state {
            fs::write(folder.path().join(name), content).unwrap();
        }
        for n in 0..2 {
            let store = SledStore::open(folder.path()).await.unwrap();
            assert_eq!(store.count().await.unwrap(), n);
            create(&store, [record(n)]).await;
            store.close().await.unwrap();
        }
        let marker = fs::read(folder.path().join(MARKER)).unwrap();
        assert_eq!(marker, b"obsession-sled 1\n");
    }
}

#[tokio::test]
async fn a_cut_marker_of_a_full_database_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    create(&store, (0..10).map(record)).await;
    store.close().await.unwrap();
    File::create(folder.path().join(MARKER)).unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 10);
    store.close().await.unwrap();
}

#[tokio::test]
async fn after_a_close_the_directory_is_free_and_clones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..20 {
        let store = SledStore::open(folder.path()).await.unwrap();
        let clone = store.clone();
        create(&store, [record(n)]).await;
        store.close().await.unwrap();
        let again = SledStore::open(folder.path()).await.unwrap();
        let refusals = [
            clone.create(&record(1000)).await.unwrap_err(),
            clone.load(&key(n)).await.unwrap_err(),
            clone.count().await.unwrap_err(),
            clone.delete_expired(1).await.unwrap_err(),
        ];
        for error in refusals {
            assert_eq!(error.effect(), Effect::NotApplied);
            assert!(error.to_string().contains("closed"), "{error}");
        }
        assert_eq!(again.count().await.unwrap(), n + 1);
        again.close().await.unwrap();
        again.close().await.unwrap();
    }
}

#[tokio::test]
async fn calls_before_a_close_are_served_and_those_after_it_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let (first, late) = (record(1), record(2));
    let (before, closed, closed_again, after) = tokio::join!(
        store.create(&first),
        store.close(),
        store.close(),
        store.create(&late)
    );
    assert_eq!(before.unwrap(), Create::Created);
    closed.unwrap();
    closed_again.unwrap();
    assert_eq!(after.unwrap_err().effect(), Effect::NotApplied);
    let store = SledStore::open(folder.path()).await.unwrap();
    assert_eq!(store.scan(None, 10).await.unwrap(), [first]);
    store.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_may_not_be_written_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealed");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    if File::create(path.join("probe")).is_ok() {
        eprintln!("not tested: this user may write everywhere");
        return;
    }
    let error = SledStore::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}
