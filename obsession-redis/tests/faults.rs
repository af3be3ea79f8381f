//! A network that misbehaves: every call ends by its deadline, and afterwards everything is right.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::{create, kind, prefix, record, rewritten};
use obsession_core::{Create, Delete, Effect, SessionStore, Update};
use obsession_redis::redis::cluster::{ClusterClientBuilder, NodeAddress};
use obsession_redis::{FailureKind, RedisStore};
use testing::behaviour::{all_is_well, ends_in_time, recovered};
use testing::{Mode, Proxy, RedisCluster, RedisServer};

const DEADLINE: Duration = Duration::from_millis(300);
/// How much later a call may end on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

async fn store(proxy: &Proxy) -> RedisStore {
    let builder = RedisStore::builder(proxy.url()).prefix(&prefix());
    builder.deadline(DEADLINE).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_and_a_crumbling_network_change_nothing() {
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let store = store(&proxy).await;
    all_is_well(&store, 1).await;
    proxy.set(Mode::Delay(Duration::from_millis(20)));
    all_is_well(&store, 2).await;
    proxy.set(Mode::Slice);
    let small = record(3);
    create(&store, &small).await;
    assert_eq!(store.load(&small.key).await.unwrap(), Some(small));
    proxy.set(Mode::Pass);
    all_is_well(&store, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_too_slow_is_left_at_the_deadline() {
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let store = store(&proxy).await;
    proxy.set(Mode::Delay(DEADLINE * 3));
    ends_in_time(&store, 1, DEADLINE + SLACK).await;
    proxy.set(Mode::Pass);
    recovered(&store).await;
    // What was under way may have arrived.
    tokio::time::sleep(DEADLINE * 6).await;
    let _ = store.delete(&record(1).key).await.unwrap();
    all_is_well(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_swallows_everything_is_left_for_a_new_connection() {
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let store = store(&proxy).await;
    all_is_well(&store, 1).await;
    proxy.set(Mode::HalfOpen);
    let error = store.create(&record(2)).await.unwrap_err();
    assert_eq!(
        (kind(&error), error.effect()),
        (FailureKind::Late, Effect::Unknown)
    );
    ends_in_time(&store, 1, DEADLINE + SLACK).await;
    proxy.set(Mode::Pass);
    recovered(&store).await;
    all_is_well(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_is_unknown_and_recognised_when_asked_again() {
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let store = store(&proxy).await;
    let first = record(1);
    proxy.set(Mode::CutAnswers);
    let error = store.create(&first).await.unwrap_err();
    assert_eq!(
        (kind(&error), error.effect()),
        (FailureKind::Dropped, Effect::Unknown)
    );
    proxy.set(Mode::Pass);
    assert_eq!(store.create(&first).await.unwrap(), Create::Created);
    let second = rewritten(&first, b"second");
    proxy.set(Mode::CutAnswers);
    let error = store.update(first.revision, &second).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    proxy.set(Mode::Pass);
    assert_eq!(
        store.update(first.revision, &second).await.unwrap(),
        Update::Updated
    );
    assert_eq!(store.load(&first.key).await.unwrap(), Some(second));
    // A load is asked again by itself, on a new connection.
    proxy.set(Mode::CutAnswers);
    let loading = {
        let store = store.clone();
        tokio::spawn(async move { store.load(&record(1).key).await })
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    proxy.set(Mode::Pass);
    drop(loading.await.unwrap());
    all_is_well(&store, 2).await;
}

/// By itself the `redis` crate sends a command of a Cluster again whose connection was lost. A delete
/// that was carried out would then be said to have found nothing, and an update that was carried out
/// be taken for somebody else's, and made again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_twice_to_a_cluster() {
    let cluster = RedisCluster::start(&[]).unwrap();
    let (mut proxies, mut ways) = (Vec::new(), HashMap::new());
    for node in &cluster.nodes {
        let proxy = Proxy::start(node.port()).await.unwrap();
        let address = |port| NodeAddress::try_from(format!("127.0.0.1:{port}").as_str()).unwrap();
        ways.insert(address(node.port()), address(proxy.port()));
        proxies.push(proxy);
    }
    let nodes = proxies.iter().map(Proxy::url);
    let client = ClusterClientBuilder::new(nodes).node_address_map(ways);
    let builder = RedisStore::builder(client).prefix(&prefix());
    let store = builder.connect().await.unwrap();
    for n in 0..3 {
        let old = record(n);
        create(&store, &old).await;
        let next = rewritten(&old, b"next");
        let calls = {
            let (store, next) = (store.clone(), next.clone());
            async move {
                let updated = store.update(old.revision, &next).await;
                (updated, store.delete(&next.key).await)
            }
        };
        for proxy in &proxies {
            proxy.set(Mode::CutAnswers);
        }
        let calls = tokio::spawn(calls);
        tokio::time::sleep(Duration::from_millis(100)).await;
        for proxy in &proxies {
            proxy.set(Mode::Pass);
        }
        let (updated, deleted) = calls.await.unwrap();
        assert_eq!(updated.unwrap_err().effect(), Effect::Unknown);
        // It may have been sent after the network was well again, and only once.
        if let Ok(deleted) = deleted {
            assert_eq!(deleted, Delete::Deleted);
        }
        recovered(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_has_sent_nothing() {
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let store = store(&proxy).await;
    proxy.set(Mode::Refuse);
    // The old connection is found dead by the first.
    store.load(&record(1).key).await.unwrap_err();
    let error = store.create(&record(1)).await.unwrap_err();
    assert_eq!(
        (kind(&error), error.effect()),
        (FailureKind::Unreachable, Effect::NotApplied)
    );
    ends_in_time(&store, 1, DEADLINE + SLACK).await;
    proxy.set(Mode::Pass);
    // A connection may be on its way that was refused.
    recovered(&store).await;
    all_is_well(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_that_hangs_stops_only_what_is_on_it() {
    let cluster = RedisCluster::start(&[("cluster-node-timeout", "60000")]).unwrap();
    let builder = RedisStore::builder(cluster.url()).prefix(&prefix());
    let store = builder.deadline(DEADLINE).connect().await.unwrap();
    // The last character decides where a record is: digits are on the last node, letters on the
    // one before.
    for n in 0..16 {
        create(&store, &record(n)).await;
    }
    cluster.nodes[2].freeze(true);
    for n in 0..16 {
        let started = Instant::now();
        match store.load(&record(n).key).await {
            Ok(found) => assert!(n >= 10 && found.is_some(), "{n}"),
            Err(error) => assert!(n < 10 && kind(&error) == FailureKind::Late, "{error:?}"),
        }
        let took = started.elapsed();
        assert!(took < DEADLINE + SLACK, "{took:?}");
    }
    cluster.nodes[2].freeze(false);
    recovered(&store).await;
    for n in 0..16 {
        assert!(store.load(&record(n).key).await.unwrap().is_some());
    }
}
