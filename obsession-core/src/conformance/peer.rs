//! Two handles on the same records, as two processes have them: what one acknowledges, the other sees.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use super::fixture::rewritten;
use super::races::count_up;
use super::storms::storm_on;
use crate::{Delete, Record, SessionManager, SessionStore, Touch, Update};

impl<S: SessionStore> Fixture<S> {
    async fn peer_load(&self, record: &Record) -> Option<Record> {
        self.peer().load(&record.key).await.expect("load")
    }
}

/// Read your writes: through another handle, also where that had found nothing before.
pub async fn peer_sees_what_was_created<S: SessionStore>(at: Fixture<S>) {
    let record = at.record();
    assert_eq!(at.peer_load(&record).await, None);
    at.create(&record).await;
    assert_eq!(at.peer_load(&record).await, Some(record));
}

/// Read your writes: another handle never gives what it had read before.
pub async fn peer_sees_every_update<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.created().await;
    for n in 0..5_u8 {
        assert_eq!(at.peer_load(&record).await.as_ref(), Some(&record));
        let next = rewritten(&record, &[n]);
        // Each handle in turn.
        let store = if n % 2 == 0 { &at.store } else { at.peer() };
        let answer = store.update(record.revision, &next).await.expect("update");
        assert_eq!(answer, Update::Updated);
        assert_eq!(at.load(&next.key).await.as_ref(), Some(&next));
        record = next;
    }
    assert_eq!(at.peer_load(&record).await, Some(record));
}

/// Read your writes: a deadline that one handle moved is the record's.
pub async fn peer_sees_a_moved_deadline<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    assert_eq!(at.peer_load(&record).await.as_ref(), Some(&record));
    let later = at.time.later();
    at.touch(&record, later).await;
    at.time.reach(record.expires_at).await;
    at.peer().delete_expired(10).await.expect("cleanup");
    let touched = Record {
        expires_at: later,
        ..record
    };
    assert_eq!(at.peer_load(&touched).await.as_ref(), Some(&touched));
    assert_eq!(at.load(&touched.key).await, Some(touched));
}

/// No resurrection: what one handle deleted, no other serves or writes.
pub async fn peer_sees_a_delete<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    assert_eq!(at.peer_load(&record).await.as_ref(), Some(&record));
    at.delete(&record.key).await;
    assert_eq!(at.peer_load(&record).await, None);
    let late = rewritten(&record, b"late");
    let late = at.peer().update(record.revision, &late).await;
    assert_eq!(late.expect("update"), Update::Gone);
    let touched = at
        .peer()
        .touch(&record.key, record.revision, at.time.later());
    assert_eq!(touched.await.expect("touch"), Touch::Gone);
    let deleted = at.peer().delete(&record.key).await.expect("delete");
    assert_eq!(deleted, Delete::Gone);
    assert_eq!(at.load(&record.key).await, None);
}

/// Update: a conflict brings the record as the other handle left it.
pub async fn peer_answers_a_stale_write_with_the_newest_record<S: SessionStore>(at: Fixture<S>) {
    let first = at.created().await;
    assert_eq!(at.peer_load(&first).await.as_ref(), Some(&first));
    let second = rewritten(&first, b"second");
    at.update(first.revision, &second).await;
    let stale = rewritten(&first, b"stale");
    let answer = at.peer().update(first.revision, &stale).await;
    assert_eq!(answer.expect("update"), Update::Conflict(second.clone()));
    let touched = at.peer().touch(&first.key, first.revision, at.time.later());
    assert_eq!(touched.await.expect("touch"), Touch::Changed);
    assert_eq!(at.load(&first.key).await, Some(second));
}

/// Recognised retries: also where another handle makes them, as after a lost connection.
pub async fn peer_recognises_a_retry<S: SessionStore>(at: Fixture<S>) {
    let first = at.created().await;
    let created = at.peer().create(&first).await.expect("create");
    assert_eq!(created, crate::Create::Created);
    let second = rewritten(&first, b"second");
    at.update(first.revision, &second).await;
    let again = at.peer().update(first.revision, &second).await;
    assert_eq!(again.expect("update"), Update::Updated);
    assert_eq!(at.load(&first.key).await, Some(second));
}

/// Cleanup: by many processes at once, each record is counted by one.
pub async fn peer_cleans_up_once<S: SessionStore>(at: Fixture<S>) {
    let live = at.created().await;
    let mut last = at.time.now();
    for _ in 0..20 {
        let record = at.expiring();
        last = last.max(record.expires_at);
        at.create(&record).await;
    }
    at.time.reach(last).await;
    let (one, other) = tokio::join!(at.store.delete_expired(100), at.peer().delete_expired(100));
    let removed = one.expect("cleanup") + other.expect("cleanup");
    at.assert_removed(removed, 20);
    assert_eq!(at.cleanup().await, 0);
    assert_eq!(at.peer_load(&live).await, Some(live));
}

/// Atomic: increments through two handles are all there.
pub async fn peer_races_lose_no_increment<S: SessionStore>(at: Fixture<S>) {
    let stores = [Arc::clone(&at.store), Arc::clone(at.peer())];
    count_up(&at, &stores, 20).await;
}

/// Atomic: many random calls through two handles.
pub async fn peer_storm_is_linearizable<S: SessionStore>(at: Fixture<S>) {
    for seed in 200..206 {
        let stores = [Arc::clone(&at.store), Arc::clone(at.peer())];
        storm_on(&at, &stores, seed, 2).await;
    }
}

/// Read your writes: a request that another process serves finds what the one before it left.
pub async fn peer_serves_the_same_sessions<S: SessionStore>(at: Fixture<S>) {
    let manager = |store: &Arc<S>| {
        SessionManager::builder(Arc::clone(store))
            .clock(at.time.clone())
            .deadline(Duration::from_secs(30))
            .build()
    };
    let (here, there) = (manager(&at.store), manager(at.peer()));
    let session = here.open(None);
    session.insert("visits", &0_u64).expect("insert");
    session.save().await.expect("save");
    let mut id = session.id().await.expect("id").expect("an id");
    for n in 0..6_u64 {
        let session = [&there, &here][usize::from(n % 2 == 1)].open(Some(id.clone()));
        session
            .update("visits", |n: &mut u64| *n += 1)
            .await
            .expect("update");
        session.cycle().expect("cycle");
        session.save().await.expect("save");
        let old = std::mem::replace(&mut id, session.id().await.expect("id").expect("an id"));
        for manager in [&here, &there] {
            assert!(
                manager.load_id(old.clone()).await.expect("load").is_none(),
                "the old token"
            );
            let seen = manager.open(Some(id.clone())).get::<u64>("visits").await;
            assert_eq!(seen.expect("get"), Some(n + 1));
        }
    }
    here.open(Some(id.clone())).delete().await.expect("delete");
    assert!(
        there.load_id(id).await.expect("load").is_none(),
        "after the delete"
    );
}

/// Touch: a handle that has made it before asks again, since another may have written meanwhile.
pub async fn peer_answers_a_touch_by_the_record<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let (key, expected) = (&record.key, record.revision);
    let later = record.expires_at.saturating_add(Duration::from_secs(1));
    let touch = || async { at.peer().touch(key, expected, later).await.expect("touch") };
    assert_eq!(touch().await, Touch::Touched);
    let next = rewritten(&record, b"next");
    at.update(expected, &next).await;
    assert_eq!(touch().await, Touch::Changed);
    at.delete(key).await;
    assert_eq!(touch().await, Touch::Gone);
    at.create(&record).await;
    assert_eq!(touch().await, Touch::Touched);
    assert_eq!(at.load(key).await.map(|seen| seen.expires_at), Some(later));
}
