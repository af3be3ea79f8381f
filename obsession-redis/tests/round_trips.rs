//! What a request costs the server, counted by the server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use obsession_core::{Create, Delete, Record, SessionStore, Touch, Update};
use obsession_redis::RedisStore;
use testing::behaviour::requests;
use testing::{RedisCluster, RedisMonitor, RedisServer};

/// Servers, and what clients send to them.
struct Watched<'a>(Vec<(&'a RedisServer, RedisMonitor)>);

impl<'a> Watched<'a> {
    fn new(servers: &'a [RedisServer]) -> Self {
        let monitors = servers.iter().map(|s| (s, RedisMonitor::start(s).unwrap()));
        Self(monitors.collect())
    }

    /// The commands since the last time.
    fn sent(&mut self) -> Vec<String> {
        let monitors = self.0.iter_mut();
        monitors.flat_map(|(s, m)| m.sent(s).unwrap()).collect()
    }
}

/// Has every server learn every script, and the store what it has learnt in a service that runs.
async fn warm(store: &RedisStore) {
    for symbol in ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(".-".chars())
    {
        let of_nobody = Record {
            key: format!("BBBBBBBBBBBBBBB{symbol}").parse().unwrap(),
            ..common::record(0)
        };
        common::create(store, &of_nobody).await;
    }
    // The first transaction asks whether there are any.
    let of_nobody = Record {
        key: "CCCCCCCCCCCCCCC.".parse().unwrap(),
        ..common::record(0)
    };
    common::create(store, &of_nobody).await;
    for symbol in "ADGJMPSVYbehknqtwz258.".chars() {
        let record = Record {
            key: format!("AAAAAAAAAAAAAAA{symbol}").parse().unwrap(),
            ..common::of(&format!("warm {symbol}"), common::record(0))
        };
        common::create(store, &record).await;
        // Once without having loaded it, and twice with.
        let mut next = common::rewritten(&record, b"");
        let _ = store.update(record.revision, &next).await.unwrap();
        for _ in 0..2 {
            let old = store.load(&record.key).await.unwrap().unwrap();
            next = common::rewritten(&record, b"");
            let _ = store.update(old.revision, &next).await.unwrap();
        }
        let _ = common::touch(store, &next, next.expires_at).await.unwrap();
        let _ = store.delete(&record.key).await.unwrap();
    }
}

/// The scenarios of a request, each with how many commands it sent.
async fn scenarios(store: RedisStore, servers: &[RedisServer]) -> Vec<(&'static str, usize)> {
    let mut counted = Vec::new();
    let mut watched = Watched::new(servers);
    let mut count = |name| {
        let commands = watched.sent();
        println!("{name}: {} ({})", commands.len(), commands.join(", "));
        counted.push((name, commands.len()));
    };
    warm(&store).await;
    count("scripts");

    requests(store, count).await;
    counted.split_off(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sends_as_few_commands_as_it_can() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let counted = scenarios(store, std::slice::from_ref(&server)).await;
    let expected = [
        ("untouched", 0),
        // In one piece, as `make.rs` shows.
        ("new", 5),
        ("read", 1),
        ("read and write", 2),
        ("login", 2),
        ("read and write, signed in", 2),
        ("delete", 2),
    ];
    assert_eq!(counted, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_a_login_enters_the_index_ahead_of_the_record() {
    let cluster = RedisCluster::start(&[]).unwrap();
    let store = common::store(&cluster.url()).await;
    let counted = scenarios(store, &cluster.nodes[..3]).await;
    let expected = [
        ("untouched", 0),
        ("new", 1),
        ("read", 1),
        ("read and write", 2),
        // Load, the index, the update.
        ("login", 3),
        ("read and write, signed in", 2),
        ("delete", 2),
    ];
    assert_eq!(counted, expected);
}

/// Every operation with each of its outcomes, and what it sent.
async fn operations(store: RedisStore, servers: &[RedisServer]) {
    warm(&store).await;
    let compares = common::compares(servers);
    let mut watched = Watched::new(servers);
    let mut sent = |commands: &str| assert_eq!(watched.sent().join(" "), commands);
    let (old, other) = (common::record(1), common::record(2));
    let next = common::rewritten(&old, b"next");
    let late = common::rewritten(&old, b"late");
    let later = old.expires_at.saturating_add(Duration::from_secs(1));

    // One server takes it in one piece.
    let made = match servers {
        [_] => "multi zadd pttl set exec",
        _ => "evalsha",
    };
    common::create(&store, &old).await;
    sent(made);
    let taken = store.create(&next).await.unwrap();
    assert_eq!(taken, Create::KeyTaken);
    // Which nobody has seen: the chance is 2^-96.
    sent(&format!("{made} evalsha"));
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    sent("getex");
    assert_eq!(store.load(&other.key).await.unwrap(), None);
    sent("getex");
    // The first one is of what was loaded.
    let usual = if compares { "set" } else { "evalsha" };
    for command in [usual, "evalsha"] {
        let updated = store.update(old.revision, &next).await.unwrap();
        assert_eq!(updated, Update::Updated);
        sent(command);
    }
    let conflict = store.update(old.revision, &late).await.unwrap();
    assert_eq!(conflict, Update::Conflict(next.clone()));
    sent("evalsha");
    let gone = store.update(other.revision, &other).await.unwrap();
    assert_eq!(gone, Update::Gone);
    sent("evalsha");
    for (seen, answer) in [
        (&next, Touch::Touched),
        (&old, Touch::Changed),
        (&other, Touch::Gone),
    ] {
        for at in [later, old.created_at] {
            let touched = common::touch(&store, seen, at).await.unwrap();
            assert_eq!(touched, answer);
            sent("evalsha");
        }
    }
    for answer in [Delete::Deleted, Delete::Gone] {
        assert_eq!(store.delete(&old.key).await.unwrap(), answer);
        sent("evalsha");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_one_round_trip_whatever_comes_of_it() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    operations(store, std::slice::from_ref(&server)).await;
    let cluster = RedisCluster::start(&[]).unwrap();
    let store = common::store(&cluster.url()).await;
    operations(store, &cluster.nodes[..3]).await;
}
