//! No increment is lost, however many requests make one at once.
//!
//! With `OBSESSION_FULL=1` it is 64 times 1,000.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::{Duration, Instant};

use obsession_core::SessionManager;
use testing::RedisServer;

const TASKS: u64 = 64;

#[tokio::test(flavor = "multi_thread")]
async fn the_increments_of_64_tasks_are_all_counted() {
    let each = if common::full() { 1000 } else { 100 };
    let server = RedisServer::start(&[]).unwrap();
    let manager = SessionManager::builder(common::store(&server.url()).await)
        // All of them want the one record, so some wait for long on a slow machine.
        .deadline(Duration::from_secs(60))
        .build();
    let session = manager.open(None);
    session.insert("n", &0_u64).unwrap();
    session.save().await.unwrap();
    let id = session.id().await.unwrap();

    let begun = Instant::now();
    let increments = |_| {
        let (manager, id) = (manager.clone(), id.clone());
        tokio::spawn(async move {
            for _ in 0..each {
                let session = manager.open(id.clone());
                session.update("n", |n: &mut u64| *n += 1).await.unwrap();
                let _ = session.finish(true).await.unwrap();
            }
        })
    };
    for task in (0..TASKS).map(increments).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    println!("{} increments in {:?}", TASKS * each, begun.elapsed());
    let n = manager.open(id).get::<u64>("n").await.unwrap();
    assert_eq!(n, Some(TASKS * each));
}
