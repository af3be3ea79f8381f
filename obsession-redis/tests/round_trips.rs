//! What a request costs the server, counted by the server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use obsession_core::{Lifetime, Record, SessionManager, SessionStore};
use testing::{RedisCluster, RedisServer};

/// What scripts call; the rest was sent.
const INSIDE: [&str; 10] = [
    "del",
    "get",
    "pexpire",
    "pttl",
    "set",
    "setrange",
    "zadd",
    "zrem",
    "zremrangebyscore",
    "time",
];

/// What servers and set-up say among themselves.
const OTHERS: [&str; 4] = ["cluster|slots", "psync", "replconf", "zcard"];

/// How many commands the servers were sent, and which.
fn sent(servers: &[RedisServer]) -> (u64, String) {
    let (mut sum, mut names) = (0, Vec::new());
    for server in servers {
        for (name, calls) in server.calls() {
            if !INSIDE.contains(&&*name) && !OTHERS.contains(&&*name) {
                sum += calls;
                names.push(format!("{calls} {name}"));
            }
        }
        server.ask(&["CONFIG", "RESETSTAT"]).unwrap();
    }
    (sum, names.join(", "))
}

/// The scenarios of a request, each with how many commands it sent.
async fn scenarios(
    store: obsession_redis::RedisStore,
    servers: &[RedisServer],
) -> Vec<(&'static str, u64)> {
    let manager = SessionManager::builder_indexed(store.clone())
        .lifetime(Lifetime::new(
            Duration::from_secs(1800),
            Duration::from_secs(86_400),
        ))
        .build();
    let mut counted = Vec::new();
    let mut count = |name| {
        let (commands, names) = sent(servers);
        println!("{name}: {commands} ({names})");
        counted.push((name, commands));
    };
    // The scripts are known to every server after this, as they are in a service that runs.
    for symbol in "ADGJMPSVYbehknqtwz258.".chars() {
        let record = Record {
            key: format!("AAAAAAAAAAAAAAA{symbol}").parse().unwrap(),
            ..common::of(&format!("warm {symbol}"), common::record(0))
        };
        common::create(&store, &record).await;
        let next = common::rewritten(&record, b"");
        let _ = store.update(record.revision, &next).await.unwrap();
        let _ = common::touch(&store, &next, next.expires_at).await.unwrap();
        let _ = store.delete(&record.key).await.unwrap();
    }
    sent(servers);

    let untouched = manager.open(None);
    let _ = untouched.finish(true).await.unwrap();
    count("untouched");

    let session = manager.open(None);
    session.insert("cart", "quince").unwrap();
    let _ = session.finish(true).await.unwrap();
    count("new");

    let id = session.id().await.unwrap();
    let session = manager.open(id.clone());
    session.get::<String>("cart").await.unwrap();
    let _ = session.finish(true).await.unwrap();
    count("read");

    let session = manager.open(id.clone());
    session.get::<String>("cart").await.unwrap();
    session.insert("cart", "medlar").unwrap();
    let _ = session.finish(true).await.unwrap();
    count("read and write");

    let session = manager.open(id);
    session.sign_in("zoë").unwrap();
    let _ = session.finish(true).await.unwrap();
    count("login");

    let id = session.id().await.unwrap();
    let session = manager.open(id.clone());
    session.insert("cart", "sorb").unwrap();
    let _ = session.finish(true).await.unwrap();
    count("read and write, signed in");

    let session = manager.open(id);
    session.delete().await.unwrap();
    let _ = session.finish(true).await.unwrap();
    count("delete");
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sends_as_few_commands_as_it_can() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let counted = scenarios(store, std::slice::from_ref(&server)).await;
    let expected = [
        ("untouched", 0),
        ("new", 1),
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
        // Load, an update that finds the index missing (and makes sure, inside, that it asked a
        // master), the index, the update.
        ("login", 5),
        ("read and write, signed in", 2),
        ("delete", 2),
    ];
    assert_eq!(counted, expected);
}
