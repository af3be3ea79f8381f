//! The usual update of a large session, whose value does not go through the script.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Monitored, create, kind, of, record, rewritten};
use obsession_core::{Effect, Record, SessionIndex, SessionStore, Update};
use obsession_redis::{FailureKind, RedisStore};
use testing::{Mode, Proxy};

fn large(old: &Record, byte: u8) -> Record {
    rewritten(old, &[byte; 10_000])
}

/// A server with a large session that a store has loaded.
struct At {
    server: Monitored,
    store: RedisStore,
    other: RedisStore,
    last: Record,
}

impl At {
    async fn new() -> Self {
        let server = Monitored::start();
        let url = server.url();
        let open = async || RedisStore::connect(&url).await.unwrap();
        let (store, other) = (open().await, open().await);
        let last = of("zoë", large(&record(1), 1));
        create(&other, &last).await;
        let mut at = Self {
            server,
            store,
            other,
            last,
        };
        at.sent();
        // The server learns the script.
        let next = large(&at.last, 2);
        assert_eq!(at.update(&next).await, Update::Updated);
        assert_eq!(at.sent(), ["getex", "set", "evalsha", "set", "eval"]);
        at.last = next;
        at
    }

    /// Loads what is there, and writes `next`.
    async fn update(&self, next: &Record) -> Update {
        let old = self.store.load(&next.key).await.unwrap().unwrap();
        self.store.update(old.revision, next).await.unwrap()
    }

    fn sent(&mut self) -> Vec<String> {
        self.server.sent()
    }

    /// What is there for anybody, and that nothing else is.
    async fn assert_there(&self, expected: &Record) {
        let found = self.other.load(&expected.key).await.unwrap();
        assert_eq!(found.as_ref(), Some(expected));
        assert_eq!(self.set_aside(), Vec::<String>::new());
    }

    fn set_aside(&self) -> Vec<String> {
        let keys = self.server.ask(&["KEYS", "*aside:*"]).unwrap();
        redis::from_redis_value(keys).unwrap()
    }

    fn of_key(&self, before: &str, key: &str) -> i64 {
        redis::from_redis_value(self.server.ask(&[before, key]).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn its_value_is_set_aside_in_one_piece_with_the_script() {
    let mut at = At::new().await;
    for n in 3..6 {
        let next = large(&at.last, n);
        assert_eq!(at.update(&next).await, Update::Updated);
        assert_eq!(at.sent(), ["getex", "set", "evalsha"]);
        at.assert_there(&next).await;
        at.last = next;
        let listed = at.other.list("zoë", None, 9).await.unwrap();
        let scanned = at.other.scan(None, 9).await.unwrap();
        assert_eq!(
            (&listed[..], &scanned[..]),
            (&[at.last.clone()][..], &listed[..])
        );
        at.sent();
    }
    let keys = at.server.ask(&["KEYS", &format!("*{}", at.last.key)]);
    let keys: Vec<String> = redis::from_redis_value(keys.unwrap()).unwrap();
    let left = at.of_key("PTTL", &keys[0]);
    assert!((3_500_000..=3_600_000).contains(&left), "{left} ms");
    at.sent();
    // A small one after it does not need it.
    let small = rewritten(&at.last, b"small");
    assert_eq!(at.update(&small).await, Update::Updated);
    assert_eq!(at.sent(), ["getex", "evalsha", "eval"]);
    at.assert_there(&small).await;
}

#[tokio::test]
async fn what_another_wrote_or_ended_meanwhile_stays_as_it_is() {
    let at = At::new().await;
    assert!(at.store.load(&at.last.key).await.unwrap().is_some());
    let theirs = large(&at.last, 7);
    let updated = at.other.update(at.last.revision, &theirs).await.unwrap();
    assert_eq!(updated, Update::Updated);
    let ours = large(&at.last, 8);
    let conflict = at.store.update(at.last.revision, &ours).await.unwrap();
    assert_eq!(conflict, Update::Conflict(theirs.clone()));
    at.assert_there(&theirs).await;
    // It stands for a load.
    let ours = large(&theirs, 9);
    let updated = at.store.update(theirs.revision, &ours).await.unwrap();
    assert_eq!(updated, Update::Updated);
    at.assert_there(&ours).await;

    assert!(at.store.load(&at.last.key).await.unwrap().is_some());
    let _ = at.other.delete(&ours.key).await.unwrap();
    let late = at.store.update(ours.revision, &large(&ours, 10)).await;
    assert_eq!(late.unwrap(), Update::Gone);
    assert_eq!(at.other.load(&ours.key).await.unwrap(), None);
    assert_eq!(at.set_aside(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let at = At::new().await;
    assert!(at.store.load(&at.last.key).await.unwrap().is_some());
    at.server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let next = large(&at.last, 3);
    let error = at.store.update(at.last.revision, &next).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied);
    assert_eq!(kind(&error), FailureKind::OutOfMemory);
    at.server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    at.assert_there(&at.last).await;

    assert!(at.store.load(&at.last.key).await.unwrap().is_some());
    at.server.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let error = at.store.update(at.last.revision, &next).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied);
    assert_eq!(kind(&error), FailureKind::ReadOnly);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_is_recognised_when_it_is_asked_for_again() {
    let at = At::new().await;
    let proxy = Proxy::start(at.server.port()).await.unwrap();
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let mut last = at.last.clone();
    for n in 3..6 {
        assert!(store.load(&last.key).await.unwrap().is_some());
        let next = large(&last, n);
        proxy.set(Mode::CutAnswers);
        let error = store.update(last.revision, &next).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown);
        proxy.set(Mode::Pass);
        let again = store.update(last.revision, &next).await.unwrap();
        assert_eq!(again, Update::Updated);
        at.assert_there(&next).await;
        last = next;
    }
}

/// It may be that the value can be set and not be moved.
#[tokio::test]
async fn who_may_not_move_a_value_uses_the_script_that_keeps_the_indexes() {
    let mut at = At::new().await;
    let refuse = ["ACL", "SETUSER", "default", "-rename"];
    at.server.ask(&refuse).unwrap();
    at.sent();
    for sent in [
        &["getex", "set", "evalsha", "evalsha", "eval"][..],
        &["getex", "evalsha", "eval"],
    ] {
        let next = large(&at.last, 3);
        assert_eq!(at.update(&next).await, Update::Updated);
        assert_eq!(at.sent(), sent);
        at.assert_there(&next).await;
        at.sent();
        at.last = next;
    }
}

/// A value that nobody comes for, since the connection was lost behind it, is gone soon.
#[tokio::test]
async fn a_value_that_stays_aside_has_an_end() {
    let at = At::new().await;
    // The script may not run, and what is sent before it has been done.
    let refuse = ["ACL", "SETUSER", "default", "-evalsha", "-eval"];
    at.server.ask(&refuse).unwrap();
    assert!(at.store.load(&at.last.key).await.unwrap().is_some());
    let next = large(&at.last, 3);
    let error = at.store.update(at.last.revision, &next).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied);
    assert_eq!(kind(&error), FailureKind::Refused);
    let [left] = &at.set_aside()[..] else {
        panic!("one value is aside");
    };
    let left = at.of_key("PTTL", left);
    assert!((1..=10_000).contains(&left), "{left} ms");
    let found = at.other.load(&at.last.key).await.unwrap();
    assert_eq!(found, Some(at.last));
}
