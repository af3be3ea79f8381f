//! What a server still has that was killed, or whose machine has lost power, by how it writes its
//! append-only file.
//!
//! With `OBSESSION_FULL=1` each server ends ten times.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{create, record, rewritten};
use obsession_core::{SessionStore, Update};
use obsession_redis::RedisStore;
use testing::{Random, RedisServer};

const WRITERS: u64 = 16;

/// What came of ends of servers.
#[derive(Default)]
struct Outcome {
    ends: u64,
    acknowledged: u64,
    /// Updates that were acknowledged and are gone.
    lost: u64,
    /// The most of one end.
    most: u64,
    /// Sessions that are gone.
    gone: u64,
}

/// Ends a server under load, after a time in milliseconds that is drawn from a range, and starts it
/// again.
async fn end(
    mut server: RedisServer,
    life: [u64; 2],
    seed: u64,
    end: fn(&mut RedisServer),
    outcome: &mut Outcome,
) {
    let builder = RedisStore::builder(server.url()).deadline(Duration::from_secs(5));
    let store = builder.connect().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..WRITERS).map(|n| {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut known = rewritten(&record(n), &0_u64.to_be_bytes());
            create(&store, &known).await;
            let mut written = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let next = rewritten(&known, &(written + 1).to_be_bytes());
                match store.update(known.revision, &next).await {
                    Ok(Update::Updated) => (known, written) = (next, written + 1),
                    Ok(answer) => panic!("{answer:?}"),
                    Err(_) => break,
                }
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut random = Random::new(seed);
    let [from, to] = life.map(Duration::from_millis);
    tokio::time::sleep(random.between(from, to)).await;
    end(&mut server);
    stop.store(true, Ordering::Relaxed);
    server.restart().unwrap();
    let lost_before = outcome.lost;
    for (n, writer) in (0..).zip(writers) {
        let written = writer.await.unwrap();
        outcome.acknowledged += written;
        match store.load(&record(n).key).await.unwrap() {
            Some(found) => {
                let there = u64::from_be_bytes(found.body[..].try_into().unwrap());
                assert!(there <= written + 1, "it was never written");
                outcome.lost += written.saturating_sub(there);
            }
            None => outcome.gone += 1,
        }
    }
    outcome.ends += 1;
    outcome.most = outcome.most.max(outcome.lost - lost_before);
}

fn appending(fsync: &str) -> [(&str, &str); 2] {
    [("appendonly", "yes"), ("appendfsync", fsync)]
}

fn ends() -> u64 {
    if common::full() { 10 } else { 1 }
}

fn say(what: &str, outcome: &Outcome) {
    println!(
        "{what}: {} times, {} updates acknowledged, {} of them lost (at most {} at once), {} of {} \
         sessions gone",
        outcome.ends,
        outcome.acknowledged,
        outcome.lost,
        outcome.most,
        outcome.gone,
        outcome.ends * WRITERS
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_what_its_append_only_file_promises() {
    for (name, settings) in [
        ("off", &[][..]),
        ("everysec", &appending("everysec")),
        ("always", &appending("always")),
    ] {
        let mut outcome = Outcome::default();
        for seed in 0..ends() {
            let server = RedisServer::start(settings).unwrap();
            end(server, [2500, 3500], seed, RedisServer::kill, &mut outcome).await;
        }
        say(&format!("killed, append-only file {name}"), &outcome);
        match name {
            "off" => assert_eq!(outcome.gone, ends() * WRITERS, "there is nothing on disk"),
            "always" => assert_eq!((outcome.lost, outcome.gone), (0, 0)),
            // It keeps what it has acknowledged to itself while a sync is under way, for two seconds at
            // most.
            _ => assert_eq!(outcome.gone, 0, "they were made seconds before"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_power_has_what_it_had_synced() {
    for fsync in ["everysec", "always"] {
        let mut outcome = Outcome::default();
        for seed in 0..ends() {
            let server = RedisServer::start_mortal(&appending(fsync)).unwrap();
            let cut = |server: &mut RedisServer| {
                server.lose_power().unwrap();
            };
            end(server, [2500, 3500], seed, cut, &mut outcome).await;
        }
        say(&format!("lost power, appendfsync {fsync}"), &outcome);
        assert_eq!(outcome.gone, 0, "they were made seconds before");
        match fsync {
            "always" => assert_eq!(outcome.lost, 0),
            // It answers before it has synced. Without a loss the test would not have cut anything.
            _ => assert!(outcome.lost > 0),
        }
    }
}
