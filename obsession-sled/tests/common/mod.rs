//! Records for tests.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails by panicking"
)]

use obsession_core::{Create, Record, Revision, SessionKey, SessionStore, Timestamp};
use obsession_sled::SledStore;

/// The `n`th key.
pub fn key(n: u64) -> SessionKey {
    format!("{n:016x}").parse().unwrap()
}

/// A record of the `n`th key that does not expire.
pub fn record(n: u64) -> Record {
    Record {
        key: key(n),
        revision: Revision::fresh().unwrap(),
        subject: None,
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(4_000_000_000_000 + n),
        body: b"body".into(),
    }
}

/// The same record, of `subject`.
pub fn of(subject: &str, record: Record) -> Record {
    Record {
        subject: Some(subject.into()),
        ..record
    }
}

/// The same record, with a body of `len` bytes that differ.
pub fn with_body(len: usize, record: Record) -> Record {
    let body: Vec<u8> = (0..=250).cycle().take(len).collect();
    Record {
        body: body.into(),
        ..record
    }
}

/// Creates records that must be new.
pub async fn create(store: &SledStore, records: impl IntoIterator<Item = Record>) {
    for record in records {
        assert_eq!(store.create(&record).await.unwrap(), Create::Created);
    }
}
