//! The suite of obsession-core, on one server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use obsession_core::conformance::Time;
use obsession_redis::RedisStore;
use testing::RedisServer;

/// One for all cases; each has a prefix of its own. It ends with this process.
static SERVER: LazyLock<RedisServer> = LazyLock::new(|| RedisServer::start(&[]).unwrap());

// Redis decides by its own clock, so the cases wait.
async fn make(_: Time) -> RedisStore {
    common::store(&SERVER.url()).await
}

obsession_core::conformance!(make, index);
