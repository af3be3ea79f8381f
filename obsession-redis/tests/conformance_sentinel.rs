//! The suite of obsession-core, on a master that Sentinels name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, LazyLock};

use common::shared::{DURABLE, Shared, setup};
use obsession_core::conformance::{Setup, Time};
use obsession_redis::RedisStore;
use testing::RedisSentinel;
use tokio::sync::RwLock;

static CALM: Shared<RedisSentinel> = LazyLock::new(start);
static KILLED: Shared<RedisSentinel> = LazyLock::new(start);

fn start() -> Arc<RwLock<RedisSentinel>> {
    let servers = RedisSentinel::start(&DURABLE).unwrap();
    // The master comes back by itself; what a failover does is another test's.
    servers.give_up_after(60_000).unwrap();
    Arc::new(servers.into())
}

// Redis decides by its own clock, so the cases wait.
async fn make(_: Time) -> Setup<RedisStore> {
    setup(&CALM, &KILLED, |store| store).await
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer, push);
