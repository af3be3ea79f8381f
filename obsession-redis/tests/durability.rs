//! What a killed server still has, by how it writes its append-only file.
//!
//! With `OBSESSION_FULL=1` each server is killed ten times.

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

/// Kills a server under load: how many acknowledged updates there were, and how many of them and of
/// the sessions are gone.
async fn kill(settings: &[(&str, &str)], seed: u64) -> (u64, u64, u64) {
    let mut server = RedisServer::start(settings).unwrap();
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
    let life = random.between(Duration::from_millis(300), Duration::from_millis(1500));
    tokio::time::sleep(life).await;
    server.kill();
    stop.store(true, Ordering::Relaxed);
    server.restart().unwrap();
    let (mut acknowledged, mut lost, mut gone) = (0, 0, 0);
    for (n, writer) in (0..).zip(writers) {
        let written = writer.await.unwrap();
        acknowledged += written;
        match store.load(&record(n).key).await.unwrap() {
            Some(found) => {
                let there = u64::from_be_bytes(found.body[..].try_into().unwrap());
                assert!(there <= written + 1, "it was never written");
                lost += written.saturating_sub(there);
            }
            None => gone += 1,
        }
    }
    (acknowledged, lost, gone)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_what_its_append_only_file_promises() {
    let kills = if common::full() { 10 } else { 1 };
    for (name, settings) in [
        ("off", &[][..]),
        (
            "everysec",
            &[("appendonly", "yes"), ("appendfsync", "everysec")],
        ),
        (
            "always",
            &[("appendonly", "yes"), ("appendfsync", "always")],
        ),
    ] {
        let (mut acknowledged, mut lost, mut gone) = (0, 0, 0);
        for seed in 0..kills {
            let outcome = kill(settings, seed).await;
            acknowledged += outcome.0;
            lost += outcome.1;
            gone += outcome.2;
        }
        println!(
            "append-only file {name}: {kills} kills, {acknowledged} updates acknowledged, {lost} of \
             them lost, {gone} of {} sessions gone",
            kills * WRITERS
        );
        match name {
            "off" => assert_eq!(gone, kills * WRITERS, "there is nothing on disk"),
            "always" => assert_eq!((lost, gone), (0, 0)),
            // Redis hands everything to the system before it answers, and the system lives on.
            _ => assert_eq!(gone, 0),
        }
    }
}
