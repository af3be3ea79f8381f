//! The usual create, of a session of nobody: a transaction of plain commands once the index of its
//! shard is known to be kept, else the script that keeps it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::LazyLock;
use std::time::Duration;

use common::{Monitored, kind, record, rewritten};
use obsession_core::{Create, Effect, Record, SessionIndex, SessionStore, Timestamp};
use obsession_redis::{FailureKind, RedisStore};
use testing::{Mode, Proxy};

const PLAIN: [&str; 5] = ["multi", "zadd", "pttl", "set", "exec"];

/// Sessions of one shard, that end one second after the other.
fn of_shard(n: u64) -> Record {
    static FIRST: LazyLock<Record> = LazyLock::new(|| record(1));
    Record {
        key: format!("AAAAAAAAAAAAA{n:02}.").parse().unwrap(),
        expires_at: later(&FIRST, n),
        ..FIRST.clone()
    }
}

/// A server and a store that has made one session.
struct At {
    server: Monitored,
    store: RedisStore,
}

impl At {
    async fn new() -> Self {
        let server = Monitored::start();
        let store = RedisStore::connect(&server.url()).await.unwrap();
        let mut at = Self { server, store };
        // Once by name, and once whole.
        assert_eq!(at.create(&of_shard(0)).await, Create::Created);
        assert_eq!(at.sent(), ["evalsha", "eval"]);
        // The server is asked whether it does transactions, and has the record already.
        assert_eq!(at.create(&of_shard(0)).await, Create::Created);
        let asked = ["multi", "exec", "discard"];
        let all = [&asked[..], &PLAIN, &["evalsha", "eval"]].concat();
        assert_eq!(at.sent(), all);
        at
    }

    fn sent(&mut self) -> Vec<String> {
        self.server.sent()
    }

    async fn create(&self, record: &Record) -> Create {
        self.store.create(record).await.unwrap()
    }

    /// All there are, oldest deadline first.
    async fn assert_all(&self, expected: &[Record]) {
        assert_eq!(self.store.scan(None, 9).await.unwrap(), expected);
        assert_eq!(self.store.count().await.unwrap(), expected.len() as u64);
    }

    /// What is left of the time of the shard's index, in milliseconds.
    fn index_ttl(&self) -> i64 {
        self.of_index(&["PTTL"], &[])
    }

    fn of_index<T: redis::FromRedisValue>(&self, before: &[&str], after: &[&str]) -> T {
        let keys = self.server.ask(&["KEYS", "*}deadlines"]).unwrap();
        let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
        let key = keys.first().unwrap();
        let words = [before, &[key], after].concat();
        redis::from_redis_value(self.server.ask(&words).unwrap()).unwrap()
    }
}

fn later(record: &Record, seconds: u64) -> Timestamp {
    record
        .expires_at
        .saturating_add(Duration::from_secs(seconds))
}

#[tokio::test]
async fn it_is_a_transaction_where_its_index_is_kept() {
    let mut at = At::new().await;
    let second = of_shard(1);
    let other = Record {
        key: "AAAAAAAAAAAAAAAA".parse().unwrap(),
        ..of_shard(2)
    };
    assert_eq!(at.create(&second).await, Create::Created);
    assert_eq!(at.sent(), PLAIN);
    assert_eq!(
        at.store.load(&second.key).await.unwrap().as_ref(),
        Some(&second)
    );
    at.sent();
    // Another shard has another index.
    assert_eq!(at.create(&other).await, Create::Created);
    assert_eq!(at.sent(), ["evalsha"]);
    at.assert_all(&[of_shard(0), second, other]).await;
}

#[tokio::test]
async fn it_replaces_nothing() {
    let mut at = At::new().await;
    let taken = Record {
        expires_at: later(&of_shard(0), 60),
        ..rewritten(&of_shard(0), b"another")
    };
    assert_eq!(at.create(&taken).await, Create::KeyTaken);
    assert_eq!(at.sent(), [&PLAIN[..], &["evalsha"]].concat());
    at.assert_all(&[of_shard(0)]).await;
    // The same once more is there already.
    assert_eq!(at.create(&of_shard(0)).await, Create::Created);
    at.assert_all(&[of_shard(0)]).await;
}

#[tokio::test]
async fn the_script_sees_to_it_that_the_index_is_kept_for_longer_than_its_sessions() {
    let mut at = At::new().await;
    let before = at.index_ttl();
    at.sent();
    let long = Record {
        expires_at: later(&of_shard(1), 400 * 24 * 3600),
        ..of_shard(1)
    };
    assert_eq!(at.create(&long).await, Create::Created);
    assert_eq!(at.sent(), ["evalsha"]);
    let after = at.index_ttl();
    assert!(after > before + 400 * 24 * 3600 * 1000, "{before}, {after}");
    at.sent();
    assert_eq!(at.create(&of_shard(2)).await, Create::Created);
    assert_eq!(at.sent(), PLAIN);
    assert!(at.index_ttl() > after - 60_000);
}

/// With its last session an index goes as well, and its end with it.
#[tokio::test]
async fn an_index_that_was_gone_is_kept_again() {
    let mut at = At::new().await;
    let before = at.index_ttl();
    at.server.ask(&["FLUSHALL"]).unwrap();
    at.sent();
    assert_eq!(at.create(&of_shard(1)).await, Create::Created);
    assert_eq!(at.sent(), [&PLAIN[..], &["evalsha", "eval"]].concat());
    assert!(at.index_ttl() > before - 60_000);
    at.assert_all(&[of_shard(1)]).await;
    at.sent();
    // Once it is surer to send the script.
    for (n, sent) in [(2, &["evalsha"][..]), (3, &PLAIN)] {
        assert_eq!(at.create(&of_shard(n)).await, Create::Created);
        assert_eq!(at.sent(), sent);
    }
    at.assert_all(&[of_shard(1), of_shard(2), of_shard(3)])
        .await;
}

/// The entry of a session that was over before counts as that of the new one.
#[tokio::test]
async fn an_entry_that_was_left_gets_the_new_deadline() {
    let mut at = At::new().await;
    let key = of_shard(1).key.to_string();
    let _: i64 = at.of_index(&["ZADD"], &["1000", &key]);
    at.sent();
    assert_eq!(at.create(&of_shard(1)).await, Create::Created);
    assert_eq!(at.sent(), [&PLAIN[..], &["evalsha", "eval"]].concat());
    let score: String = at.of_index(&["ZSCORE"], &[&key]);
    assert_eq!(score, of_shard(1).expires_at.as_millis().to_string());
    assert_eq!(at.store.delete_expired(9).await.unwrap(), 0);
    at.assert_all(&[of_shard(0), of_shard(1)]).await;
}

#[tokio::test]
async fn what_is_refused_is_not_there() {
    let at = At::new().await;
    at.server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let error = at.store.create(&of_shard(1)).await.unwrap_err();
    assert_eq!(
        (error.effect(), kind(&error)),
        (Effect::NotApplied, FailureKind::OutOfMemory)
    );
    at.server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    at.assert_all(&[of_shard(0)]).await;
    assert_eq!(at.create(&of_shard(1)).await, Create::Created);
    at.assert_all(&[of_shard(0), of_shard(1)]).await;

    at.server.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let error = at.store.create(&of_shard(2)).await.unwrap_err();
    assert_eq!(
        (error.effect(), kind(&error)),
        (Effect::NotApplied, FailureKind::ReadOnly)
    );
}

/// Where the index can not be written to and the record can, nobody is told that all is well.
#[tokio::test]
async fn a_record_without_its_entry_is_not_acknowledged() {
    let at = At::new().await;
    let _: String = at.of_index(&["SET"], &["something else"]);
    let error = at.store.create(&of_shard(1)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(
        at.store.load(&of_shard(1).key).await.unwrap(),
        Some(of_shard(1))
    );
}

#[tokio::test]
async fn who_may_not_have_transactions_uses_the_script() {
    for command in ["-multi", "-exec"] {
        let mut at = At::new().await;
        let refuse = ["ACL", "SETUSER", "default", command];
        at.server.ask(&refuse).unwrap();
        let store = RedisStore::connect(&at.server.url()).await.unwrap();
        at.sent();
        assert_eq!(store.create(&of_shard(1)).await.unwrap(), Create::Created);
        assert_eq!(at.sent(), ["evalsha"]);
        // What is refused is not shown.
        assert_eq!(store.create(&of_shard(2)).await.unwrap(), Create::Created);
        let mut sent = at.sent();
        sent.retain(|name| name != "multi" && name != "discard");
        assert_eq!(sent, ["exec", "evalsha"], "{command}");
        assert_eq!(store.create(&of_shard(3)).await.unwrap(), Create::Created);
        assert_eq!(at.sent(), ["evalsha"]);
        at.assert_all(&[0, 1, 2, 3].map(of_shard)).await;
    }
}

/// Without a transaction its commands are done one by one, so that nobody knows what came of them.
#[tokio::test]
async fn a_transaction_that_is_refused_later_is_unknown_and_the_last() {
    let mut at = At::new().await;
    let refuse = ["ACL", "SETUSER", "default", "-multi"];
    at.server.ask(&refuse).unwrap();
    let error = at.store.create(&of_shard(1)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    at.sent();
    assert_eq!(at.create(&of_shard(1)).await, Create::Created);
    assert_eq!(at.sent(), ["evalsha", "evalsha"]);
    at.assert_all(&[of_shard(0), of_shard(1)]).await;
}

/// The error of one of them does not stop the others then.
#[tokio::test]
async fn a_record_without_its_entry_is_not_called_refused() {
    let at = At::new().await;
    let _: String = at.of_index(&["SET"], &["something else"]);
    let refuse = ["ACL", "SETUSER", "default", "-multi"];
    at.server.ask(&refuse).unwrap();
    let error = at.store.create(&of_shard(1)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    let found = at.store.load(&of_shard(1).key).await.unwrap();
    assert_eq!(found, Some(of_shard(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_before_the_answer_leaves_it_unknown() {
    let at = At::new().await;
    let proxy = Proxy::start(at.server.port()).await.unwrap();
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let (first, second) = (of_shard(1), of_shard(2));
    for _ in 0..2 {
        assert_eq!(store.create(&first).await.unwrap(), Create::Created);
    }
    proxy.set(Mode::CutAnswers);
    let error = store.create(&second).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    proxy.set(Mode::Pass);
    assert_eq!(store.create(&second).await.unwrap(), Create::Created);
    at.assert_all(&[of_shard(0), first, second]).await;
}

/// They are one round trip: all are there though nothing has been answered.
#[tokio::test(flavor = "multi_thread")]
async fn they_are_sent_in_one_piece() {
    let mut at = At::new().await;
    let proxy = Proxy::start(at.server.port()).await.unwrap();
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.create(&of_shard(1)).await.unwrap(), Create::Created);
    }
    at.sent();
    proxy.set(Mode::CutAnswers);
    let _ = store.create(&of_shard(2)).await.unwrap_err();
    assert_eq!(at.sent(), PLAIN);
}

/// Nor is one whose index could not be seen to, though it is there.
#[tokio::test]
async fn a_record_whose_index_has_no_end_is_not_acknowledged() {
    let at = At::new().await;
    at.server.ask(&["FLUSHALL"]).unwrap();
    let refuse = ["ACL", "SETUSER", "default", "-evalsha", "-eval"];
    at.server.ask(&refuse).unwrap();
    let error = at.store.create(&of_shard(1)).await.unwrap_err();
    let refused = (Effect::Unknown, FailureKind::Refused);
    assert_eq!((error.effect(), kind(&error)), refused);
    let found = at.store.load(&of_shard(1).key).await.unwrap();
    assert_eq!(found, Some(of_shard(1)));
    let allow = ["ACL", "SETUSER", "default", "+evalsha", "+eval"];
    at.server.ask(&allow).unwrap();
    // The next one has the script see to it.
    assert_eq!(at.create(&of_shard(2)).await, Create::Created);
    assert!(at.index_ttl() > 3_600_000);
}
