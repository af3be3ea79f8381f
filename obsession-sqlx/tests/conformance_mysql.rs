//! The suite of obsession-core, on MariaDB.

#![cfg(feature = "mysql")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use common::mysql;
use obsession_core::conformance::{Setup, Time};
use obsession_sqlx::MySqlStore;
use testing::{MariadbServer, Shared, share};

// Cases run side by side, each with stores of several connections.
const SETTINGS: [(&str, &str); 1] = [("max-connections", "1000")];

static CALM: Shared<MariadbServer> =
    LazyLock::new(|| share(MariadbServer::start(&SETTINGS).unwrap()));
static KILLED: Shared<MariadbServer> =
    LazyLock::new(|| share(MariadbServer::start(&SETTINGS).unwrap()));

// MariaDB decides by its own clock, so the cases wait.
async fn make(_: Time) -> Setup<MySqlStore> {
    let names = [common::table(), common::table()];
    testing::setup(&CALM, &KILLED, names, |url, table, deadline| async move {
        let builder = mysql::builder(&url, &table).readers(2).writers(2);
        mysql::migrated(builder.deadline(deadline)).await
    })
    .await
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
