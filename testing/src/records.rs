//! Records for tests of stores.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "they are for tests")]

use std::time::Duration;

use obsession_core::{
    Clock, Create, Record, Revision, SessionKey, SessionStore, StoreError, SystemClock, Timestamp,
    Touch,
};

/// The `n`th key.
#[must_use]
pub fn key(n: u64) -> SessionKey {
    format!("{n:016x}").parse().unwrap()
}

/// An hour from now.
#[must_use]
pub fn in_an_hour() -> Timestamp {
    SystemClock.now().saturating_add(Duration::from_secs(3600))
}

/// A record of the `n`th key that lives for an hour.
#[must_use]
pub fn record(n: u64) -> Record {
    Record {
        key: key(n),
        revision: Revision::fresh().unwrap(),
        subject: None,
        created_at: SystemClock.now(),
        expires_at: in_an_hour(),
        body: b"body"[..].into(),
    }
}

/// The same record, of `subject`.
#[must_use]
pub fn of(subject: &str, record: Record) -> Record {
    Record {
        subject: Some(subject.into()),
        ..record
    }
}

/// The next state of a record.
#[must_use]
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

/// Moves the deadline of a record that is as it was seen.
///
/// # Errors
///
/// Those of the store.
pub async fn touch(
    store: &impl SessionStore,
    seen: &Record,
    expires_at: Timestamp,
) -> Result<Touch, StoreError> {
    store.touch(&seen.key, seen.revision, expires_at).await
}

/// Whether the long runs are to be in full: `OBSESSION_FULL=1`.
#[must_use]
pub fn full() -> bool {
    std::env::var_os("OBSESSION_FULL").is_some()
}
