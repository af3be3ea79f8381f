//! What `check` says about servers that are as they should be, and about others.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{create, of, record};
use obsession_redis::{RedisStore, Verdict};
use testing::{RedisCluster, RedisServer};

async fn verdict(store: &RedisStore, name: &str) -> Verdict {
    let report = store.check().await;
    println!("{report}\n");
    report.get(name).unwrap().verdict
}

#[tokio::test]
async fn all_is_well_on_a_server_that_keeps_what_it_is_given() {
    let server = RedisServer::start(&[("appendonly", "yes")]).unwrap();
    let store = common::store(&server.url()).await;
    for n in 0..20 {
        create(&store, &of("zoë", record(n))).await;
    }
    let report = store.check().await;
    for check in &report.checks {
        assert_eq!(check.verdict, Verdict::Ok, "{check}");
    }
    assert_eq!(report.to_string().lines().count(), 6);
}

#[tokio::test]
async fn a_policy_that_drops_sessions_is_a_warning() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    assert_eq!(verdict(&store, "eviction").await, Verdict::Ok);
    server
        .ask(&["CONFIG", "SET", "maxmemory", "100mb"])
        .unwrap();
    assert_eq!(verdict(&store, "eviction").await, Verdict::Ok);
    server
        .ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .unwrap();
    assert_eq!(verdict(&store, "eviction").await, Verdict::Warning);
}

#[tokio::test]
async fn a_server_that_keeps_nothing_on_disk_is_a_warning() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    assert_eq!(verdict(&store, "persistence").await, Verdict::Warning);
    server.ask(&["CONFIG", "SET", "appendonly", "yes"]).unwrap();
    assert_eq!(verdict(&store, "persistence").await, Verdict::Ok);
}

#[tokio::test]
async fn sessions_without_an_end_or_lost_or_not_listed_are_warnings() {
    let server = RedisServer::start(&[]).unwrap();
    let builder = RedisStore::builder(server.url()).prefix("s:");
    let store = builder.connect().await.unwrap();
    for n in 0..3 {
        create(&store, &of("zoë", record(n))).await;
    }
    let names = server.ask(&["KEYS", "s:{*0000*"]).unwrap();
    let names: Vec<String> = obsession_redis::redis::from_redis_value(names).unwrap();
    server.ask(&["PERSIST", &names[0]]).unwrap();
    assert_eq!(verdict(&store, "expiry").await, Verdict::Warning);
    server.ask(&["PEXPIRE", &names[0], "100000"]).unwrap();
    assert_eq!(verdict(&store, "expiry").await, Verdict::Ok);

    assert_eq!(verdict(&store, "index").await, Verdict::Ok);
    server.ask(&["DEL", &names[0]]).unwrap();
    assert_eq!(verdict(&store, "index").await, Verdict::Warning);
    server.ask(&["FLUSHALL"]).unwrap();
    create(&store, &of("zoë", record(1))).await;
    server.ask(&["DEL", "s:subject{}:zoë"]).unwrap();
    assert_eq!(verdict(&store, "index").await, Verdict::Warning);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_a_warning() {
    let server = RedisServer::start(&[]).unwrap();
    let clock = obsession_core::ManualClock::default();
    let builder = RedisStore::builder(server.url()).clock(clock);
    let store = builder.connect().await.unwrap();
    assert_eq!(verdict(&store, "clock").await, Verdict::Warning);
}

#[tokio::test]
async fn what_a_managed_server_hides_is_unknown() {
    let server = RedisServer::start(&[("appendonly", "yes")]).unwrap();
    let rights = ["ACL", "SETUSER", "default", "-info", "-config", "-time"];
    let store = common::store(&server.url()).await;
    server.ask(&rights).unwrap();
    for name in ["eviction", "persistence", "clock"] {
        assert_eq!(verdict(&store, name).await, Verdict::Unknown, "{name}");
    }
    server.ask(&["ACL", "SETUSER", "default", "-eval"]).unwrap();
    assert_eq!(verdict(&store, "scripts").await, Verdict::Warning);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_master_of_a_cluster_is_looked_at() {
    let cluster = RedisCluster::start(&[("appendonly", "yes")]).unwrap();
    let store = common::store(&cluster.url()).await;
    for n in 0..20 {
        create(&store, &of("zoë", record(n))).await;
    }
    let report = store.check().await;
    println!("{report}");
    assert!(
        report
            .checks
            .iter()
            .all(|check| check.verdict == Verdict::Ok)
    );
    let node = &cluster.nodes[1];
    node.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .unwrap();
    node.ask(&["CONFIG", "SET", "maxmemory", "100mb"]).unwrap();
    assert_eq!(verdict(&store, "eviction").await, Verdict::Warning);
}
