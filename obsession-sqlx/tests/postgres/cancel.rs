//! A call whose future is dropped leaves a before or an after, and no answer goes astray.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use obsession_core::{Record, SessionIndex, SessionStore, Touch, Update};
use obsession_sqlx::PostgresStore;
use testing::{PostgresServer, Random};
use tokio::time::timeout;

use crate::common::{self, create, of, record, rewritten};

const TASKS: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn no_cancelled_call_gives_its_answer_to_another() {
    let cancels = if common::full() { 200_000 } else { 10_000 };
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    let store = crate::store(&server).await;
    let (dropped, calls) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|n| {
        let (store, dropped, calls) = (store.clone(), Arc::clone(&dropped), Arc::clone(&calls));
        tokio::spawn(async move {
            let mut task = Task::new(store, n).await;
            while dropped.load(Ordering::Relaxed) < cancels {
                calls.fetch_add(1, Ordering::Relaxed);
                let ended = task.call().await;
                dropped.fetch_add(u64::from(!ended), Ordering::Relaxed);
            }
            task.check().await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    println!(
        "{} of {} calls were dropped in {:?}",
        dropped.load(Ordering::Relaxed),
        calls.load(Ordering::Relaxed),
        begun.elapsed()
    );
    let listed = store.list("zoë", None, 100).await.unwrap();
    assert_eq!(listed.len() as u64, TASKS);
    assert_eq!(store.count().await.unwrap(), TASKS);
    // The connections are the same as ever, and none is inside of anything.
    let states = "SELECT state, count(*) FROM pg_stat_activity \
                  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY state";
    assert_eq!(server.sql(states).unwrap(), "idle|3");
    let log = server.log();
    assert!(!log.contains("current transaction is aborted"), "{log}");
}

struct Task {
    store: PostgresStore,
    n: u64,
    random: Random,
    known: Record,
    /// What may have been written instead of what is known.
    maybe: Vec<Record>,
}

impl Task {
    async fn new(store: PostgresStore, n: u64) -> Self {
        let known = of("zoë", rewritten(&record(n), &n.to_be_bytes()));
        create(&store, &known).await;
        Self {
            store,
            n,
            random: Random::new(n),
            known,
            maybe: Vec::new(),
        }
    }

    /// Makes a call, and says whether it ended before patience did.
    async fn call(&mut self) -> bool {
        let patience = self
            .random
            .between(Duration::ZERO, Duration::from_micros(1500));
        let body = [self.n.to_be_bytes(), self.random.next().to_be_bytes()].concat();
        let (store, known) = (&self.store, &self.known);
        match self.random.next() % 4 {
            0 => {
                let Ok(loaded) = timeout(patience, store.load(&known.key)).await else {
                    return false;
                };
                let loaded = loaded.unwrap().unwrap();
                assert_eq!(
                    loaded.body[..8],
                    self.n.to_be_bytes(),
                    "the body of another"
                );
                assert!(self.is_possible(&loaded), "never written");
            }
            1 => {
                let touch = store.touch(&known.key, known.revision, known.expires_at);
                match timeout(patience, touch).await.map(Result::unwrap) {
                    Err(_) => return false,
                    Ok(Touch::Touched) => {}
                    Ok(Touch::Changed) => assert!(!self.maybe.is_empty(), "never written"),
                    Ok(Touch::Gone) => panic!("nobody ended it"),
                }
            }
            2 => {
                let Ok(listed) = timeout(patience, store.list("zoë", None, 3)).await else {
                    return false;
                };
                for record in listed.unwrap() {
                    let whose = u64::from_str_radix(record.key.as_str(), 16).unwrap();
                    assert_eq!(record.body[..8], whose.to_be_bytes());
                }
            }
            _ => {
                let next = rewritten(known, &body);
                let update = store.update(known.revision, &next);
                match timeout(patience, update).await.map(Result::unwrap) {
                    Err(_) => {
                        self.maybe.push(next);
                        return false;
                    }
                    Ok(Update::Updated) => self.learn(next),
                    Ok(Update::Conflict(current)) => {
                        assert!(self.maybe.contains(&current), "never written");
                        self.learn(current);
                    }
                    Ok(Update::Gone) => panic!("nobody ended it"),
                }
            }
        }
        true
    }

    fn learn(&mut self, current: Record) {
        (self.known, self.maybe) = (current, Vec::new());
    }

    fn is_possible(&self, found: &Record) -> bool {
        *found == self.known || self.maybe.contains(found)
    }

    async fn check(&self) {
        let last = self.store.load(&self.known.key).await.unwrap().unwrap();
        assert!(self.is_possible(&last), "never written");
    }
}
