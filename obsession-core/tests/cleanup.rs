//! The task that removes what has expired.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use obsession_core::{
    Bell, Create, Delete, ManualClock, MemoryStore, Record, Revision, SessionKey, SessionManager,
    SessionStore, StoreError, Timestamp, Touch, Update,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const EVERY: Duration = Duration::from_secs(100);

/// A memory store that notes when it was asked to clean up, and fails when it is told to.
#[derive(Clone, Debug)]
struct Watched {
    store: MemoryStore,
    calls: Arc<Mutex<Vec<Call>>>,
    failures: Arc<Mutex<usize>>,
    made: Arc<Mutex<usize>>,
    /// How long a batch takes for each record.
    slow: Arc<Mutex<Duration>>,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    at: Instant,
    limit: usize,
}

impl Watched {
    /// A store with this many expired records and one that is live.
    async fn new(expired: usize) -> Self {
        let clock = ManualClock::new(NOW);
        let store = MemoryStore::builder().clock(clock).build();
        let watched = Self {
            store,
            calls: Arc::default(),
            failures: Arc::default(),
            made: Arc::default(),
            slow: Arc::default(),
        };
        watched.add(1, Timestamp::MAX).await;
        watched.add(expired, NOW).await;
        watched
    }

    /// A create removes expired records in passing, so these are created live and end then.
    async fn add(&self, records: usize, expires_at: Timestamp) {
        let first = *self.made.lock().unwrap();
        *self.made.lock().unwrap() += records;
        let mut made: Vec<_> = (first..first + records).map(record).collect();
        for record in &made {
            assert_eq!(self.store.create(record).await.unwrap(), Create::Created);
        }
        for record in &mut made {
            let created = std::mem::replace(&mut record.revision, Revision::fresh().unwrap());
            record.expires_at = expires_at;
            let answer = self.store.update(created, record).await.unwrap();
            assert_eq!(answer, Update::Updated);
        }
    }

    fn limits(&self) -> Vec<usize> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .map(|call| call.limit)
            .collect()
    }

    /// How long it was left alone before each call.
    fn waits(&self, begun: Instant) -> Vec<Duration> {
        let calls = self.calls.lock().unwrap();
        let mut before = begun;
        let wait = |call: &Call| {
            let wait = call.at - before;
            before = call.at;
            wait
        };
        calls.iter().map(wait).collect()
    }
}

fn record(n: usize) -> Record {
    Record {
        key: format!("{n:016}").parse().unwrap(),
        revision: Revision::fresh().unwrap(),
        subject: None,
        created_at: NOW,
        expires_at: Timestamp::MAX,
        body: [].into(),
    }
}

#[async_trait]
impl SessionStore for Watched {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.store.load(key).await
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        self.store.create(record).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        self.store.update(expected, record).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        self.store.touch(key, expected, expires_at).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.store.delete(key).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let at = Instant::now();
        self.calls.lock().unwrap().push(Call { at, limit });
        {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(StoreError::not_applied("told to fail"));
            }
        }
        // As a store that waits for a disk does.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let removed = self.store.delete_expired(limit).await?;
        let each = *self.slow.lock().unwrap();
        tokio::time::sleep(each.saturating_mul(u32::try_from(removed).unwrap())).await;
        Ok(removed)
    }

    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        self.store.watch(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn one_round_takes_batch_after_batch_until_nothing_is_left() {
    let store = Watched::new(25).await;
    let cleanup = SessionManager::new(store.clone()).cleanup().batch(10);
    assert_eq!(cleanup.run_once().await.unwrap(), 25);
    assert_eq!(store.limits(), [10, 10, 10]);
    assert_eq!(store.store.len(), 1, "the live one");
    assert_eq!(cleanup.run_once().await.unwrap(), 0);

    *store.failures.lock().unwrap() = 1;
    assert!(cleanup.run_once().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn batches_are_as_large_as_they_can_be_without_holding_others_up() {
    let store = Watched::new(1000).await;
    let cleanup = SessionManager::new(store.clone()).cleanup();
    assert_eq!(cleanup.run_once().await.unwrap(), 1000);
    assert_eq!(store.limits(), [100, 200, 400, 500]);

    *store.slow.lock().unwrap() = Duration::from_micros(200);
    store.calls.lock().unwrap().clear();
    store.add(260, NOW).await;
    let stop = tokio::time::sleep(Duration::from_secs(70));
    assert_eq!(cleanup.run_until(stop).await, 260);
    assert_eq!(store.limits(), [100, 50, 50, 50, 50]);

    // Not fewer, however long it takes, nor more than was said.
    *store.slow.lock().unwrap() = Duration::from_millis(10);
    store.calls.lock().unwrap().clear();
    store.add(110, NOW).await;
    let cleanup = SessionManager::new(store.clone()).cleanup();
    assert_eq!(cleanup.run_once().await.unwrap(), 110);
    store.add(60, NOW).await;
    assert_eq!(cleanup.batch(40).run_once().await.unwrap(), 60);
    assert_eq!(store.limits(), [100, 50, 40, 40]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_at_least_one() {
    let store = Watched::new(3).await;
    let cleanup = SessionManager::new(store.clone()).cleanup().batch(0);
    let round = tokio::time::timeout(EVERY, cleanup.run_once());
    assert_eq!(round.await.unwrap().unwrap(), 3);
    assert_eq!(store.limits(), [1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn it_waits_between_rounds_a_tenth_more_or_less() {
    let store = Watched::new(0).await;
    let cleanup = SessionManager::new(store.clone()).cleanup().every(EVERY);
    let begun = Instant::now();
    cleanup.run_until(tokio::time::sleep(EVERY * 200)).await;
    let waits = store.waits(begun);
    assert!((180..=222).contains(&waits.len()), "{}", waits.len());
    for wait in &waits {
        // A millisecond for the timer, five for the call before.
        let most = EVERY.mul_f64(1.1) + Duration::from_millis(6);
        assert!((EVERY.mul_f64(0.9)..=most).contains(wait), "{wait:?}");
    }
    // By chance, and not always the same way.
    assert!(waits.iter().any(|wait| *wait < EVERY.mul_f64(0.95)));
    assert!(waits.iter().any(|wait| *wait > EVERY.mul_f64(1.05)));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_store_ends_the_round_and_not_the_task() {
    let store = Watched::new(25).await;
    *store.failures.lock().unwrap() = 3;
    let cleanup = SessionManager::new(store.clone()).cleanup();
    let begun = Instant::now();
    let removed = cleanup.every(EVERY).batch(10);
    let removed = removed.run_until(tokio::time::sleep(EVERY * 6)).await;
    assert_eq!(removed, 25);
    assert_eq!(store.store.len(), 1);
    // It does not try again at once.
    for wait in &store.waits(begun)[..4] {
        assert!(*wait >= EVERY.mul_f64(0.9), "{wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_while_it_waits_and_says_how_many_it_removed() {
    let store = Watched::new(25).await;
    let cleanup = SessionManager::new(store.clone()).cleanup().every(EVERY);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(cleanup.run_until(async { stopped.await.unwrap_or(()) }));
    tokio::time::sleep(EVERY * 2).await;
    let asked = Instant::now();
    drop(stop);
    assert_eq!(task.await.unwrap(), 25);
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn it_stops_between_two_batches_and_never_in_one() {
    let store = Watched::new(1_000).await;
    let cleanup = SessionManager::new(store.clone()).cleanup();
    let (stop, stopped) = oneshot::channel::<()>();
    let cleanup = cleanup.every(EVERY).batch(10);
    let task = tokio::spawn(cleanup.run_until(async { stopped.await.unwrap_or(()) }));
    while store.limits().len() < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // In the middle of the fifth batch.
    drop(stop);
    assert_eq!(task.await.unwrap(), 50);
    assert_eq!(store.store.len(), 951);
    assert_eq!(store.limits(), [10; 5]);
}

#[tokio::test(start_paused = true)]
async fn what_expires_later_is_removed_by_a_later_round() {
    let store = Watched::new(5).await;
    let cleanup = SessionManager::new(store.clone()).cleanup().every(EVERY);
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(cleanup.run_until(async { stopped.await.unwrap_or(()) }));
    tokio::time::sleep(EVERY * 2).await;
    assert_eq!(store.store.len(), 1);
    store.add(7, NOW).await;
    tokio::time::sleep(EVERY * 2).await;
    assert_eq!(store.store.len(), 1);
    stop.send(()).unwrap();
    assert_eq!(task.await.unwrap(), 12);
}

#[tokio::test(start_paused = true)]
async fn its_interval_is_a_minute_unless_set() {
    let store = Watched::new(600).await;
    let cleanup = SessionManager::new(store.clone()).cleanup();
    let begun = Instant::now();
    cleanup
        .run_until(tokio::time::sleep(Duration::from_secs(100)))
        .await;
    assert_eq!(store.limits(), [100, 200, 400]);
    let first = store.waits(begun)[0];
    assert!((54..=67).contains(&first.as_secs()), "{first:?}");
}
