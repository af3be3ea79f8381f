//! Sealed rows, and somebody who has access to them.

use std::sync::Arc;

use obsession_core::conformance::rewritten;
use obsession_core::{
    Clock, Create, Delete, ManualClock, Record, Revision, SessionIndex, SessionKey, SessionStore,
    Timestamp,
};

use crate::around::{Inner, Store, Wrapper, inner};
use crate::sealed::{Sealed, with};

/// A store that seals what is in another one.
pub(crate) struct Rows {
    pub(crate) inner: Inner,
    pub(crate) store: Store,
}

impl Rows {
    pub(crate) fn new(finish: fn(Arc<Sealed<Inner>>) -> Store) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let inner = inner(&clock);
        let stores = [Arc::clone(&inner), Arc::clone(&inner)];
        let store = finish(Wrapper::around(stores, clock));
        Self { inner, store }
    }

    /// A record of its own for each name.
    pub(crate) async fn created(&self, name: u8, body: &[u8]) -> Record {
        let record = Record {
            key: SessionKey::try_from(&[name; SessionKey::LEN][..]).unwrap(),
            revision: Revision::fresh().unwrap(),
            subject: Some(Arc::from("zoë")),
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(1000),
            body: body.into(),
        };
        let answer = self.store.create(&record).await.unwrap();
        assert_eq!(answer, Create::Created);
        record
    }

    /// What the store inside has under the key of `record`.
    pub(crate) async fn row(&self, record: &Record) -> Record {
        self.inner.load(&record.key).await.unwrap().unwrap()
    }

    /// Writes a row into the store inside.
    pub(crate) async fn forge(&self, row: &Record) {
        let _ = self.inner.delete(&row.key).await.unwrap();
        let answer = self.inner.create(row).await.unwrap();
        assert_eq!(answer, Create::Created);
    }

    /// No way out gives the row of `record`, or takes it for no session. It can be ended.
    pub(crate) async fn assert_refused(&self, record: &Record) {
        let Self { store, .. } = self;
        store.load(&record.key).await.unwrap_err();
        let stale = rewritten(record, b"stale");
        store.update(stale.revision, &stale).await.unwrap_err();
        store.list("zoë", None, 9).await.unwrap_err();
        store.scan(None, 9).await.unwrap_err();
        let deleted = store.delete(&record.key).await.unwrap();
        assert_eq!(deleted, Delete::Deleted);
        assert_eq!(store.load(&record.key).await.unwrap(), None);
    }
}

/// Who can write rows gives one user another's session.
pub(crate) async fn two_rows_whose_bodies_are_swapped_are_refused(rows: Rows) {
    let zoes = rows.created(b'z', b"zoe's").await;
    let yans = rows.created(b'y', b"yan's").await;
    let (mine, theirs) = (rows.row(&zoes).await, rows.row(&yans).await);
    let swapped = with(&mine, &theirs.body);
    rows.forge(&swapped).await;
    rows.assert_refused(&zoes).await;
    // Also with the revision that the body was sealed for.
    rows.forge(&Record {
        revision: theirs.revision,
        ..swapped
    })
    .await;
    rows.assert_refused(&zoes).await;
    assert_eq!(rows.store.load(&yans.key).await.unwrap(), Some(yans));
}
