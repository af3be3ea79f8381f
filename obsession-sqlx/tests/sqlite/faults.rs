//! When SQLite can not, the store says so, and goes on when it can again.

use std::time::{Duration, Instant};

use obsession_core::{Create, Delete, Effect, SessionIndex, SessionStore, Update};
use obsession_sqlx::sqlx::sqlite::SqliteConnectOptions;
use obsession_sqlx::{FailureKind, SqliteStore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::common::{create, key, kind, of, record, rewritten};
use crate::file::File;

#[tokio::test(flavor = "multi_thread")]
async fn while_others_hold_the_lock_writes_are_not_applied_and_loads_go_on() {
    let file = File::new();
    let builder = file.builder().deadline(Duration::from_millis(400));
    let store = builder.migrate().await.unwrap().connect().await.unwrap();
    let old = record(1);
    create(&store, &old).await;
    let mut other = file.other().await;
    other.run("BEGIN IMMEDIATE").await;
    let mut calls = JoinSet::new();
    let begun = Instant::now();
    for n in 2..50 {
        let store = store.clone();
        calls.spawn(async move { store.create(&record(n)).await });
    }
    let mut kinds = Vec::new();
    while let Some(answer) = calls.join_next().await {
        let error = answer.unwrap().unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied);
        kinds.push(kind(&error));
        assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    }
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    // The first has met the lock, those behind it had no time left.
    assert!(kinds.contains(&FailureKind::Busy), "{kinds:?}");
    let known = [FailureKind::Busy, FailureKind::Late];
    assert!(kinds.iter().all(|kind| known.contains(kind)), "{kinds:?}");
    other.run("COMMIT").await;
    for n in 2..50 {
        assert!(
            store.load(&key(n)).await.unwrap().is_none(),
            "it was not applied"
        );
        create(&store, &record(n)).await;
    }
}

/// SQLite's own way to wait for a lock asks for it after up to 100 ms, in which others overtake.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_seldom_free_is_caught() {
    let file = File::new();
    let builder = file.builder().deadline(Duration::from_secs(2));
    let store = builder.migrate().await.unwrap().connect().await.unwrap();
    let mut other = file.other().await;
    let others = tokio::spawn(async move {
        loop {
            other.run("BEGIN IMMEDIATE").await;
            sleep(Duration::from_millis(45)).await;
            other.run("COMMIT").await;
            sleep(Duration::from_millis(5)).await;
        }
    });
    let begun = Instant::now();
    for n in 0..30 {
        create(&store, &record(n)).await;
        // The next one comes when the lock is taken again.
        sleep(Duration::from_millis(10)).await;
    }
    let time = begun.elapsed();
    println!("30 writes took {time:?}");
    // SQLite's own way takes 12 to 15 s.
    assert!(time < Duration::from_secs(8), "{time:?}");
    others.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_recovered_from() {
    let file = File::new();
    file.store().await.close().await;
    // SQLite says the same of a file that may not grow as of a disk that is full.
    let options = SqliteConnectOptions::new().filename(file.path());
    let options = options.pragma("max_page_count", "60");
    let store = SqliteStore::builder(options)
        .table("sessions")
        .connect()
        .await
        .unwrap();
    let mut there = Vec::new();
    let full = loop {
        let n = there.len() as u64;
        let new = of("zoë", rewritten(&record(n), &[7; 3000]));
        match store.create(&new).await {
            Ok(created) => assert_eq!(created, Create::Created),
            Err(error) => break error,
        }
        there.push(new);
        assert!(there.len() < 100, "it is never full");
    };
    assert_eq!(kind(&full), FailureKind::Full);
    assert_eq!(full.effect(), Effect::NotApplied);
    assert_eq!(full.to_string(), "the database is full");
    assert!(
        store
            .load(&key(there.len() as u64))
            .await
            .unwrap()
            .is_none()
    );
    for old in &there {
        assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(old));
    }
    // What takes no room goes on, and makes some.
    let old = &there[0];
    let same_size = rewritten(old, &[8; 3000]);
    assert_eq!(
        store.update(old.revision, &same_size).await.unwrap(),
        Update::Updated
    );
    assert_eq!(store.delete(&there[1].key).await.unwrap(), Delete::Deleted);
    assert_eq!(store.delete(&there[2].key).await.unwrap(), Delete::Deleted);
    create(&store, &rewritten(&record(500), &[9; 3000])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_vanishes_is_an_error_and_no_empty_store() {
    let file = File::new();
    let store = file.store().await;
    create(&store, &record(1)).await;
    let mut other = file.other().await;
    other.run("ALTER TABLE sessions RENAME TO elsewhere").await;
    let errors = [
        store.load(&key(1)).await.unwrap_err(),
        store.create(&record(2)).await.unwrap_err(),
        store.delete(&key(1)).await.unwrap_err(),
        store.count().await.unwrap_err(),
        store.delete_expired(10).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(kind(&error), FailureKind::Schema);
        assert_eq!(error.effect(), Effect::NotApplied);
    }
    other.run("ALTER TABLE elsewhere RENAME TO sessions").await;
    assert!(store.load(&key(1)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_an_error_to_whoever_asks_for_it_alone() {
    let file = File::new();
    let store = file.store().await;
    for n in 0..10 {
        create(&store, &of("zoë", record(n))).await;
    }
    let mut other = file.other().await;
    other
        .run(&format!(
            "UPDATE sessions SET created_at = -5 WHERE key = '{}'",
            key(3)
        ))
        .await;
    let mut calls = JoinSet::new();
    for n in 0..10 {
        let store = store.clone();
        calls.spawn(async move { (n, store.load(&key(n)).await) });
    }
    for (n, loaded) in calls.join_all().await {
        match loaded {
            Ok(loaded) => assert!(n != 3 && loaded.is_some(), "record {n}"),
            Err(error) => assert_eq!((n, kind(&error)), (3, FailureKind::Damaged)),
        }
    }
    assert_eq!(store.list("zoë", None, 100).await.unwrap().len(), 9);
    assert_eq!(store.scan(None, 100).await.unwrap().len(), 9);
    assert_eq!(store.delete(&key(3)).await.unwrap(), Delete::Deleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_does_not_grow_without_end() {
    let file = File::new();
    let builder = file.builder().deadline(Duration::from_secs(20));
    let store = builder.migrate().await.unwrap().connect().await.unwrap();
    let mut calls = JoinSet::new();
    for n in 0..16 {
        let store = store.clone();
        calls.spawn(async move {
            let mut known = record(n);
            create(&store, &known).await;
            for turn in 0..200_u16 {
                let next = rewritten(&known, &turn.to_be_bytes().repeat(4000));
                assert_eq!(
                    store.update(known.revision, &next).await.unwrap(),
                    Update::Updated
                );
                assert_eq!(store.load(&next.key).await.unwrap().as_ref(), Some(&next));
                known = next;
            }
        });
    }
    calls.join_all().await;
    let log = file.path().with_extension("db-wal");
    let length = std::fs::metadata(log).unwrap().len();
    // 25 MiB have been written.
    assert!(length <= 17 << 20, "the log has {length} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_answers_what_was_queued_and_refuses_what_comes_later() {
    let file = File::new();
    let store = file.store().await;
    create(&store, &record(1000)).await;
    assert!(file.path().with_extension("db-wal").exists());
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let store = store.clone();
        calls.spawn(async move { (n, store.create(&record(n)).await) });
    }
    tokio::task::yield_now().await;
    store.close().await;
    // The last connection has put the log into the file and removed it.
    assert!(!file.path().with_extension("db-wal").exists());
    let mut created = Vec::new();
    for (n, answer) in calls.join_all().await {
        match answer {
            Ok(_) => created.push(n),
            Err(error) => {
                assert_eq!(kind(&error), FailureKind::Closed);
                assert_eq!(error.effect(), Effect::NotApplied);
            }
        }
    }
    let refused = store.load(&key(1)).await.unwrap_err();
    assert_eq!(kind(&refused), FailureKind::Closed);
    store.close().await;
    let store = file.store().await;
    assert_eq!(store.count().await.unwrap(), created.len() as u64 + 1);
}

#[test]
fn a_runtime_that_ends_does_not_wait_for_the_store() {
    let file = File::new();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let begun = Instant::now();
    let first = runtime();
    let store = first.block_on(async {
        let store = file.store().await;
        create(&store, &record(1)).await;
        store
    });
    drop(first);
    // The workers have gone with their runtime.
    let second = runtime();
    let refused = second.block_on(store.load(&key(1))).unwrap_err();
    assert_eq!(kind(&refused), FailureKind::Closed);
    drop((store, second));
    let third = runtime();
    third.block_on(async {
        assert!(file.store().await.load(&key(1)).await.unwrap().is_some());
    });
    drop(third);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
