//! The suite of obsession-core, on one server, for each of the two ways in which a record is updated.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, LazyLock};

use common::loads_first::LoadsFirst;
use common::shared::{DURABLE, Shared, setup};
use obsession_core::SessionIndex;
use obsession_core::conformance::{Setup, Time};
use testing::RedisServer;
use tokio::sync::RwLock;

static CALM: Shared<RedisServer> = LazyLock::new(start);
static KILLED: Shared<RedisServer> = LazyLock::new(start);

fn start() -> Arc<RwLock<RedisServer>> {
    Arc::new(RedisServer::start(&DURABLE).unwrap().into())
}

/// One type for both, since the suite is compiled for each.
type Store = Arc<dyn SessionIndex>;

// Redis decides by its own clock, so the cases wait.
mod as_it_is {
    use super::*;

    async fn make(_: Time) -> Setup<Store> {
        setup(&CALM, &KILLED, |store| -> Store { Arc::new(store) }).await
    }

    obsession_core::conformance!(make, index, reopen, outage, neighbour, peer, push);
}

mod loaded_before_each_update {
    use super::*;

    async fn make(_: Time) -> Setup<Store> {
        setup(&CALM, &KILLED, |store| -> Store {
            Arc::new(LoadsFirst(store))
        })
        .await
    }

    obsession_core::conformance!(make, index, reopen, outage, neighbour, peer, push);
}
