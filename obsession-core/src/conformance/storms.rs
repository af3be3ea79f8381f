//! Random calls at the same time, whose histories must be linearizable.

use std::sync::Arc;

use tokio::sync::Barrier;

use super::Fixture;
use super::chance::Chance;
use super::fixture::rewritten;
use super::history::History;
use super::model::{Answer, Call, Model, every_call};
use crate::{Record, SessionStore, Timestamp, Update};

/// Atomic: every two calls on one record at the same time.
pub async fn storm_of_every_two_calls_is_linearizable<S: SessionStore>(at: Fixture<S>) {
    for first in 0..6 {
        for second in first..6 {
            for _ in 0..4 {
                together(&at, &[first, second]).await;
            }
        }
    }
}

/// Atomic: every three calls on one record at the same time.
pub async fn storm_of_every_three_calls_is_linearizable<S: SessionStore>(at: Fixture<S>) {
    for first in 0..6 {
        for second in first..6 {
            for third in second..6 {
                together(&at, &[first, second, third]).await;
            }
        }
    }
}

/// Atomic: many random calls on one record.
pub async fn storm_on_one_record_is_linearizable<S: SessionStore>(at: Fixture<S>) {
    for seed in 0..12 {
        storm(&at, seed, 1).await;
    }
}

/// Atomic: many random calls on a few records, each record by itself.
pub async fn storm_on_a_few_records_is_linearizable<S: SessionStore>(at: Fixture<S>) {
    for seed in 100..106 {
        storm(&at, seed, 3).await;
    }
}

/// Makes these calls at the same time on a live record, each by a task of its own.
async fn together<S: SessionStore>(at: &Fixture<S>, calls: &[usize]) {
    let record = at.created().await;
    let history = History::default();
    let start = Arc::new(Barrier::new(calls.len()));
    let tasks: Vec<_> = calls
        .iter()
        .map(|call| {
            // A deadline of its own, so that touches can be told apart.
            let later = at
                .time
                .later()
                .saturating_add(std::time::Duration::from_secs(60));
            let call = every_call(&record, later).swap_remove(*call);
            let (store, start) = (Arc::clone(&at.store), Arc::clone(&start));
            let (history, key) = (history.clone(), record.key);
            tokio::spawn(async move {
                start.wait().await;
                history.call(&*store, &key, call).await.expect("an answer");
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("an actor");
    }
    let last = history.call(&*at.store, &record.key, Call::Load).await;
    last.expect("a load");
    history.assert_linearizable(&Model::of(&record), at.time.now());
}

const ACTORS: u64 = 4;
const CALLS: usize = 12;

async fn storm<S: SessionStore>(at: &Fixture<S>, seed: u64, keys: usize) {
    storm_on(at, &[Arc::clone(&at.store)], seed, keys).await;
}

/// A storm through several handles on the same records.
pub(super) async fn storm_on<S: SessionStore>(
    at: &Fixture<S>,
    stores: &[Arc<S>],
    seed: u64,
    keys: usize,
) {
    let mut records = Vec::new();
    for _ in 0..keys {
        records.push(at.created().await);
    }
    let histories: Vec<_> = records.iter().map(|_| History::default()).collect();
    let start = Arc::new(Barrier::new(usize::try_from(ACTORS).expect("few")));
    let tasks: Vec<_> = (0..ACTORS)
        .map(|actor| {
            let store = Arc::clone(&stores[usize::try_from(actor).expect("few") % stores.len()]);
            let start = Arc::clone(&start);
            let (mut known, histories) = (records.clone(), histories.clone());
            let mut chance = Chance::new(seed * ACTORS + actor);
            let later = at.time.later();
            tokio::spawn(async move {
                start.wait().await;
                for _ in 0..CALLS {
                    let n = chance.below(known.len());
                    let call = random_call(&mut chance, &known[n], later);
                    let key = known[n].key;
                    let answer = histories[n].call(&*store, &key, call.clone()).await;
                    see(&mut known[n], &call, &answer.expect("an answer"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("an actor");
    }
    for (record, history) in records.iter().zip(&histories) {
        history.assert_linearizable(&Model::of(record), at.time.now());
    }
}

fn random_call(chance: &mut Chance, seen: &Record, later: Timestamp) -> Call {
    match chance.below(12) {
        0..=2 => Call::Load,
        3 => Call::Create(rewritten(seen, b"created")),
        4..=8 => Call::Update(seen.revision, rewritten(seen, b"updated")),
        9 => {
            let more = u64::try_from(chance.below(5000)).unwrap_or_default();
            let later = later.saturating_add(std::time::Duration::from_millis(more));
            Call::Touch(seen.revision, later)
        }
        10 => Call::Delete,
        _ => Call::Cleanup,
    }
}

/// Remembers what the next update is to be made on.
fn see(seen: &mut Record, call: &Call, answer: &Answer) {
    match (call, answer) {
        (_, Answer::Load(Some(record)) | Answer::Update(Update::Conflict(record))) => {
            *seen = record.clone();
        }
        (Call::Update(_, record), Answer::Update(Update::Updated))
        | (Call::Create(record), Answer::Create(crate::Create::Created)) => *seen = record.clone(),
        _ => {}
    }
}
