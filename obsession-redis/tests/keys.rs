//! What is in the server: every key has an end, and the indexes have what the records say.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{create, key, of, record, rewritten, touch};
use obsession_core::{
    Clock, Delete, Effect, ManualClock, Record, SessionIndex, SessionStore, SystemClock, Timestamp,
    Touch, Update,
};
use obsession_redis::RedisStore;
use testing::{RedisCluster, RedisServer};

fn names(server: &RedisServer) -> Vec<String> {
    let names = server.ask(&["KEYS", "*"]).unwrap();
    obsession_redis::redis::from_redis_value(names).unwrap()
}

fn ttl(server: &RedisServer, name: &str) -> i64 {
    let ttl = server.ask(&["PTTL", name]).unwrap();
    obsession_redis::redis::from_redis_value(ttl).unwrap()
}

fn ends_in(millis: u64) -> Timestamp {
    SystemClock
        .now()
        .saturating_add(Duration::from_millis(millis))
}

#[tokio::test]
async fn every_key_has_an_end_and_an_index_outlives_its_sessions() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    for n in 0..40 {
        let old = of(["zoë", "yan"][usize::from(n % 2 == 0)], record(n));
        create(&store, &old).await;
        let next = Record {
            expires_at: ends_in(5_000_000 + n * 100_000),
            ..rewritten(&old, b"next")
        };
        assert_eq!(
            store.update(old.revision, &next).await.unwrap(),
            Update::Updated
        );
        let later = next
            .expires_at
            .saturating_add(Duration::from_secs(n * 1000));
        assert_eq!(touch(&store, &next, later).await.unwrap(), Touch::Touched);
    }
    let longest = |of: &dyn Fn(&str) -> bool| {
        let ttls = names(&server).into_iter().filter(|name| of(name));
        ttls.map(|name| ttl(&server, &name)).max().unwrap()
    };
    for name in names(&server) {
        assert!(ttl(&server, &name) > 0, "{name} has no end");
    }
    let records = longest(&|name| !name.contains("subject") && !name.contains("deadlines"));
    for name in names(&server) {
        if name.contains("subject") {
            assert!(
                ttl(&server, &name) >= records - 2000 * 1000,
                "{name} ends early"
            );
        }
    }
    assert!(longest(&|name| name.contains("subject")) > records);
    assert!(longest(&|name| name.contains("deadlines")) >= records);
}

/// Also if others in it, which were made before, do not last as long.
#[tokio::test]
async fn an_index_lasts_as_long_as_the_last_session_that_was_made() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let mut longest = 0;
    for (n, millis) in [50_000, 1_000_000, 30_000, 9_000_000]
        .into_iter()
        .enumerate()
    {
        let made = Record {
            key: format!("{n}AAAAAAAAAAAAAA.").parse().unwrap(),
            expires_at: ends_in(millis),
            ..record(0)
        };
        create(&store, &made).await;
        longest = longest.max(i64::try_from(millis).unwrap());
        let names = names(&server);
        let index = names.iter().find(|name| name.contains("deadlines"));
        let lasts = ttl(&server, index.unwrap());
        assert!(lasts > longest, "{lasts} of {longest} ms");
    }
}

#[tokio::test]
async fn a_record_and_its_end_are_set_together_and_move_together() {
    let server = RedisServer::start(&[]).unwrap();
    let builder = RedisStore::builder(server.url()).prefix("p:");
    let store = builder.connect().await.unwrap();
    let first = Record {
        expires_at: ends_in(100_000),
        ..record(1)
    };
    create(&store, &first).await;
    // The tag of the shard whose keys end with a 1.
    let name = "p:{22}0000000000000001";
    assert!((95_000..=100_000).contains(&ttl(&server, name)));
    // The usual update, which moves nothing but the deadline, and that by little.
    let again = rewritten(&first, b"again");
    let answer = store.update(first.revision, &again).await.unwrap();
    assert_eq!(answer, Update::Updated);
    assert!((95_000..=100_000).contains(&ttl(&server, name)));
    let again_ends = |millis| touch(&store, &again, ends_in(millis));
    assert_eq!(again_ends(50_000).await.unwrap(), Touch::Touched);
    assert!(
        (95_000..=100_000).contains(&ttl(&server, name)),
        "it never shortens"
    );
    assert_eq!(again_ends(200_000).await.unwrap(), Touch::Touched);
    assert!((195_000..=200_000).contains(&ttl(&server, name)));
    let shorter = Record {
        expires_at: ends_in(30_000),
        ..rewritten(&first, b"")
    };
    assert_eq!(
        store.update(again.revision, &shorter).await.unwrap(),
        Update::Updated
    );
    assert!(
        (25_000..=30_000).contains(&ttl(&server, name)),
        "an update may end earlier"
    );
    for far in [Timestamp::from_millis(253_402_300_799_000), Timestamp::MAX] {
        assert_eq!(touch(&store, &shorter, far).await.unwrap(), Touch::Touched);
        assert!(ttl(&server, name) > 250_000_000_000_000);
        assert_eq!(
            store.load(&first.key).await.unwrap().unwrap().expires_at,
            far
        );
    }
    let ended = Record {
        expires_at: Timestamp::from_millis(0),
        ..rewritten(&first, b"")
    };
    let current = store.load(&first.key).await.unwrap().unwrap();
    assert_eq!(
        store.update(current.revision, &ended).await.unwrap(),
        Update::Updated
    );
    assert!(names(&server).is_empty(), "{:?}", names(&server));
}

#[tokio::test]
async fn a_deleted_session_leaves_nothing_behind() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    for old in [record(1), of("zoë", record(2))] {
        create(&store, &old).await;
        assert_eq!(store.delete(&old.key).await.unwrap(), Delete::Deleted);
        assert!(names(&server).is_empty(), "{:?}", names(&server));
    }
    // Nor does one that is given to somebody else leave an entry with the one before.
    let old = of("zoë", record(3));
    create(&store, &old).await;
    let moved = of("yan", rewritten(&old, b""));
    assert_eq!(
        store.update(old.revision, &moved).await.unwrap(),
        Update::Updated
    );
    assert!(!names(&server).iter().any(|name| name.ends_with("zoë")));
}

#[tokio::test]
async fn a_clock_that_is_ahead_ends_a_session_early_and_one_that_is_behind_not_late() {
    let server = RedisServer::start(&[]).unwrap();
    let at = |by: i64| {
        let now = SystemClock.now().as_millis();
        let clock = ManualClock::new(Timestamp::from_millis(now.saturating_add_signed(by)));
        RedisStore::builder(server.url()).clock(clock).connect()
    };
    let (right, ahead, behind) = (
        at(0).await.unwrap(),
        at(60_000).await.unwrap(),
        at(-60_000).await.unwrap(),
    );
    let old = Record {
        expires_at: ends_in(30_000),
        ..record(1)
    };
    create(&right, &old).await;
    assert_eq!(ahead.load(&old.key).await.unwrap(), None);
    let next = rewritten(&old, b"next");
    assert_eq!(
        ahead.update(old.revision, &next).await.unwrap(),
        Update::Gone
    );
    let later = ends_in(600_000);
    assert_eq!(touch(&ahead, &old, later).await.unwrap(), Touch::Gone);
    assert_eq!(behind.load(&old.key).await.unwrap(), Some(old.clone()));
    // The server counts what was left by the clock of whoever wrote it.
    let soon = Record {
        expires_at: ends_in(300),
        ..record(2)
    };
    create(&right, &soon).await;
    tokio::time::sleep(Duration::from_millis(320)).await;
    assert_eq!(behind.load(&soon.key).await.unwrap(), None);
    assert_eq!(touch(&behind, &soon, later).await.unwrap(), Touch::Gone);
}

#[tokio::test]
async fn a_record_of_the_farthest_deadline_is_like_any_other() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let mut all = BTreeSet::new();
    for n in 0..10 {
        let far = Record {
            expires_at: Timestamp::MAX,
            ..of("zoë", record(n))
        };
        create(&store, &far).await;
        let next = rewritten(&far, b"next");
        assert_eq!(
            store.update(far.revision, &next).await.unwrap(),
            Update::Updated
        );
        all.insert(far.key);
    }
    assert_eq!(store.count().await.unwrap(), 10);
    let mut after = None;
    let mut scanned = Vec::new();
    while let Some(record) = store.scan(after, 1).await.unwrap().pop() {
        after = Some((&record).into());
        scanned.push(record.key);
    }
    assert_eq!(scanned, all.into_iter().collect::<Vec<_>>());
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 10);
    assert!(names(&server).is_empty(), "{:?}", names(&server));
}

#[tokio::test]
async fn many_sessions_of_one_deadline_are_scanned_once_each() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let at = ends_in(1_000_000);
    for n in 0..300 {
        // Half of them in one shard.
        let n = if n % 2 == 0 { n * 16 } else { n };
        create(
            &store,
            &Record {
                expires_at: at,
                ..record(n)
            },
        )
        .await;
    }
    for size in [1, 7, 100, 1000] {
        let (mut met, mut after) = (Vec::new(), None);
        loop {
            let page = store.scan(after, size).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.into());
            met.extend(page.iter().map(|record| record.key));
        }
        assert_eq!(met.len(), 300, "pages of {size}");
        assert!(met.is_sorted(), "pages of {size}");
    }
}

#[tokio::test]
async fn what_expired_leaves_the_indexes_by_cleanup_and_by_listing() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let soon = ends_in(300);
    for n in 0..30 {
        let expires_at = if n < 20 { soon } else { ends_in(100_000) };
        create(
            &store,
            &Record {
                expires_at,
                ..of("zoë", record(n))
            },
        )
        .await;
    }
    while SystemClock.now() <= soon {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entries = |of: &str| -> i64 {
        let sets = names(&server).into_iter().filter(|name| name.contains(of));
        let count = |name: String| server.ask(&["ZCARD", &name]).unwrap();
        sets.map(|name| obsession_redis::redis::from_redis_value::<i64>(count(name)).unwrap())
            .sum()
    };
    assert_eq!((entries("deadlines"), entries("subject")), (30, 30));
    assert_eq!(store.delete_expired(7).await.unwrap(), 7);
    assert_eq!(store.delete_expired(100).await.unwrap(), 13);
    assert_eq!(store.delete_expired(100).await.unwrap(), 0);
    assert_eq!(entries("deadlines"), 10);
    assert_eq!(store.list("zoë", None, 100).await.unwrap().len(), 10);
    assert_eq!(entries("subject"), 10);
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_can_be_deleted() {
    let server = RedisServer::start(&[]).unwrap();
    let builder = RedisStore::builder(server.url()).prefix("p:");
    let store = builder.connect().await.unwrap();
    let (good, bad) = (of("zoë", record(1)), of("zoë", record(2)));
    create(&store, &good).await;
    create(&store, &bad).await;
    let name = names(&server)
        .into_iter()
        .find(|name| name.ends_with("0002"))
        .unwrap();
    for damage in ["SETRANGE", "SET"] {
        let words = match damage {
            "SETRANGE" => vec!["SETRANGE", &name, "12", "x"],
            _ => vec!["SET", &name, "short"],
        };
        server.ask(&words).unwrap();
        let error = store.load(&bad.key).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied);
        assert!(error.to_string().contains("damaged"), "{error}");
        let listed = store.list("zoë", None, 10).await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&good));
        let conflict = store
            .update(record(3).revision, &rewritten(&bad, b""))
            .await;
        conflict.unwrap_err();
    }
    assert_eq!(store.delete(&bad.key).await.unwrap(), Delete::Deleted);
    assert_eq!(store.load(&bad.key).await.unwrap(), None);
    assert_eq!(store.load(&good.key).await.unwrap(), Some(good));
}

#[tokio::test]
async fn the_value_of_another_key_is_never_served() {
    let server = RedisServer::start(&[]).unwrap();
    let builder = RedisStore::builder(server.url()).prefix("p:");
    let store = builder.connect().await.unwrap();
    create(&store, &record(1)).await;
    create(&store, &record(17)).await;
    let mut names = names(&server);
    names.retain(|name| !name.contains("deadlines"));
    server
        .ask(&["COPY", &names[0], &names[1], "REPLACE"])
        .unwrap();
    let (first, second) = (store.load(&key(1)).await, store.load(&key(17)).await);
    assert!(first.is_err() != second.is_err(), "{first:?} {second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_a_subject_on_a_cluster_does_not_only_grow() {
    let cluster = RedisCluster::start(&[]).unwrap();
    let store = common::store(&cluster.url()).await;
    // Each is deleted at once, which leaves its entry behind.
    for n in 0..150 {
        create(&store, &of("robot", record(n))).await;
        assert_eq!(store.delete(&key(n)).await.unwrap(), Delete::Deleted);
    }
    let index = || {
        let name = |node: &RedisServer| {
            let names = names(node)
                .into_iter()
                .find(|name| name.ends_with("subject{}:robot"))?;
            node.text(&["INFO", "replication"])
                .contains("role:master")
                .then_some(names)
        };
        let mut found = cluster
            .nodes
            .iter()
            .filter_map(|node| Some((node, name(node)?)));
        found.next().unwrap()
    };
    let (node, name) = index();
    let count =
        || obsession_redis::redis::from_redis_value::<i64>(node.ask(&["ZCARD", &name]).unwrap());
    assert_eq!(
        count().unwrap(),
        150,
        "an entry is not removed while its record may be on its way"
    );
    // As if they were made two minutes ago.
    let age = "for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do         local at = string.format('%.0f', tonumber(string.sub(m, 17)) - 120000)         redis.call('ZADD', KEYS[1], redis.call('ZSCORE', KEYS[1], m), string.sub(m, 1, 16) .. at)         redis.call('ZREM', KEYS[1], m) end";
    node.ask(&["EVAL", age, "1", &name]).unwrap();
    create(&store, &of("robot", record(1000))).await;
    assert!(
        count().unwrap() < 150,
        "a large index is tidied a little with each new entry"
    );
    assert_eq!(store.list("robot", None, 10).await.unwrap().len(), 1);
    assert_eq!(count().unwrap(), 1, "a list drops what is gone");
}
