//! The usual update, of a session that was loaded: by one plain command where the server compares,
//! else by the least script. Others take its place wherever more is to change.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Monitored, compares, create, of, record, rewritten, touch};
use obsession_core::{Effect, Record, SessionIndex, SessionStore, Timestamp, Touch, Update};
use obsession_redis::RedisStore;
use testing::{Mode, Proxy, RedisServer};

/// A server and two stores that share its sessions.
struct At {
    server: Monitored,
    store: RedisStore,
    other: RedisStore,
}

impl At {
    async fn new() -> Self {
        let server = Monitored::start();
        let url = server.url();
        let open = async || RedisStore::connect(&url).await.unwrap();
        let (store, other) = (open().await, open().await);
        // The server learns the scripts, and the store what the server knows.
        let mut known = of("zoë", record(99));
        create(&other, &known).await;
        for loads in [false, true, true] {
            if loads {
                let _ = store.load(&known.key).await.unwrap();
            }
            let next = rewritten(&known, b"next");
            let _ = store.update(known.revision, &next).await.unwrap();
            known = next;
        }
        let _ = store.delete(&known.key).await.unwrap();
        let mut at = Self {
            server,
            store,
            other,
        };
        at.sent();
        at
    }

    fn sent(&mut self) -> Vec<String> {
        self.server.sent()
    }

    async fn load(&mut self, record: &Record) {
        let found = self.store.load(&record.key).await.unwrap();
        assert_eq!(found.as_ref(), Some(record));
        self.sent();
    }

    /// Updates `old`, and says in how many commands.
    async fn update(&mut self, old: &Record, new: &Record) -> (Update, usize) {
        let outcome = self.store.update(old.revision, new).await.unwrap();
        (outcome, self.sent().len())
    }
}

fn later(record: &Record) -> Timestamp {
    record.expires_at.saturating_add(Duration::from_secs(60))
}

#[tokio::test]
async fn it_is_one_plain_command_where_the_server_compares() {
    let mut at = At::new().await;
    let compares = compares(std::slice::from_ref(&at.server));
    let old = of("zoë", record(1));
    create(&at.other, &old).await;
    let mut last = old;
    for _ in 0..3 {
        at.load(&last).await;
        let next = rewritten(&last, b"next");
        let outcome = at.store.update(last.revision, &next).await.unwrap();
        assert_eq!(outcome, Update::Updated);
        let usual = if compares { "set" } else { "evalsha" };
        assert_eq!(at.sent(), [usual]);
        last = next;
    }
    let listed = at.other.list("zoë", None, 9).await.unwrap();
    assert_eq!(listed, [last.clone()]);
    assert_eq!(at.other.scan(None, 9).await.unwrap(), [last]);
}

#[tokio::test]
async fn what_another_wrote_meanwhile_comes_back_with_the_answer() {
    let mut at = At::new().await;
    let old = record(1);
    create(&at.other, &old).await;
    at.load(&old).await;
    let theirs = rewritten(&old, b"theirs");
    let updated = at.other.update(old.revision, &theirs).await.unwrap();
    assert_eq!(updated, Update::Updated);
    at.sent();
    let ours = rewritten(&old, b"ours");
    let conflict = (Update::Conflict(theirs.clone()), 1);
    assert_eq!(at.update(&old, &ours).await, conflict);
    // It stands for a load.
    assert_eq!(at.update(&theirs, &ours).await, (Update::Updated, 1));
    assert_eq!(at.update(&theirs, &ours).await, (Update::Updated, 1));

    at.load(&ours).await;
    let _ = at.other.delete(&old.key).await.unwrap();
    at.sent();
    let late = rewritten(&ours, b"late");
    assert_eq!(at.update(&ours, &late).await, (Update::Gone, 1));
    assert_eq!(at.other.load(&old.key).await.unwrap(), None);
}

/// It may have been made by this very call, whose answer was lost, before a load that was under way
/// brought the old value.
#[tokio::test]
async fn what_is_there_already_is_done() {
    let mut at = At::new().await;
    let old = record(1);
    create(&at.other, &old).await;
    at.load(&old).await;
    let next = rewritten(&old, b"next");
    let updated = at.other.update(old.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
    at.sent();
    assert_eq!(at.update(&old, &next).await, (Update::Updated, 2));
}

/// A touch is no conflict, though it changes the value.
#[tokio::test]
async fn a_touch_of_another_is_no_conflict() {
    let mut at = At::new().await;
    let old = record(1);
    create(&at.other, &old).await;
    at.load(&old).await;
    let touched = touch(&at.other, &old, later(&old)).await.unwrap();
    assert_eq!(touched, Touch::Touched);
    at.sent();
    let next = rewritten(&old, b"next");
    assert_eq!(at.update(&old, &next).await, (Update::Updated, 2));
    assert_eq!(at.other.load(&old.key).await.unwrap(), Some(next));
}

#[tokio::test]
async fn where_more_is_to_change_the_script_that_keeps_the_indexes_does_it() {
    let mut at = At::new().await;
    let first = of("zoë", record(1));
    create(&at.other, &first).await;
    let changes: [fn(Record) -> Record; 4] = [
        |old| of("yan", old),
        |old| Record {
            expires_at: later(&old),
            ..old
        },
        |old| Record {
            body: vec![7; 3_000].into(),
            ..old
        },
        |old| Record {
            subject: None,
            ..old
        },
    ];
    let mut last = first;
    for change in changes {
        at.load(&last).await;
        let next = change(rewritten(&last, b"next"));
        assert_eq!(at.update(&last, &next).await, (Update::Updated, 1));
        for subject in ["zoë", "yan"] {
            let listed = at.other.list(subject, None, 9).await.unwrap();
            let expected = next.subject.as_deref() == Some(subject);
            assert_eq!(listed.len(), usize::from(expected), "{subject}");
        }
        last = next;
        let scanned = at.other.scan(None, 9).await.unwrap();
        assert_eq!(scanned, std::slice::from_ref(&last));
    }
    at.load(&last).await;
    let over = Record {
        expires_at: Timestamp::from_millis(1),
        ..rewritten(&last, b"over")
    };
    assert_eq!(at.update(&last, &over).await, (Update::Updated, 1));
    assert_eq!(at.other.count().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_is_recognised_when_it_is_asked_for_again() {
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let mut last = record(1);
    create(&store, &last).await;
    // The first time also teaches the store what the server knows.
    for _ in 0..3 {
        assert_eq!(store.load(&last.key).await.unwrap().as_ref(), Some(&last));
        let next = rewritten(&last, b"next");
        proxy.set(Mode::CutAnswers);
        let error = store.update(last.revision, &next).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown);
        proxy.set(Mode::Pass);
        let again = store.update(last.revision, &next).await.unwrap();
        assert_eq!(again, Update::Updated);
        last = next;
    }
}
