//! A call whose future is dropped leaves a before or an after, and no answer goes astray.
//!
//! With `OBSESSION_FULL=1` 200,000 are dropped.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{create, of, record, rewritten, touch};
use obsession_core::{SessionIndex, SessionStore, Touch, Update};
use testing::{Random, RedisServer};
use tokio::time::timeout;

const TASKS: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn no_cancelled_call_gives_its_answer_to_another() {
    let cancels = if common::full() { 200_000 } else { 10_000 };
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let (dropped, calls) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|n| {
        let (store, dropped, calls) = (store.clone(), Arc::clone(&dropped), Arc::clone(&calls));
        tokio::spawn(async move {
            let mut random = Random::new(n);
            let mut known = of("zoë", rewritten(&record(n), &n.to_be_bytes()));
            create(&store, &known).await;
            // What may have been written instead of what is known.
            let mut maybe = Vec::new();
            while dropped.load(Ordering::Relaxed) < cancels {
                calls.fetch_add(1, Ordering::Relaxed);
                let patience = random.between(Duration::ZERO, Duration::from_micros(900));
                let next = rewritten(
                    &known,
                    &[&n.to_be_bytes()[..], &random.next().to_be_bytes()].concat(),
                );
                let ended = match random.next() % 4 {
                    0 => timeout(patience, store.load(&known.key))
                        .await
                        .map(|loaded| {
                            let loaded = loaded.unwrap().unwrap();
                            assert_eq!(loaded.body[..8], n.to_be_bytes(), "the body of another");
                            assert!(loaded == known || maybe.contains(&loaded), "never written");
                        }),
                    1 => timeout(patience, touch(&store, &known, known.expires_at))
                        .await
                        .map(|touched| match touched.unwrap() {
                            Touch::Touched => {}
                            Touch::Changed => assert!(!maybe.is_empty(), "never written"),
                            Touch::Gone => panic!("nobody ended it"),
                        }),
                    2 => timeout(patience, store.list("zoë", None, 3))
                        .await
                        .map(|listed| {
                            for record in listed.unwrap() {
                                let whose = u64::from_str_radix(record.key.as_str(), 16).unwrap();
                                assert_eq!(record.body[..8], whose.to_be_bytes());
                            }
                        }),
                    _ => {
                        let update = store.update(known.revision, &next);
                        match timeout(patience, update).await {
                            Ok(Ok(Update::Updated)) => {
                                (known, maybe) = (next, Vec::new());
                                Ok(())
                            }
                            Ok(Ok(Update::Conflict(current))) => {
                                assert!(maybe.contains(&current), "never written");
                                (known, maybe) = (current, Vec::new());
                                Ok(())
                            }
                            Ok(answer) => panic!("{answer:?}"),
                            Err(late) => {
                                maybe.push(next);
                                Err(late)
                            }
                        }
                    }
                };
                dropped.fetch_add(u64::from(ended.is_err()), Ordering::Relaxed);
            }
            let last = store.load(&known.key).await.unwrap().unwrap();
            assert!(last == known || maybe.contains(&last), "never written");
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
    // All of them were on the one connection, and it is as good as new.
    let clients = server.text(&["CLIENT", "LIST"]);
    let ours = clients.lines().filter(|line| !line.contains("cmd=client"));
    assert_eq!(ours.count(), 1, "{clients}");
    assert_eq!(
        store.list("zoë", None, 100).await.unwrap().len() as u64,
        TASKS
    );
    assert_eq!(store.count().await.unwrap(), TASKS);
}
