//! Records for tests.

use std::error::Error;
use std::time::Duration;

use obsession_core::{
    Clock, Create, Record, Revision, SessionKey, SessionStore, StoreError, SystemClock, Timestamp,
    Touch,
};
use obsession_sqlx::{CallError, FailureKind};

/// Whether the long runs are to be in full: `OBSESSION_FULL=1`.
pub(crate) fn full() -> bool {
    std::env::var_os("OBSESSION_FULL").is_some()
}

/// The `n`th key.
pub(crate) fn key(n: u64) -> SessionKey {
    format!("{n:016x}").parse().unwrap()
}

pub(crate) fn in_an_hour() -> Timestamp {
    SystemClock.now().saturating_add(Duration::from_hours(1))
}

/// A record of the `n`th key that lives for an hour.
pub(crate) fn record(n: u64) -> Record {
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
pub(crate) fn of(subject: &str, record: Record) -> Record {
    Record {
        subject: Some(subject.into()),
        ..record
    }
}

/// The same record, written once more.
pub(crate) fn rewritten(record: &Record, body: &[u8]) -> Record {
    Record {
        revision: Revision::fresh().unwrap(),
        body: body.into(),
        ..record.clone()
    }
}

pub(crate) async fn create(store: &impl SessionStore, record: &Record) {
    assert_eq!(store.create(record).await.unwrap(), Create::Created);
}

pub(crate) async fn touch(
    store: &impl SessionStore,
    record: &Record,
    at: Timestamp,
) -> Result<Touch, StoreError> {
    store.touch(&record.key, record.revision, at).await
}

/// What kind of failure it was.
pub(crate) fn kind(error: &StoreError) -> FailureKind {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    let cause: &CallError = cause.expect("a cause of ours");
    cause.kind()
}
