//! A connection that was lost while nobody used it: whoever comes next does not notice.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{create, kind, record, rewritten, touch};
use obsession_core::{Delete, Effect, SessionStore, Touch, Update};
use obsession_redis::{FailureKind, RedisStore};
use testing::{RedisCluster, RedisSentinel, RedisServer};

/// Has the servers end all connections of clients, as they do with idle ones that have a `timeout`,
/// and waits until that is noticed.
async fn cut(servers: &[RedisServer]) {
    for server in servers {
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// Every write on a connection that is not there any more.
async fn nothing_is_noticed(store: &RedisStore, servers: &[RedisServer]) {
    for n in 0..8 {
        let old = record(n);
        cut(servers).await;
        create(store, &old).await;
        let next = rewritten(&old, b"next");
        cut(servers).await;
        let updated = store.update(old.revision, &next).await;
        assert_eq!(updated.unwrap(), Update::Updated);
        cut(servers).await;
        let touched = touch(store, &next, next.expires_at).await;
        assert_eq!(touched.unwrap(), Touch::Touched);
        cut(servers).await;
        assert_eq!(store.delete(&old.key).await.unwrap(), Delete::Deleted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_server() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    nothing_is_noticed(&store, std::slice::from_ref(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_master_that_sentinels_name() {
    let servers = RedisSentinel::start(&[]).unwrap();
    let store = common::store(&servers.url()).await;
    nothing_is_noticed(&store, &servers.servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster() {
    let cluster = RedisCluster::start(&[]).unwrap();
    let store = common::store(&cluster.url()).await;
    nothing_is_noticed(&store, &cluster.nodes).await;
}

/// The older protocol has no word for it: nobody knows whether the write was still read.
#[tokio::test(flavor = "multi_thread")]
async fn by_who_speaks_resp2_is_unknown() {
    let server = RedisServer::start(&[]).unwrap();
    let url = format!("{}?protocol=resp2", server.url());
    let store = common::store(&url).await;
    let old = record(1);
    cut(std::slice::from_ref(&server)).await;
    let error = store.create(&old).await.unwrap_err();
    assert_eq!(
        (kind(&error), error.effect()),
        (FailureKind::Dropped, Effect::Unknown)
    );
    create(&store, &old).await;
}
