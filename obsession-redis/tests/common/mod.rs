//! Records and stores for tests.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails by panicking"
)]

pub mod loads_first;
pub mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use obsession_core::{
    Clock, Create, Record, Revision, SessionKey, SessionStore, StoreError, SystemClock, Timestamp,
    Touch,
};
use obsession_redis::{CallError, FailureKind, RedisStore};

/// Whether the long runs are to be in full: `OBSESSION_FULL=1`.
pub fn full() -> bool {
    std::env::var_os("OBSESSION_FULL").is_some()
}

/// A prefix that no other test of this process has.
pub fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("case-{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A store under a prefix of its own.
pub async fn store(url: &str) -> RedisStore {
    let builder = RedisStore::builder(url).prefix(&prefix());
    builder
        .deadline(Duration::from_secs(10))
        .connect()
        .await
        .unwrap()
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
        expires_at: SystemClock.now().saturating_add(Duration::from_secs(3600)),
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
pub async fn create(store: &RedisStore, record: &Record) {
    assert_eq!(store.create(record).await.unwrap(), Create::Created);
}

/// Moves the deadline of a record that is as it was seen.
pub async fn touch(
    store: &RedisStore,
    seen: &Record,
    expires_at: Timestamp,
) -> Result<Touch, StoreError> {
    store.touch(&seen.key, seen.revision, expires_at).await
}

/// Why a call failed.
pub fn kind(error: &StoreError) -> FailureKind {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<CallError>().unwrap().kind()
}

/// Whether `SET` compares. Of a Cluster, the node that has the key says so.
pub fn compares(servers: &[testing::RedisServer]) -> bool {
    let compared = servers
        .iter()
        .map(|server| server.ask(&["SET", "nothing", "new", "IFEQ", "old"]));
    compared.into_iter().any(|answer| answer.is_ok())
}
