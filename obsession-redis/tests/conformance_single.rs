//! The suite of obsession-core, on one server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, LazyLock};

use common::shared::{DURABLE, Shared, setup};
use obsession_core::conformance::{Setup, Time};
use obsession_redis::RedisStore;
use testing::RedisServer;
use tokio::sync::RwLock;

static CALM: Shared<RedisServer> = LazyLock::new(start);
static KILLED: Shared<RedisServer> = LazyLock::new(start);

fn start() -> Arc<RwLock<RedisServer>> {
    Arc::new(RedisServer::start(&DURABLE).unwrap().into())
}

// Redis decides by its own clock, so the cases wait.
async fn make(_: Time) -> Setup<RedisStore> {
    setup(&CALM, &KILLED).await
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
