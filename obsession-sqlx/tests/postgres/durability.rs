//! A server that is killed under load has everything that it acknowledged, and the store goes on by
//! itself when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use obsession_core::{Record, SessionStore, Update};
use obsession_sqlx::PostgresStore;
use testing::{PostgresServer, Random};

use crate::common::{self, create, record, rewritten};

const WRITERS: u64 = 16;

/// A session, as its writer knows it.
struct Known {
    record: Record,
    /// What may have been written instead.
    maybe: Option<Record>,
    acknowledged: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_what_it_acknowledged() {
    let kills = if common::full() { 30 } else { 3 };
    let mut server = PostgresServer::start(&[]).unwrap();
    let store = crate::builder(&server).deadline(Duration::from_secs(3));
    let store = common::postgres::migrated(store).await;
    let mut random = Random::new(7);
    let mut known = Vec::new();
    for n in 0..WRITERS {
        let record = record(n);
        create(&store, &record).await;
        known.push(Known {
            record,
            maybe: None,
            acknowledged: 0,
        });
    }
    for _ in 0..kills {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = known
            .drain(..)
            .map(|known| tokio::spawn(write(store.clone(), known, Arc::clone(&stop))))
            .collect();
        let life = random.between(Duration::from_millis(100), Duration::from_millis(600));
        tokio::time::sleep(life).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            known.push(writer.await.unwrap());
        }
        server.restart().unwrap();
        for known in &mut known {
            let found = found_again(&store, &known.record).await;
            let is_known = found == known.record;
            let is_maybe = known.maybe.as_ref() == Some(&found);
            assert!(is_known || is_maybe, "lost: {:?}", known.record);
            (known.record, known.maybe) = (found, None);
        }
    }
    let acknowledged: u64 = known.iter().map(|known| known.acknowledged).sum();
    println!("{kills} kills, {acknowledged} updates acknowledged, none lost");
    assert!(acknowledged > kills * WRITERS, "there was no load");
}

/// Writes one session until the server is away.
async fn write(store: PostgresStore, mut known: Known, stop: Arc<AtomicBool>) -> Known {
    while !stop.load(Ordering::Relaxed) {
        let body = known.acknowledged.to_be_bytes();
        let next = rewritten(&known.record, &body);
        match store.update(known.record.revision, &next).await {
            Ok(Update::Updated) => {
                known.record = next;
                known.acknowledged += 1;
            }
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => {
                known.maybe = Some(next);
                break;
            }
        }
    }
    known
}

/// The store is the same one as before the kill.
async fn found_again(store: &PostgresStore, record: &Record) -> Record {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match store.load(&record.key).await {
            Ok(found) => return found.expect("it was acknowledged"),
            Err(error) => assert!(Instant::now() < until, "{error:?}"),
        }
    }
}
