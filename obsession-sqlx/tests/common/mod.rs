//! Records and stores for tests.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails by panicking"
)]

#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;

use std::sync::atomic::{AtomicU64, Ordering};

use obsession_core::{SessionIndex, StoreError};
use obsession_sqlx::{CallError, FailureKind};
use testing::behaviour::requests;
pub use testing::records::{create, full, in_an_hour, key, of, record, rewritten, touch};

/// How many statements each of the [requests](testing::behaviour::requests) sends.
pub const STATEMENTS: [(&str, u64); 7] = [
    ("untouched", 0),
    ("new", 1),
    ("read", 1),
    ("read and write", 2),
    ("login", 2),
    ("read and write, signed in", 2),
    ("delete", 2),
];

/// How many statements each of the requests on `store` has sent, by a count of all of them.
pub async fn cost(
    store: impl SessionIndex + 'static,
    calls: impl Fn() -> u64,
) -> Vec<(&'static str, u64)> {
    let (mut before, mut counted) = (calls(), Vec::new());
    let count = |name| {
        let after = calls();
        counted.push((name, after - before));
        before = after;
    };
    requests(store, count).await;
    counted
}

/// A table that no other test of this process has.
pub fn table() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("case_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Why a call failed.
pub fn kind(error: &StoreError) -> FailureKind {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<CallError>().unwrap().kind()
}

/// What an error says, with all that it says of its causes.
pub fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}
