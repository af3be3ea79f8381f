//! Moves of a record that others meet half-way.

use std::sync::Arc;

use obsession_core::conformance::{Fault, rewritten};
use obsession_core::{
    Clock, Create, Delete, ManualClock, Record, Revision, SessionKey, SessionStore, Timestamp,
    Update,
};

use crate::around::{Inner, Store, Wrapper, inner};
use crate::migrating::Migrating;

/// A migrating store, and a record for the old one.
pub(crate) struct Moves {
    pub(crate) old: Inner,
    pub(crate) new: Inner,
    pub(crate) store: Store,
    pub(crate) record: Record,
}

impl Moves {
    pub(crate) fn new(finish: fn(Arc<Migrating<Inner>>) -> Store) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let (old, new) = (inner(&clock), inner(&clock));
        let stores = [Arc::clone(&old), Arc::clone(&new)];
        let store = finish(Wrapper::around(stores, Arc::clone(&clock)));
        let record = Record {
            key: SessionKey::try_from(&[b'z'; SessionKey::LEN][..]).unwrap(),
            revision: Revision::fresh().unwrap(),
            subject: Some(Arc::from("zoë")),
            created_at: clock.now(),
            expires_at: Timestamp::from_millis(1000),
            body: b"body".into(),
        };
        Self {
            old,
            new,
            store,
            record,
        }
    }

    /// Puts the record where it was before there was a new store.
    pub(crate) async fn create(&self) {
        let answer = self.old.create(&self.record).await.unwrap();
        assert_eq!(answer, Create::Created);
    }
}

/// A load finds nothing in the new store. The record is moved there, and is not in the old one.
pub(crate) async fn a_load_during_a_move_finds_the_record(at: Moves) {
    at.create().await;
    let next = rewritten(&at.record, b"next");
    let moving = {
        let (store, next, expected) = (Arc::clone(&at.store), next.clone(), at.record.revision);
        async move {
            let updated = store.update(expected, &next).await.unwrap();
            assert_eq!(updated, Update::Updated);
        }
    };
    at.old.plan([Fault::behind(moving)]);
    let seen = at.store.load(&next.key).await.unwrap();
    assert_eq!(seen, Some(next));
}

/// A move has read the record. It is deleted, and the move goes on.
pub(crate) async fn a_delete_during_a_move_is_not_undone(at: Moves) {
    at.create().await;
    let next = rewritten(&at.record, b"next");
    let (deleting, deleted) = {
        let (sender, deleted) = tokio::sync::oneshot::channel();
        let (store, key) = (Arc::clone(&at.store), next.key);
        let deleting = async move {
            // It has time to end here, and may as well have to wait for the move.
            tokio::spawn(async move { sender.send(store.delete(&key).await) });
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        };
        (deleting, deleted)
    };
    at.new.plan([Fault::behind(deleting)]);
    let _ = at.store.update(at.record.revision, &next).await.unwrap();
    let deleted = deleted.await.unwrap().unwrap();
    assert_eq!(deleted, Delete::Deleted);
    assert_eq!(at.store.load(&next.key).await.unwrap(), None);
}
