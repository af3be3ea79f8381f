//! A store on clients and connections that the application made itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{create, of, prefix, record, rewritten};
use obsession_core::{SessionIndex, SessionStore, Update};
use obsession_redis::redis::Client;
use obsession_redis::redis::cluster::ClusterClientBuilder;
use obsession_redis::redis::sentinel::{SentinelClient, SentinelServerType};
use obsession_redis::{ConnectError, RedisStore, Source};
use testing::{RedisCluster, RedisSentinel, RedisServer};

async fn works(source: impl Into<Source>) {
    let builder = RedisStore::builder(source).prefix(&prefix());
    let store = builder.connect().await.unwrap();
    let old = of("zoë", record(1));
    create(&store, &old).await;
    let next = rewritten(&old, b"next");
    assert_eq!(
        store.update(old.revision, &next).await.unwrap(),
        Update::Updated
    );
    assert_eq!(store.list("zoë", None, 10).await.unwrap(), [next]);
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_by_its_client_and_by_a_connection() {
    let server = RedisServer::start(&[]).unwrap();
    let client = Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    works(client).await;
    works(connection.clone()).await;
    works(Source::ready(connection)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_by_a_client_of_sentinels() {
    let servers = RedisSentinel::start(&[]).unwrap();
    let urls: Vec<_> = servers.sentinels.iter().map(RedisServer::url).collect();
    let kind = SentinelServerType::Master;
    works(SentinelClient::build(urls, String::from("main"), None, kind).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_by_its_builder_and_by_a_connection() {
    let cluster = RedisCluster::start(&[]).unwrap();
    let builder = || ClusterClientBuilder::new(cluster.nodes.iter().map(RedisServer::url));
    works(builder()).await;
    let client = builder().retries(0).build().unwrap();
    let connection = client.get_async_connection().await.unwrap();
    works(connection.clone()).await;
    works(Source::ready(connection)).await;
}

/// Left as it is built by itself, a client sends an update again whose connection was lost, and its
/// second answer is a conflict with the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_cluster_that_sends_commands_again_is_refused() {
    let cluster = RedisCluster::start(&[]).unwrap();
    for retries in [None, Some(1)] {
        let mut builder = ClusterClientBuilder::new(cluster.nodes.iter().map(RedisServer::url));
        if let Some(retries) = retries {
            builder = builder.retries(retries);
        }
        let client = builder.build().unwrap();
        let connection = client.get_async_connection().await.unwrap();
        for source in [Source::from(connection.clone()), Source::ready(connection)] {
            let connected = RedisStore::builder(source).connect().await;
            assert!(matches!(connected, Err(ConnectError::Retries)));
        }
    }
    for node in &cluster.nodes {
        let left = node.ask(&["KEYS", "*"]).unwrap();
        assert_eq!(left, obsession_redis::redis::Value::Array(vec![]));
    }
}

#[tokio::test]
async fn a_prefix_with_a_brace_is_refused() {
    let connected = RedisStore::builder("redis://127.0.0.1:1")
        .prefix("{a}")
        .connect()
        .await;
    assert!(matches!(connected, Err(ConnectError::Prefix)));
}
