//! No increment is lost, however many requests make one at once.
//!
//! With `OBSESSION_FULL=1` it is 64 times 1,000.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use obsession_core::conformance::count_up;
use testing::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn the_increments_of_64_tasks_are_all_counted() {
    let each = if common::full() { 1000 } else { 100 };
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    println!("{:?}", count_up(store, 64, each).await);
}
