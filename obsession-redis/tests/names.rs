//! Host names are looked up again when a connection is made again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{create, prefix, record, rewritten};
use obsession_core::{Create, Record, SessionStore, Update};
use obsession_redis::RedisStore;
use obsession_redis::redis::io::AsyncDNSResolver;
use obsession_redis::redis::{ErrorKind, RedisError, RedisFuture};
use testing::{RedisCluster, RedisSentinel, RedisServer};

/// Says that `sessions.test` is wherever it is told, and that `localhost` is here; and remembers what
/// it was asked.
#[derive(Clone, Default)]
struct Names {
    sessions: Arc<Mutex<u16>>,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Names {
    fn lead_to(&self, server: &RedisServer) {
        *self.sessions.lock().unwrap() = server.port();
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<(String, u16)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    async fn store(&self, url: &str) -> RedisStore {
        let builder = RedisStore::builder(url).prefix(&prefix());
        builder.resolver(self.clone()).connect().await.unwrap()
    }
}

impl AsyncDNSResolver for Names {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        self.asked.lock().unwrap().push((host.to_owned(), port));
        let found = match host {
            "sessions.test" => Some(*self.sessions.lock().unwrap()),
            "localhost" | "127.0.0.1" => Some(port),
            _ => None,
        };
        Box::pin(async move {
            let port = found.ok_or_else(|| RedisError::from((ErrorKind::Io, "no such name")))?;
            let found = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            Ok(Box::new(std::iter::once(found)) as Box<dyn Iterator<Item = _> + Send>)
        })
    }
}

async fn is_written(store: &RedisStore, old: &Record) -> Record {
    let next = rewritten(old, b"next");
    let updated = store.update(old.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
    next
}

/// As a managed Redis does it: the master becomes a replica, or is away, and the name leads elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_another_server_is_followed() {
    let first = RedisServer::start(&[]).unwrap();
    let mut second = RedisServer::start(&[("repl-diskless-sync-delay", "0")]).unwrap();
    let names = Names::default();
    names.lead_to(&first);
    let store = names.store("redis://sessions.test").await;
    assert_eq!(names.asked(), [("sessions.test".to_owned(), 6379)]);
    let old = record(1);
    create(&store, &old).await;
    assert_eq!(names.asked(), [], "a connection is kept");

    // The other server takes over, with what is there.
    let follow = |server: &RedisServer, master: &RedisServer| {
        let port = master.port().to_string();
        server.ask(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    };
    follow(&second, &first);
    let until = Instant::now() + Duration::from_secs(30);
    while !first
        .text(&["INFO", "replication"])
        .contains("state=online")
        || !second
            .text(&["INFO", "replication"])
            .contains("master_link_status:up")
    {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.ask(&["WAIT", "1", "5000"]).unwrap();
    second.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    follow(&first, &second);
    names.lead_to(&second);
    let old = is_written(&store, &old).await;
    assert_eq!(names.asked(), [("sessions.test".to_owned(), 6379)]);
    assert_eq!(store.load(&old.key).await.unwrap(), Some(old));

    // And is started again on another address.
    second.kill();
    let third = RedisServer::start(&[]).unwrap();
    names.lead_to(&third);
    let new = record(2);
    let until = Instant::now() + Duration::from_secs(5);
    while store.create(&new).await.is_err() {
        assert!(Instant::now() < until);
    }
    assert_eq!(names.asked(), [("sessions.test".to_owned(), 6379)]);
    assert_eq!(third.text(&["DBSIZE"]), "2", "the record and its deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_that_sentinels_give_are_looked_up_at_every_failover() {
    let mut servers = RedisSentinel::start_named(&[]).unwrap();
    let names = Names::default();
    let url = servers.url().replace("127.0.0.1", "localhost");
    let store = names.store(&url).await;
    let old = ("localhost".to_owned(), servers.servers[0].port());
    assert_eq!(names.asked(), std::slice::from_ref(&old));
    servers.servers[0].kill();
    let until = Instant::now() + Duration::from_secs(30);
    while store.create(&record(1)).await.is_err() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let new = ("localhost".to_owned(), servers.master());
    assert_ne!(new, old);
    assert_eq!(names.asked().last(), Some(&new));
    assert_eq!(
        store.create(&record(2)).await.unwrap(),
        Create::Created,
        "and goes on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_of_a_cluster_are_looked_up_as_well() {
    let cluster = RedisCluster::start(&[]).unwrap();
    let names = Names::default();
    names.lead_to(&cluster.nodes[0]);
    let store = names.store("redis+cluster://sessions.test").await;
    for n in 0..16 {
        create(&store, &record(n)).await;
    }
    let asked = names.asked();
    assert!(asked.contains(&("sessions.test".to_owned(), 6379)));
    for node in &cluster.nodes[..3] {
        let known = |(_, port): &(String, u16)| *port == node.port();
        assert!(asked.iter().any(known) || node.port() == cluster.nodes[0].port());
    }
}
