//! Records larger than an entry of a tree, and the files that sled must not make of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::{create, key, of, record, with_body};
use obsession_core::{Delete, Effect, Record, SessionIndex, SessionStore, Touch, Update};
use obsession_sled::SledStore;

/// sled puts large pages there, and never syncs them.
fn blobs(path: &Path) -> usize {
    fs::read_dir(path.join("blobs")).unwrap().count()
}

#[tokio::test]
async fn they_survive_reopening_and_come_back_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let lengths = [
        0,
        1,
        3_000,
        3_040,
        3_041,
        3_042,
        6_113,
        65_536,
        1_000_000,
        16 << 20,
    ];
    let records: Vec<_> = (0_u64..)
        .zip(lengths)
        .map(|(n, len)| with_body(len, record(n)))
        .collect();
    create(&store, records.clone()).await;
    store.close().await.unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    for record in records {
        let loaded = store.load(&record.key).await.unwrap().unwrap();
        assert!(
            loaded == record,
            "{} bytes came back otherwise",
            record.body.len()
        );
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn one_that_shrinks_or_goes_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let large = with_body(50_000, of("zoë", record(1)));
    let small = with_body(7_000, of("zoë", record(1)));
    create(&store, [large.clone(), with_body(20_000, record(2))]).await;
    let answer = store.update(large.revision, &small).await.unwrap();
    assert_eq!(answer, Update::Updated);
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(small));
    assert_eq!(store.delete(&key(2)).await.unwrap(), Delete::Deleted);
    store.close().await.unwrap();
    let db = sled::open(folder.path()).unwrap();
    let pieces = db.open_tree("overflow").unwrap();
    let keys: Vec<_> = pieces.iter().keys().map(|key| key.unwrap()).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(
        keys.iter()
            .all(|piece| piece.starts_with(key(1).as_bytes()))
    );
}

#[tokio::test]
async fn one_above_16_mib_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let error = store.create(&with_body((16 << 20) + 1, record(1))).await;
    assert_eq!(error.unwrap_err().effect(), Effect::NotApplied);
    store.close().await.unwrap();
}

/// Sessions of 8 KB would be enough if they were stored in one piece: up to 17 share a page.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_becomes_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    // The longest subjects, so that the pages of the index are as large as they get.
    let shape = |n: u64| -> Record {
        let subject = format!("{}{n}", "s".repeat(Record::MAX_SUBJECT - 5));
        with_body(
            match n % 5 {
                0 => 200,
                1 => 2_000,
                2 => 3_000,
                3 => 8_000,
                _ => 65_000,
            },
            of(&subject, record(n)),
        )
    };
    let writing = |task: u64| {
        let (store, path) = (store.clone(), folder.path().to_owned());
        tokio::spawn(async move {
            for n in (task..400).step_by(8) {
                let first = shape(n);
                create(&store, [first.clone()]).await;
                assert_eq!(blobs(&path), 0, "after a create");
                let second = shape(n);
                let answer = store.update(first.revision, &second).await.unwrap();
                assert_eq!(answer, Update::Updated);
                let later = second
                    .expires_at
                    .saturating_add(std::time::Duration::from_secs(1));
                assert_eq!(
                    store.touch(&key(n), second.revision, later).await.unwrap(),
                    Touch::Touched
                );
                if n % 3 == 0 {
                    assert_eq!(store.delete(&key(n)).await.unwrap(), Delete::Deleted);
                }
                assert_eq!(blobs(&path), 0, "after {n}");
            }
        })
    };
    for task in (0..8).map(writing).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    // Long subjects that begin alike are told apart all the same.
    for n in [1, 2, 4] {
        let subject = shape(n).subject.unwrap();
        let listed = store.list(&subject, None, 10).await.unwrap();
        let keys: Vec<_> = listed.iter().map(|record| record.key).collect();
        assert_eq!(keys, [key(n)]);
    }
    assert_eq!(
        store
            .delete_subject(&shape(1).subject.unwrap(), None)
            .await
            .unwrap(),
        1
    );
    store.close().await.unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    assert_eq!(store.count().await.unwrap(), 400 - 134 - 1);
    assert_eq!(blobs(folder.path()), 0);
    store.close().await.unwrap();
}
