//! The suite of obsession-core, on Postgres.

#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::LazyLock;

use common::postgres;
use obsession_core::conformance::{Setup, Time};
use obsession_sqlx::PostgresStore;
use testing::{PostgresServer, Shared, share};

static CALM: Shared<PostgresServer> = LazyLock::new(|| share(PostgresServer::start(&[]).unwrap()));
static KILLED: Shared<PostgresServer> =
    LazyLock::new(|| share(PostgresServer::start(&[]).unwrap()));

// Postgres decides by its own clock, so the cases wait.
async fn make(_: Time) -> Setup<PostgresStore> {
    let names = [common::table(), common::table()];
    testing::setup(&CALM, &KILLED, names, |url, table, deadline| async move {
        postgres::migrated(postgres::builder(&url, &table).deadline(deadline)).await
    })
    .await
}

obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
