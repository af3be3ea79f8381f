//! What MariaDB does beyond the suite: failures, and what it costs.
//!
//! With `OBSESSION_FULL=1` the long runs are in full.

#![cfg(feature = "mysql")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod errors;
mod faults;
mod migration;
mod requests;
#[cfg(feature = "tls")]
mod tls;

use std::sync::LazyLock;
use std::time::Duration;

use obsession_sqlx::{MySql, MySqlStore, SqlStoreBuilder};
use testing::MariadbServer;

/// A server for all tests that neither kill it nor count what it does.
static SERVER: LazyLock<MariadbServer> =
    LazyLock::new(|| MariadbServer::start(&MariadbServer::FAST).unwrap());

/// A store on a table of its own, whose calls may take as long as a busy machine makes them.
async fn store(server: &MariadbServer) -> MySqlStore {
    common::mysql::migrated(builder(server)).await
}

fn builder(server: &MariadbServer) -> SqlStoreBuilder<MySql> {
    let builder = common::mysql::builder(&server.url(), &common::table());
    builder.deadline(Duration::from_secs(10))
}
