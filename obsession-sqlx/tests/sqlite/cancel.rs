//! A call whose future is dropped leaves a before or an after, and no answer goes astray.
//!
//! With `OBSESSION_FULL=1` 200,000 are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use obsession_core::{SessionIndex, SessionStore, Touch, Update};
use testing::Random;
use tokio::time::timeout;

use crate::common::{create, full, in_an_hour, of, record, rewritten, touch};
use crate::file::File;

const TASKS: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn no_cancelled_call_gives_its_answer_to_another() {
    let cancels = if full() { 200_000 } else { 5_000 };
    let file = File::new();
    let builder = file.builder().deadline(Duration::from_secs(20));
    let store = builder.migrate().await.unwrap().connect().await.unwrap();
    let dropped = Arc::new(AtomicU64::new(0));
    let tasks = (0..TASKS).map(|n| {
        let (store, dropped) = (store.clone(), Arc::clone(&dropped));
        tokio::spawn(async move {
            let mut random = Random::new(n);
            let mut known = of("zoë", rewritten(&record(n), &n.to_be_bytes()));
            create(&store, &known).await;
            // What may have been written instead of what is known.
            let mut maybe = Vec::new();
            while dropped.load(Ordering::Relaxed) < cancels {
                let patience = random.between(Duration::ZERO, Duration::from_micros(900));
                let body = [&n.to_be_bytes()[..], &random.next().to_be_bytes()].concat();
                let next = rewritten(&known, &body);
                let ended = match random.next() % 4 {
                    0 => timeout(patience, store.load(&known.key))
                        .await
                        .map(|loaded| {
                            let loaded = loaded.unwrap().unwrap();
                            assert_eq!(loaded.body[..8], n.to_be_bytes(), "the body of another");
                            let same = |a: &obsession_core::Record| a.revision == loaded.revision;
                            assert!(same(&known) || maybe.iter().any(same), "never written");
                        }),
                    1 => timeout(patience, touch(&store, &known, in_an_hour()))
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
                                assert_eq!(record.subject.as_deref(), Some("zoë"));
                            }
                        }),
                    _ => match timeout(patience, store.update(known.revision, &next)).await {
                        Ok(Ok(Update::Updated)) => {
                            maybe.clear();
                            known = next;
                            Ok(())
                        }
                        Ok(Ok(Update::Conflict(current))) => {
                            let same = |a: &obsession_core::Record| a.revision == current.revision;
                            assert!(maybe.iter().any(same), "never written");
                            maybe.clear();
                            known = current;
                            Ok(())
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(late) => {
                            maybe.push(next);
                            Err(late)
                        }
                    },
                };
                if ended.is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    // All connections are at rest and of use: nobody holds a transaction open.
    let mut other = file.other().await;
    other.run("BEGIN IMMEDIATE; COMMIT").await;
    for n in 0..64 {
        create(&store, &record(1000 + n)).await;
        assert!(store.load(&record(1000 + n).key).await.unwrap().is_some());
    }
}
