//! Records and stores for tests.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails by panicking"
)]

#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use obsession_core::{
    Clock, Create, Record, Revision, SessionKey, SessionStore, StoreError, SystemClock,
};
use obsession_sqlx::{CallError, FailureKind};

/// Whether the long runs are to be in full: `OBSESSION_FULL=1`.
pub fn full() -> bool {
    std::env::var_os("OBSESSION_FULL").is_some()
}

/// A table that no other test of this process has.
pub fn table() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("case_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The `n`th key.
pub fn key(n: u64) -> SessionKey {
    format!("{n:016x}").parse().unwrap()
}

/// A record of the `n`th key that lives for an hour.
pub fn record(n: u64) -> Record {
    Record {
        key: key(n),
        revision: Revision::fresh().unwrap(),
        subject: None,
        created_at: SystemClock.now(),
        expires_at: SystemClock.now().saturating_add(Duration::from_hours(1)),
        body: Arc::from(&b"body"[..]),
    }
}

/// The same record, of `subject`.
pub fn of(subject: &str, record: Record) -> Record {
    Record {
        subject: Some(subject.into()),
        ..record
    }
}

/// The next state of a record.
pub fn rewritten(record: &Record, body: &[u8]) -> Record {
    Record {
        revision: Revision::fresh().unwrap(),
        body: body.into(),
        ..record.clone()
    }
}

/// Creates a record that must be new.
pub async fn create(store: &impl SessionStore, record: &Record) {
    assert_eq!(store.create(record).await.unwrap(), Create::Created);
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
