//! What a store that pushes tells those who watch: that a record may have changed.
//!
//! Whoever writes has a handle of his own, where the constructor gives a `peer`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Fixture;
use super::fixture::rewritten;
use crate::{Bell, Delete, Record, SessionKey, SessionStore, Update};

/// How long a ring may take: far longer than it does, and far shorter than a watch would wait.
const SOON: Duration = Duration::from_secs(3);

impl<S: SessionStore> Fixture<S> {
    pub(crate) async fn bell(&self, key: &SessionKey) -> Bell {
        let bell = self.store.watch(key).await.expect("watch");
        assert!(!bell.is_silent(), "the store says that it pushes nothing");
        bell
    }

    /// The handle of whoever writes.
    pub(crate) fn writer(&self) -> &Arc<S> {
        if self.has_peer() {
            self.peer()
        } else {
            &self.store
        }
    }

    async fn write(&self, record: &Record, body: &[u8]) -> Record {
        let next = rewritten(record, body);
        let answer = self.writer().update(record.revision, &next).await;
        assert_eq!(answer.expect("update"), Update::Updated);
        next
    }

    async fn end(&self, record: &Record) {
        let answer = self.writer().delete(&record.key).await;
        assert_eq!(answer.expect("delete"), Delete::Deleted);
    }
}

/// Waits until it rings.
pub(crate) async fn rings(bell: Bell, after: &str) {
    let rung = timeout(SOON, bell).await;
    assert!(rung.is_ok(), "no ring after {after} within {SOON:?}");
}

/// Push: a delete right after the watch was answered rings.
pub async fn push_tells_of_a_delete<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let bell = at.bell(&record.key).await;
    at.end(&record).await;
    rings(bell, "a delete").await;
}

/// Push: an update rings, and so does the next one to whoever watches again.
pub async fn push_tells_of_every_update<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.created().await;
    for n in 0..3_u8 {
        let bell = at.bell(&record.key).await;
        record = at.write(&record, &[n]).await;
        rings(bell, "an update").await;
    }
    let bell = at.bell(&record.key).await;
    at.end(&record).await;
    rings(bell, "a delete").await;
}

/// Push: the one who writes may be the one who watches.
pub async fn push_tells_of_what_the_same_handle_did<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let bell = at.bell(&record.key).await;
    at.delete(&record.key).await;
    rings(bell, "a delete through the same handle").await;
}

/// Push: everybody who watches a record is told.
pub async fn push_tells_all_who_watch<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let mut bells = Vec::new();
    for _ in 0..20 {
        bells.push(at.bell(&record.key).await);
    }
    at.end(&record).await;
    for bell in bells {
        rings(bell, "a delete").await;
    }
}

/// Push: each of many records is told of by itself.
pub async fn push_tells_of_each_of_many_records<S: SessionStore>(at: Fixture<S>) {
    let mut watched = Vec::new();
    for _ in 0..50 {
        let record = at.created().await;
        let bell = at.bell(&record.key).await;
        watched.push((record, bell));
    }
    for (record, bell) in watched {
        at.end(&record).await;
        rings(bell, "a delete").await;
    }
}

/// Push: whoever stops watching takes nothing from the others.
pub async fn push_of_others_outlives_a_watch_that_is_dropped<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let first = at.bell(&record.key).await;
    let second = at.bell(&record.key).await;
    let third = at.bell(&record.key).await;
    drop((first, third));
    at.end(&record).await;
    rings(second, "a delete").await;
}

/// Push: nothing rings all the time while nothing happens, since each ring costs a load.
pub async fn push_is_quiet_while_nothing_happens<S: SessionStore>(at: Fixture<S>) {
    const MOST: usize = 3;
    let record = at.created().await;
    let mut rung = 0;
    // A lost connection may ring, but not as fast as one can watch again.
    while timeout(Duration::from_millis(300), at.bell(&record.key).await)
        .await
        .is_ok()
    {
        rung += 1;
        assert!(rung <= MOST, "it rings though nothing happens");
    }
    at.end(&record).await;
}
