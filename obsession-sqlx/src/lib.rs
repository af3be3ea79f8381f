#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(all(feature = "postgres", feature = "sqlite", feature = "mysql")),
    allow(dead_code, reason = "each database takes what it needs")
)]

mod answers;
mod batch;
mod builder;
mod call;
mod dialect;
mod driver;
mod error;
mod index;
mod lane;
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
mod names;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod worker;
mod write;

pub use builder::SqlStoreBuilder;
pub use error::{CallError, ConnectError, FailureKind};
#[cfg(feature = "mysql")]
pub use mysql::{MySql, MySqlStore};
#[cfg(feature = "postgres")]
pub use postgres::{Postgres, PostgresStore, Statements, SynchronousCommit};
#[cfg(feature = "sqlite")]
pub use sqlite::{Sqlite, SqliteStore, Synchronous};
pub use sqlx;
pub use store::SqlStore;
