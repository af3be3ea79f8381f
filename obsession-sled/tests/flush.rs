//! Writers share a flush, and nobody is answered before it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create, key, of, record};
use obsession_core::{
    Create, Delete, Effect, Revision, SessionIndex, SessionStore, Timestamp, Touch, Update,
};
use obsession_sled::SledStore;

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_few_flushes_and_each_waits_for_one() {
    const TASKS: u64 = 64;
    const EACH: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let writing = |task: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                let before = store.flushes();
                create(&store, [record(task * EACH + n)]).await;
                assert!(store.flushes() > before, "answered before a flush");
            }
        })
    };
    for task in (0..TASKS).map(writing).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let (writes, flushes) = (TASKS * EACH, store.flushes());
    assert!(
        flushes <= writes / 4,
        "{flushes} flushes for {writes} writes"
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_rests_on_a_write_waits_for_its_flush() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let (first, second) = (record(1), record(1));
    let next = record(1);
    // Polled in this order, so they are queued in this order, most of them in one batch.
    let (created, taken, again, conflict, updated, gone) = tokio::join!(
        async { (store.create(&first).await.unwrap(), store.flushes()) },
        async { (store.create(&second).await.unwrap(), store.flushes()) },
        async { (store.create(&first).await.unwrap(), store.flushes()) },
        async {
            let stale = Revision::from_u64(7);
            (store.update(stale, &second).await.unwrap(), store.flushes())
        },
        async {
            let answer = store.update(first.revision, &next).await.unwrap();
            (answer, store.flushes())
        },
        async { (store.delete(&key(2)).await.unwrap(), store.flushes()) },
    );
    assert_eq!(created.0, Create::Created);
    assert_eq!(taken.0, Create::KeyTaken);
    assert_eq!(again.0, Create::Created);
    assert_eq!(conflict.0, Update::Conflict(first));
    assert_eq!(updated.0, Update::Updated);
    assert_eq!(gone.0, Delete::Gone);
    let flushes = [created.1, taken.1, again.1, conflict.1, updated.1, gone.1];
    assert!(flushes.iter().all(|n| *n >= 1), "{flushes:?}");
    assert!(
        store.flushes() <= 2,
        "six calls took {} flushes",
        store.flushes()
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_changes_nothing_costs_no_flush() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let there = record(1);
    create(&store, [there.clone()]).await;
    let before = store.flushes();
    assert_eq!(store.create(&there).await.unwrap(), Create::Created);
    assert_eq!(store.create(&record(1)).await.unwrap(), Create::KeyTaken);
    let earlier = Timestamp::from_millis(4_000_000_000_000);
    assert_eq!(
        store.touch(&key(1), there.revision, earlier).await.unwrap(),
        Touch::Touched
    );
    assert_eq!(store.delete(&key(2)).await.unwrap(), Delete::Gone);
    assert_eq!(store.delete_expired(10).await.unwrap(), 0);
    assert_eq!(store.flushes(), before);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_refused_record_does_not_fail_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    let refused = of("a\0b", record(1));
    let there = record(2);
    let (nul, beside) = tokio::join!(store.create(&refused), store.create(&there));
    let nul = nul.unwrap_err();
    assert_eq!(nul.effect(), Effect::NotApplied);
    assert!(nul.to_string().contains("NUL"), "{nul}");
    assert_eq!(beside.unwrap(), Create::Created);
    let renamed = of("\0", record(2));
    let error = store.update(there.revision, &renamed).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied);
    assert_eq!(store.load(&key(2)).await.unwrap(), Some(there));
    assert_eq!(store.list("\0", None, 10).await.unwrap(), []);
    assert_eq!(store.delete_subject("a\0b", None).await.unwrap(), 0);
    store.close().await.unwrap();
}
