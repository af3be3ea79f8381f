//! What Postgres does beyond the suite: failures, kills, cancels, and what it costs.
//!
//! With `OBSESSION_FULL=1` the long runs are in full.

#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod bouncer;
mod cancel;
mod cleanup;
mod counter;
mod durability;
mod errors;
mod faults;
mod locks;
mod migration;
mod round_trips;
mod settings;
#[cfg(feature = "tls")]
mod tls;

use std::sync::LazyLock;
use std::time::Duration;

use obsession_sqlx::{Postgres, PostgresStore, SqlStoreBuilder};
use testing::PostgresServer;

/// A server for all tests that neither kill it nor count what it does.
static SERVER: LazyLock<PostgresServer> =
    LazyLock::new(|| PostgresServer::start(&PostgresServer::FAST).unwrap());

/// A store on a table of its own, whose calls may take as long as a busy machine makes them.
async fn store(server: &PostgresServer) -> PostgresStore {
    common::postgres::migrated(builder(server)).await
}

fn builder(server: &PostgresServer) -> SqlStoreBuilder<Postgres> {
    let builder = common::postgres::builder(&server.url(), &common::table());
    builder.deadline(Duration::from_secs(10))
}
