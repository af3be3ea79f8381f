//! The suite of obsession-core, on one server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use common::shared::{DURABLE, Shared, setup};
use obsession_core::conformance::{Setup, Time};
use obsession_redis::RedisStore;
use testing::RedisServer;

static SERVER: Shared<RedisServer> =
    LazyLock::new(|| std::sync::Arc::new(RedisServer::start(&DURABLE).unwrap().into()));

// Redis decides by its own clock, so the cases wait.
async fn make(_: Time) -> Setup<RedisStore> {
    setup(&SERVER).await
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
