//! SQLite, as far as the suite of obsession-core does not see it.

#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod cancel;
mod cleanup;
mod faults;
mod file;
mod gathering;
mod migrate;
mod open;
