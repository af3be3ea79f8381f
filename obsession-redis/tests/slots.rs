//! A slot that moves from one node of a Cluster to another while its sessions are used, and nodes
//! that go by names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::slice::from_ref;
use std::time::Duration;

use common::{create, of, record, rewritten, touch};
use obsession_core::{Create, Delete, Record, SessionIndex, SessionStore, Touch, Update};
use obsession_redis::RedisStore;
use testing::{RedisCluster, RedisServer};

async fn store(cluster: &RedisCluster) -> RedisStore {
    let builder = RedisStore::builder(cluster.url()).prefix("p:");
    let builder = builder.deadline(Duration::from_secs(5));
    builder.connect().await.unwrap()
}

/// A slot on its way.
struct Move<'a> {
    cluster: &'a RedisCluster,
    from: &'a RedisServer,
    to: &'a RedisServer,
    slot: String,
}

impl<'a> Move<'a> {
    /// Begins to move the slot of this tag from the last master to the first.
    fn begin(cluster: &'a RedisCluster, tag: &str) -> Self {
        let (from, to) = (&cluster.nodes[2], &cluster.nodes[0]);
        let slot = from.ask(&["CLUSTER", "KEYSLOT", tag]).unwrap();
        let slot: u16 = obsession_redis::redis::from_redis_value(slot).unwrap();
        let slot = slot.to_string();
        let id = |node: &RedisServer| node.text(&["CLUSTER", "MYID"]);
        for (node, doing, other) in [(to, "IMPORTING", id(from)), (from, "MIGRATING", id(to))] {
            let words = ["CLUSTER", "SETSLOT", &slot, doing, &other];
            node.ask(&words).unwrap();
        }
        Self {
            cluster,
            from,
            to,
            slot,
        }
    }

    /// Moves these keys.
    fn keys(&self, keys: &[&str]) {
        let port = self.to.port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        self.from.ask(&[&words[..], keys].concat()).unwrap();
    }

    fn end(self) {
        let id = self.to.text(&["CLUSTER", "MYID"]);
        for node in [self.to, self.from, &self.cluster.nodes[1]] {
            let words = ["CLUSTER", "SETSLOT", &self.slot, "NODE", &id];
            node.ask(&words).unwrap();
        }
    }
}

/// Every operation on a session that is there.
async fn is_used(store: &RedisStore, old: &Record) -> Record {
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(old));
    let next = rewritten(old, b"next");
    let updated = store.update(old.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
    let conflict = store.update(old.revision, &rewritten(old, b"late")).await;
    assert_eq!(conflict.unwrap(), Update::Conflict(next.clone()));
    let later = next.expires_at.saturating_add(Duration::from_secs(60));
    let touched = touch(store, &next, later).await.unwrap();
    assert_eq!(touched, Touch::Touched);
    assert_eq!(store.count().await.unwrap(), 1);
    let next = Record {
        expires_at: later,
        ..next
    };
    assert_eq!(store.scan(None, 10).await.unwrap(), from_ref(&next));
    assert_eq!(store.load(&record(0x11).key).await.unwrap(), None);
    next
}

/// The rest: a new session of the same slot, and an end.
async fn all_is_well(store: &RedisStore, old: &Record) {
    let new = of("yan", record(0x21));
    create(store, &new).await;
    assert_eq!(store.list("yan", None, 10).await.unwrap(), from_ref(&new));
    for key in [new.key, old.key] {
        assert_eq!(store.delete(&key).await.unwrap(), Delete::Deleted);
        assert_eq!(store.delete(&key).await.unwrap(), Delete::Gone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_used_while_its_slot_moves_and_afterwards() {
    let cluster = RedisCluster::start(&[]).unwrap();
    let store = store(&cluster).await;
    let old = record(1);
    create(&store, &old).await;
    // The tag of the shard whose keys end with a 1. Both of its keys are on the old node.
    let moving = Move::begin(&cluster, "22");
    let second = rewritten(&old, b"second");
    let updated = store.update(old.revision, &second).await.unwrap();
    assert_eq!(updated, Update::Updated);
    // One key is here and one is there, and the node asks for patience.
    moving.keys(&["p:{22}0000000000000001"]);
    let third = rewritten(&old, b"third");
    let patient = {
        let (store, third) = (store.clone(), third.clone());
        tokio::spawn(async move { store.update(second.revision, &third).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!patient.is_finished());
    moving.keys(&["p:{22}deadlines"]);
    assert_eq!(patient.await.unwrap().unwrap(), Update::Updated);
    // The old node sends each call on to the new one, and says so with `ASK`.
    let old = is_used(&store, &third).await;
    // A new session is a key that neither has, beside one that has moved: both ask for patience.
    let new = record(0x11);
    let patient = {
        let (store, new) = (store.clone(), new.clone());
        tokio::spawn(async move { store.create(&new).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!patient.is_finished());
    moving.end();
    assert_eq!(patient.await.unwrap().unwrap(), Create::Created);
    assert_eq!(store.delete(&new.key).await.unwrap(), Delete::Deleted);
    // And now with `MOVED`.
    let old = is_used(&store, &old).await;
    all_is_well(&store, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_of_a_cluster_may_go_by_a_name() {
    let settings = [
        ("cluster-announce-hostname", "localhost"),
        ("cluster-preferred-endpoint-type", "hostname"),
    ];
    let alone = RedisServer::start(&[]).unwrap();
    let version = alone.text(&["INFO", "server"]);
    if version.contains("redis_version:6.2.") {
        // The one release that is supported and has no names for nodes.
        let refused = RedisServer::start(&settings).unwrap_err().to_string();
        assert!(refused.contains("cluster-announce-hostname"), "{refused}");
        return;
    }
    let cluster = RedisCluster::start(&settings).unwrap();
    let store = store(&cluster).await;
    let old = record(1);
    create(&store, &old).await;
    let said = cluster.nodes[0].ask(&["GET", "p:{22}0000000000000001"]);
    let said = said.unwrap_err().to_string();
    assert!(said.contains("localhost:"), "{said}");
    let moving = Move::begin(&cluster, "22");
    moving.keys(&["p:{22}0000000000000001", "p:{22}deadlines"]);
    let old = is_used(&store, &old).await;
    moving.end();
    let old = is_used(&store, &old).await;
    all_is_well(&store, &old).await;
}
