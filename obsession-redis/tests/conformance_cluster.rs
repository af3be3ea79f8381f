//! The suite of obsession-core, on a Cluster of three masters and three replicas.
//!
//! No case is left out. Between the command that enters a session into the index of its subject and
//! the one that writes the record, the index has an entry too many; the cases find no disagreement,
//! since a list shows only what the record confirms.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, LazyLock};

use common::shared::{DURABLE, Shared, setup};
use obsession_core::conformance::{Setup, Time};
use obsession_redis::RedisStore;
use testing::RedisCluster;
use tokio::sync::RwLock;

static CALM: Shared<RedisCluster> = LazyLock::new(start);
static KILLED: Shared<RedisCluster> = LazyLock::new(start);

fn start() -> Arc<RwLock<RedisCluster>> {
    // The masters come back by themselves; what a failover does is another test's.
    let settings = [&DURABLE[..], &[("cluster-replica-no-failover", "yes")]].concat();
    Arc::new(RedisCluster::start(&settings).unwrap().into())
}

// Redis decides by its own clock, so the cases wait.
async fn make(_: Time) -> Setup<RedisStore> {
    setup(&CALM, &KILLED, |store| store).await
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
