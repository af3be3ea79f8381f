//! A call whose future is dropped leaves a before or an after, and a store that serves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use common::{create, key, of, record};
use obsession_core::{SessionIndex, SessionStore, Update};
use obsession_sled::SledStore;

fn poll_once(call: impl Future) {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = pin!(call).as_mut().poll(&mut cx);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_writes_are_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    // More than the queue holds, so that some never get in.
    for n in 0..3000 {
        poll_once(store.create(&of("zoë", record(n))));
    }
    create(&store, [record(5000)]).await;
    let mut there = 0;
    for n in 0..3000 {
        there += u64::from(store.load(&key(n)).await.unwrap().is_some());
    }
    assert!(there > 0);
    assert_eq!(store.count().await.unwrap(), there + 1);
    let listed = store.list("zoë", None, usize::MAX).await.unwrap();
    assert_eq!(listed.len() as u64, there);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_write_is_seen_by_the_calls_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    for n in 0..100 {
        let (first, second, third) = (record(n), record(n), record(n));
        create(&store, [first.clone()]).await;
        poll_once(store.update(first.revision, &second));
        match store.update(first.revision, &third).await.unwrap() {
            Update::Conflict(current) => assert_eq!(current, second),
            answer => panic!("{answer:?}: the queue had a place, so the first was first"),
        }
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_lists_and_cleanups_stop_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).await.unwrap();
    for n in 0..100 {
        poll_once(store.list("zoë", None, 10));
        poll_once(store.delete_expired(10));
        poll_once(store.delete_subject("zoë", None));
        poll_once(store.scan(None, 10));
        create(&store, [of("zoë", record(n))]).await;
    }
    // The ends of the subject above may still be on their way, but none began after this.
    let last = of("zoë", record(100));
    create(&store, [last.clone()]).await;
    assert!(store.load(&last.key).await.unwrap().is_some());
    store.close().await.unwrap();
}
