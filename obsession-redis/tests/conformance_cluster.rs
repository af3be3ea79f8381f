//! The suite of obsession-core, on a Cluster of three masters and three replicas.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use obsession_core::conformance::Time;
use obsession_redis::RedisStore;
use testing::RedisCluster;

/// One for all cases; each has a prefix of its own. It ends with this process.
static SERVER: LazyLock<RedisCluster> = LazyLock::new(|| RedisCluster::start(&[]).unwrap());

// Redis decides by its own clock, so the cases wait.
async fn make(_: Time) -> RedisStore {
    common::store(&SERVER.url()).await
}

obsession_core::conformance!(make, index);
