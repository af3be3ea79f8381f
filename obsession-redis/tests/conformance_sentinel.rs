//! The suite of obsession-core, on a master that Sentinels name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use common::shared::{DURABLE, Shared, setup};
use obsession_core::conformance::{Setup, Time};
use obsession_redis::RedisStore;
use testing::RedisSentinel;

static SERVERS: Shared<RedisSentinel> = LazyLock::new(|| {
    let servers = RedisSentinel::start(&DURABLE).unwrap();
    // The master comes back by itself; what a failover does is another test's.
    servers.give_up_after(60_000).unwrap();
    std::sync::Arc::new(servers.into())
});

// Redis decides by its own clock, so the cases wait.
async fn make(_: Time) -> Setup<RedisStore> {
    setup(&SERVERS).await
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
