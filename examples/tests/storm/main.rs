//! A storm of clients that leave in the middle: while they send a request, while it is served, while
//! its answer arrives. Every session is as it was before its request or as it was meant after it.
//!
//! With `OBSESSION_FULL=1` there are 10,000 of them on each store, else 600.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod client;
mod site;

use std::sync::Arc;
use std::time::Duration;

use client::{Leaves, Version};
use obsession_core::{MemoryStore, SessionIndex, SessionManager};
use site::{ACTIONS, Stored};
use testing::Random;
use testing::records::full;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How many of them there are at once.
const AT_ONCE: usize = 64;

/// How it went.
#[derive(Debug, Default)]
struct Tally {
    before: u32,
    after: u32,
    /// Answers that came whole, in spite of all.
    answered: u32,
}

/// Sends the storm at a site of `store`, and looks at every session when it is over.
async fn storm<S: SessionIndex + Clone>(store: S) {
    let clients: u64 = if full() { 10_000 } else { 600 };
    let manager = SessionManager::builder_indexed(store.clone()).build();
    // The store has begun what it needs.
    drop(site::begin(&manager).await);
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let server = site::serve(&manager).await;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut visits = Vec::new();
    for n in 0..clients {
        let (manager, places, address) = (manager.clone(), Arc::clone(&places), server.address);
        visits.push(tokio::spawn(async move {
            let _place = places.acquire().await.unwrap();
            let mut random = Random::new(n);
            let id = site::begin(&manager).await;
            let action = ACTIONS[random.below(ACTIONS.len())];
            let version = [Version::Http1, Version::Http1, Version::Http2][random.below(3)];
            let path = format!("/{action}?user-{n}");
            let leaves = Leaves::new(&mut random);
            let answer = client::visit(address, version, &path, &id, leaves).await;
            (n, action, id, answer)
        }));
    }
    let mut left = Vec::new();
    for client in visits {
        left.push(client.await.unwrap());
    }
    server.stop();
    // What was under way ends by itself.
    let gone = async {
        while tasks() > before {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = timeout(Duration::from_secs(20), gone).await;
    assert!(gone.is_ok(), "{} tasks, and {before} before", tasks());

    let mut tally = Tally::default();
    for (n, action, id, answer) in left {
        let at = format!("client {n}, {action}, {answer:?}");
        let stored = Stored::of(&store, &manager, &id).await;
        let after = stored.is_after(action, &format!("user-{n}"), &at);
        if let Some(answer) = answer {
            tally.answered += 1;
            assert!(after, "{at}: {stored:?}");
            site::check_answer(&manager, action, answer, &at).await;
        }
        *(if after {
            &mut tally.after
        } else {
            &mut tally.before
        }) += 1;
    }
    println!("{tally:?}");
    // They did leave, and some too late.
    let some = u32::try_from(clients / 20).unwrap();
    assert!(tally.before > some && tally.after > some, "{tally:?}");
    assert!(tally.answered < tally.after, "{tally:?}");

    // The connections to the store are all of use.
    let mut calls = Vec::new();
    for _ in 0..AT_ONCE {
        let manager = manager.clone();
        calls.push(tokio::spawn(async move {
            let id = site::begin(&manager).await;
            assert!(manager.load_id(id).await.unwrap().is_some());
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    storm(MemoryStore::new()).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis() {
    let server = testing::RedisServer::start(&[]).unwrap();
    let url = server.url();
    storm(obsession_redis::RedisStore::connect(&url).await.unwrap()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    let server = testing::PostgresServer::start(&testing::PostgresServer::FAST).unwrap();
    let builder = obsession_sqlx::PostgresStore::builder(server.url());
    let store = builder.migrate().await.unwrap().connect().await.unwrap();
    storm(store.clone()).await;
    // As many connections as it is to have, and none of them in the middle of something.
    let all = "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity \
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    // Two read and one writes.
    assert_eq!(server.sql(all).unwrap(), "3|0");
    store.close().await;
}
