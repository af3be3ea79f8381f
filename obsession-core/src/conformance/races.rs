//! Many calls at once on one record.

use std::future::Future;
use std::sync::Arc;

use super::{Fixture, Time, rewritten};
use crate::{Create, Delete, Record, SessionStore, Timestamp, Touch, Update};

const ACTORS: usize = 16;
const ROUNDS: usize = 8;

/// Runs `actor` as many tasks that start together, and gives what they gave.
pub(super) async fn race<S, F, R>(
    store: &Arc<S>,
    actors: usize,
    actor: impl Fn(usize, Arc<S>) -> F,
) -> Vec<R>
where
    S: SessionStore,
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(actors));
    let tasks: Vec<_> = (0..actors)
        .map(|n| {
            let (start, actor) = (Arc::clone(&start), actor(n, Arc::clone(store)));
            tokio::spawn(async move {
                start.wait().await;
                actor.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        match task.await {
            Ok(result) => results.push(result),
            // As its actor said it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    results
}

/// Atomic: of many creates of one key, one is first.
pub async fn race_of_creates_has_one_winner<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..ROUNDS {
        let record = at.record();
        let answers = race(&at.store, ACTORS, |n, store| {
            let record = rewritten(&record, &n.to_be_bytes());
            async move { (store.create(&record).await.expect("create"), record) }
        })
        .await;
        let mut winners = answers
            .into_iter()
            .filter(|(answer, _)| *answer == Create::Created);
        let (_, winner) = winners.next().expect("a winner");
        assert!(winners.next().is_none(), "two creates of one key");
        assert_eq!(at.load(&record.key).await, Some(winner));
    }
}

/// Atomic: of many updates of one revision, one is applied, and the others are told so.
pub async fn race_of_updates_has_one_winner_a_revision<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..ROUNDS {
        let record = at.created().await;
        let expected = record.revision;
        let answers = race(&at.store, ACTORS, |n, store| {
            let record = rewritten(&record, &n.to_be_bytes());
            async move {
                (
                    store.update(expected, &record).await.expect("update"),
                    record,
                )
            }
        })
        .await;
        let mut winners = answers
            .iter()
            .filter(|(answer, _)| *answer == Update::Updated);
        let (_, winner) = winners.next().expect("a winner");
        assert!(winners.next().is_none(), "two updates of one revision");
        for (answer, _) in answers
            .iter()
            .filter(|(answer, _)| *answer != Update::Updated)
        {
            assert_eq!(*answer, Update::Conflict(winner.clone()));
        }
        assert_eq!(at.load(&record.key).await.as_ref(), Some(winner));
    }
}

/// Atomic: a counter that many change by compare-and-swap ends exact.
pub async fn race_of_increments_loses_none<S: SessionStore>(at: Fixture<S>) {
    count_up(&at, &[Arc::clone(&at.store)], 25).await;
}

/// Many actors each add one to a counter this often, through these handles in turn.
pub(super) async fn count_up<S: SessionStore>(at: &Fixture<S>, stores: &[Arc<S>], each: usize) {
    let record = rewritten(&at.record(), &0_u64.to_be_bytes());
    at.create(&record).await;
    race(&at.store, ACTORS, |n, _| {
        let (mut current, store) = (record.clone(), Arc::clone(&stores[n % stores.len()]));
        async move {
            let mut tries = 0;
            for _ in 0..each {
                loop {
                    let count = u64::from_be_bytes(current.body[..].try_into().expect("a count"));
                    let next = rewritten(&current, &(count + 1).to_be_bytes());
                    match store.update(current.revision, &next).await.expect("update") {
                        Update::Updated => break current = next,
                        Update::Conflict(newer) => current = newer,
                        Update::Gone => panic!("the record is live"),
                    }
                    // In each round somebody wins, so nobody loses more often than all write.
                    tries += 1;
                    assert!(tries <= ACTORS * each, "conflicts with nobody's write");
                }
            }
        }
    })
    .await;
    for store in stores {
        let last = store
            .load(&record.key)
            .await
            .expect("load")
            .expect("the record");
        assert_eq!(last.body[..], (ACTORS as u64 * each as u64).to_be_bytes());
    }
}

/// Never an upsert: whoever is first, the end is a deleted record.
pub async fn race_of_update_and_delete_ends_deleted<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..ROUNDS {
        let record = at.created().await;
        let deleted = race(&at.store, ACTORS, |n, store| {
            let record = record.clone();
            async move {
                if n == ACTORS / 2 {
                    return store.delete(&record.key).await.expect("delete") == Delete::Deleted;
                }
                let next = rewritten(&record, b"late");
                let _ = store.update(record.revision, &next).await.expect("update");
                false
            }
        })
        .await;
        assert!(deleted.contains(&true));
        assert_eq!(at.load(&record.key).await, None);
    }
}

/// Never an upsert: a touch does not bring back what a delete ends.
pub async fn race_of_touch_and_delete_ends_deleted<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..ROUNDS {
        let record = at.created().await;
        let later = record
            .expires_at
            .saturating_add(std::time::Duration::from_secs(1));
        race(&at.store, ACTORS, |n, store| {
            let Record { key, revision, .. } = record;
            async move {
                if n == ACTORS / 2 {
                    let _ = store.delete(&key).await.expect("delete");
                } else {
                    let _ = store.touch(&key, revision, later).await.expect("touch");
                }
            }
        })
        .await;
        assert_eq!(at.load(&record.key).await, None);
    }
}

/// Cleanup: a record whose touch was acknowledged is live, however close cleanup came.
pub async fn race_of_touch_and_cleanup_keeps_what_was_touched<S: SessionStore>(at: Fixture<S>) {
    saved_in_time(&at, |store, record, later| async move {
        let answer = store.touch(&record.key, record.revision, later).await;
        answer.expect("touch") == Touch::Touched
    })
    .await;
}

/// Cleanup: a record whose update was acknowledged is live, however close cleanup came.
pub async fn race_of_update_and_cleanup_keeps_what_was_updated<S: SessionStore>(at: Fixture<S>) {
    saved_in_time(&at, |store, record, later| async move {
        let next = Record {
            expires_at: later,
            ..rewritten(&record, b"in time")
        };
        let answer = store.update(record.revision, &next).await;
        answer.expect("update") == Update::Updated
    })
    .await;
}

/// A record is saved, or not, while its deadline passes and cleanup runs.
async fn saved_in_time<S, F>(at: &Fixture<S>, save: impl Fn(Arc<S>, Record, Timestamp) -> F)
where
    S: SessionStore,
    F: Future<Output = bool> + Send + 'static,
{
    for round in 0..2 * ROUNDS {
        let (record, later) = (at.expiring(), at.time.later());
        at.create(&record).await;
        let saved = race(&at.store, ACTORS, |n, store| {
            let saving = save(Arc::clone(&store), record.clone(), later);
            let (time, soon) = (at.time.clone(), record.expires_at);
            async move {
                match n % 8 {
                    0 => return saving.await,
                    1 => reach_after(round, &time, soon).await,
                    _ => drop(store.delete_expired(10).await.expect("cleanup")),
                }
                false
            }
        })
        .await;
        at.time.reach(record.expires_at).await;
        at.cleanup().await;
        let live = at.load(&record.key).await.is_some();
        let saved = saved.contains(&true);
        assert_eq!(live, saved, "saved and live are the same");
    }
}

/// Lets the others go on for a while, and makes it late then.
async fn reach_after(turns: usize, time: &Time, at: Timestamp) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    time.reach(at).await;
}

/// Live or absent: what a load has found absent no touch brings back, however close they came.
pub async fn race_of_touch_and_deadline_has_one_outcome<S: SessionStore>(at: Fixture<S>) {
    for round in 0..2 * ROUNDS {
        let (record, later) = (at.expiring(), at.time.later());
        at.create(&record).await;
        let absent = race(&at.store, ACTORS, |n, store| {
            let (record, time) = (record.clone(), at.time.clone());
            async move {
                match n % 8 {
                    0 => {
                        let touched = store.touch(&record.key, record.revision, later).await;
                        touched.expect("touch") == Touch::Gone
                    }
                    1 => {
                        reach_after(round, &time, record.expires_at).await;
                        store.load(&record.key).await.expect("load").is_none()
                    }
                    _ => {
                        let mut absent = false;
                        for _ in 0..8 {
                            absent |= store.load(&record.key).await.expect("load").is_none();
                        }
                        absent
                    }
                }
            }
        })
        .await;
        let live = at.load(&record.key).await.is_some();
        assert!(
            !live || !absent.contains(&true),
            "it was absent, and is live again"
        );
    }
}

/// Read your writes: a load after an acknowledgement sees that write or a later one.
pub async fn race_of_loads_and_updates_reads_your_writes<S: SessionStore>(at: Fixture<S>) {
    let record = rewritten(&at.record(), &0_u64.to_be_bytes());
    at.create(&record).await;
    let newest = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = |record: &Record| u64::from_be_bytes(record.body[..].try_into().expect("a count"));
    race(&at.store, 4, |n, store| {
        let (mut current, newest) = (record.clone(), Arc::clone(&newest));
        async move {
            for _ in 0..100 {
                if n == 0 {
                    let next = rewritten(&current, &(count(&current) + 1).to_be_bytes());
                    let answer = store.update(current.revision, &next).await.expect("update");
                    assert_eq!(answer, Update::Updated);
                    newest.store(count(&next), std::sync::atomic::Ordering::SeqCst);
                    current = next;
                } else {
                    let acknowledged = newest.load(std::sync::atomic::Ordering::SeqCst);
                    let seen = store
                        .load(&current.key)
                        .await
                        .expect("load")
                        .expect("the record");
                    assert!(
                        count(&seen) >= acknowledged,
                        "an acknowledged write was not seen"
                    );
                }
            }
        }
    })
    .await;
}

/// Atomic: of many deletes, one ended it.
pub async fn race_of_deletes_has_one_winner<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..ROUNDS {
        let key = at.created().await.key;
        let answers = race(&at.store, ACTORS, |_, store| async move {
            store.delete(&key).await.expect("delete")
        })
        .await;
        let winners = answers
            .iter()
            .filter(|answer| **answer == Delete::Deleted)
            .count();
        assert_eq!(winners, 1, "deletes that ended it");
    }
}

/// Atomic: an expired record's key is given to one of many creates.
pub async fn race_of_creates_over_an_expired_record_has_one_winner<S: SessionStore>(
    at: Fixture<S>,
) {
    for _ in 0..ROUNDS {
        let old = at.expiring();
        at.create(&old).await;
        at.time.reach(old.expires_at).await;
        let later = at.time.later();
        let answers = race(&at.store, ACTORS, |n, store| {
            let record = Record {
                expires_at: later,
                ..rewritten(&old, &n.to_be_bytes())
            };
            async move {
                if n % 4 == 3 {
                    store.delete_expired(10).await.expect("cleanup");
                    return None;
                }
                let answer = store.create(&record).await.expect("create");
                (answer == Create::Created).then_some(record)
            }
        })
        .await;
        let winners: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "creates of one key");
        assert_eq!(at.load(&old.key).await.as_ref(), winners.first());
    }
}

/// Atomic: a touch puts no old body back, and an update no old deadline.
pub async fn race_of_updates_and_touches_loses_no_write<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..ROUNDS {
        let record = at.created().await;
        let later = record
            .expires_at
            .saturating_add(std::time::Duration::from_secs(1));
        let last = race(&at.store, 8, |n, store| {
            let mut current = record.clone();
            async move {
                for _ in 0..10 {
                    if n > 0 {
                        let touched = store.touch(&current.key, current.revision, later).await;
                        assert_ne!(touched.expect("touch"), Touch::Gone);
                        current = store.load(&current.key).await.expect("load").expect("live");
                        continue;
                    }
                    let next = rewritten(&current, b"written");
                    let answer = store.update(current.revision, &next).await.expect("update");
                    assert_eq!(answer, Update::Updated, "nobody else writes");
                    current = next;
                }
                current
            }
        })
        .await;
        let seen = at.load(&record.key).await.expect("the record");
        assert_eq!(seen.revision, last[0].revision);
        assert_eq!(seen.body, last[0].body);
    }
}

/// Cleanup: of many at once, each record is removed and counted by one.
pub async fn race_of_cleanups_counts_each_record_once<S: SessionStore>(at: Fixture<S>) {
    const RECORDS: usize = 40;
    let live = at.created().await;
    let mut last = at.time.now();
    for _ in 0..RECORDS {
        let record = at.expiring();
        last = last.max(record.expires_at);
        at.create(&record).await;
    }
    at.time.reach(last).await;
    let removed = race(&at.store, ACTORS, |n, store| async move {
        store.delete_expired(1 + n).await.expect("cleanup")
    })
    .await;
    let removed = removed.iter().sum::<usize>() + at.cleanup_by(16).await;
    at.assert_removed(removed, RECORDS);
    assert_eq!(at.load(&live.key).await, Some(live));
}
