//! Many calls at once that must not hinder or mix up each other.

use std::sync::Arc;
use std::time::Duration;

use super::races::race;
use super::{Fixture, rewritten};
use crate::{Create, Record, SessionStore, Touch, Update};

const ACTORS: usize = 16;
const ROUNDS: usize = 16;

/// Atomic: a load during updates gives one record, and no parts of two.
pub async fn race_of_loads_and_updates_gives_whole_records<S: SessionStore>(at: Fixture<S>) {
    let of = |old: &Record| {
        let next = rewritten(old, b"");
        let number = next.revision.as_u64();
        Record {
            subject: Some(Arc::from(format!("{number:x}"))),
            body: number.to_be_bytes().into(),
            ..next
        }
    };
    let record = of(&at.record());
    at.create(&record).await;
    race(&at.store, 8, |n, store| {
        let mut current = record.clone();
        async move {
            for _ in 0..60 {
                if n == 0 {
                    let next = of(&current);
                    let answer = store.update(current.revision, &next).await.expect("update");
                    assert_eq!(answer, Update::Updated);
                    current = next;
                    continue;
                }
                let seen = store.load(&current.key).await.expect("load");
                let seen = seen.expect("the record");
                let number = seen.revision.as_u64();
                assert_eq!(seen.body[..], number.to_be_bytes(), "{seen:?}");
                assert_eq!(seen.subject, Some(Arc::from(format!("{number:x}"))));
            }
        }
    })
    .await;
}

/// Touch: of many at once, the latest deadline stays.
pub async fn race_of_touches_keeps_the_latest_deadline<S: SessionStore>(at: Fixture<S>) {
    for round in 0..ROUNDS {
        let record = at.created().await;
        let later = |n| record.expires_at.saturating_add(Duration::from_millis(n));
        race(&at.store, ACTORS, |n, store| {
            let Record { key, revision, .. } = record;
            // In each round another one has the latest.
            let expires_at = later(1 + ((n * 7 + round) % ACTORS) as u64);
            async move {
                let touched = store.touch(&key, revision, expires_at).await;
                assert_eq!(touched.expect("touch"), Touch::Touched, "the same revision");
            }
        })
        .await;
        let touched = Record {
            expires_at: later(ACTORS as u64),
            ..record.clone()
        };
        assert_eq!(at.load(&record.key).await, Some(touched));
    }
}

/// Isolation: calls on different keys at once answer as they would alone.
pub async fn race_of_calls_on_different_keys_mixes_up_nothing<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..ROUNDS / 2 {
        race(&at.store, ACTORS, |n, store| {
            let (record, absent) = (at.record(), at.record());
            async move {
                let created = store.create(&record).await.expect("create");
                assert_eq!(created, Create::Created);
                let none = store.load(&absent.key).await.expect("load");
                assert_eq!(none, None, "a key that was never created");
                let next = rewritten(&record, &n.to_be_bytes());
                let answer = store.update(record.revision, &next).await.expect("update");
                assert_eq!(answer, Update::Updated, "nobody else writes this key");
                let seen = store.load(&record.key).await.expect("load");
                assert_eq!(seen.as_ref(), Some(&next));
                let late = store.update(absent.revision, &absent).await;
                assert_eq!(late.expect("update"), Update::Gone);
                let touched = store.touch(&next.key, next.revision, next.expires_at).await;
                assert_eq!(touched.expect("touch"), Touch::Touched);
            }
        })
        .await;
    }
}

/// Update: a touch at the same time is no conflict for it.
pub async fn race_of_a_touch_and_an_update_is_no_conflict<S: SessionStore>(at: Fixture<S>) {
    for round in 0..ROUNDS as u64 {
        let record = at.created().await;
        let next = rewritten(&record, b"next");
        let touching = {
            let (store, record) = (Arc::clone(&at.store), record.clone());
            tokio::spawn(async move {
                for n in 1..=round {
                    let later = record.expires_at.saturating_add(Duration::from_millis(n));
                    let _ = store.touch(&record.key, record.revision, later).await;
                }
            })
        };
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        at.update(record.revision, &next).await;
        touching.await.expect("an actor");
        assert_eq!(at.load(&record.key).await, Some(next));
    }
}

/// Cleanup: a record that is created over an expired one is live, however close cleanup came.
pub async fn race_of_create_and_cleanup_keeps_what_was_created<S: SessionStore>(at: Fixture<S>) {
    for round in 0..ROUNDS {
        let old = at.expiring();
        at.create(&old).await;
        at.time.reach(old.expires_at).await;
        let new = Record {
            expires_at: at.time.later(),
            ..rewritten(&old, b"new")
        };
        race(&at.store, 3, |n, store| {
            let new = new.clone();
            async move {
                // One of them comes a little later than the other, in turn.
                let waits = if n == 0 { round / 4 } else { round % 4 };
                for _ in 0..waits {
                    tokio::task::yield_now().await;
                }
                match n {
                    0 => {
                        let created = store.create(&new).await.expect("create");
                        assert_eq!(created, Create::Created);
                    }
                    1 => drop(store.delete_expired(10).await.expect("cleanup")),
                    _ => drop(store.load(&new.key).await.expect("load")),
                }
            }
        })
        .await;
        assert_eq!(at.load(&new.key).await, Some(new));
    }
}
