//! What the server refuses has a kind, says that nothing was done, and is over when its cause is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{create, kind, record, rewritten, touch};
use obsession_core::{Create, Delete, Effect, SessionStore, StoreError, Touch, Update};
use obsession_redis::{ConnectError, FailureKind, RedisStore};
use testing::RedisServer;

fn refused(error: &StoreError, expected: FailureKind) {
    assert_eq!(kind(error), expected, "{error:?}");
    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
}

/// Tries every kind of write on a store whose first record is there and whose second is not.
async fn writes_are_refused(
    store: &RedisStore,
    old: &obsession_core::Record,
    expected: FailureKind,
) {
    let later = old
        .expires_at
        .saturating_add(std::time::Duration::from_secs(1));
    refused(&store.create(&record(2)).await.unwrap_err(), expected);
    let next = rewritten(old, b"next");
    refused(
        &store.update(old.revision, &next).await.unwrap_err(),
        expected,
    );
    refused(&touch(store, old, later).await.unwrap_err(), expected);
}

async fn all_is_well(store: &RedisStore, old: &obsession_core::Record) {
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(old));
    assert_eq!(store.load(&record(2).key).await.unwrap(), None);
    let next = rewritten(old, b"next");
    assert_eq!(
        store.update(old.revision, &next).await.unwrap(),
        Update::Updated
    );
    let later = old
        .expires_at
        .saturating_add(std::time::Duration::from_secs(1));
    assert_eq!(touch(store, &next, later).await.unwrap(), Touch::Touched);
    assert_eq!(store.create(&record(2)).await.unwrap(), Create::Created);
    assert_eq!(store.delete(&old.key).await.unwrap(), Delete::Deleted);
}

#[tokio::test]
async fn a_full_server_reads_and_deletes_and_refuses_writes() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let (old, other) = (record(1), record(3));
    create(&store, &old).await;
    create(&store, &other).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    writes_are_refused(&store, &old, FailureKind::OutOfMemory).await;
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    assert_eq!(store.delete(&other.key).await.unwrap(), Delete::Deleted);
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    all_is_well(&store, &old).await;
}

#[tokio::test]
async fn a_replica_answers_nothing_not_even_a_load() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let old = record(1);
    create(&store, &old).await;
    // Of a master that is not there, so that it keeps what it has.
    server.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let expected = FailureKind::ReadOnly;
    writes_are_refused(&store, &old, expected).await;
    refused(&store.load(&old.key).await.unwrap_err(), expected);
    refused(&store.delete(&old.key).await.unwrap_err(), expected);
    // What would have changed nothing has nothing to say either: the replica may be behind.
    refused(&store.create(&old).await.unwrap_err(), expected);
    let stale = rewritten(&old, b"stale");
    let conflict = store.update(stale.revision, &rewritten(&old, b"x")).await;
    refused(&conflict.unwrap_err(), expected);
    let gone = record(9);
    refused(
        &store
            .update(gone.revision, &rewritten(&gone, b""))
            .await
            .unwrap_err(),
        expected,
    );
    refused(
        &touch(&store, &gone, old.expires_at).await.unwrap_err(),
        expected,
    );
    for seen in [&old, &stale] {
        let touched = touch(&store, seen, old.created_at).await;
        refused(&touched.unwrap_err(), expected);
    }
    // The connection is not kept: the name of the host may lead elsewhere by now.
    let connections = || {
        let clients = server.text(&["CLIENT", "LIST", "TYPE", "normal"]);
        let ours = clients.lines().filter(|line| !line.contains("cmd=client"));
        ours.map(|line| line.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let before = connections();
    refused(&store.load(&old.key).await.unwrap_err(), expected);
    assert_ne!(connections(), before);
    server.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    all_is_well(&store, &old).await;
}

#[tokio::test]
async fn a_server_that_may_not_write_still_reads() {
    let server = RedisServer::start(&[("save", "3600 1000000")]).unwrap();
    let store = common::store(&server.url()).await;
    let old = record(1);
    create(&store, &old).await;

    // Redis 6 lets scripts write without replicas.
    if !server.text(&["INFO", "server"]).contains("redis_version:6") {
        let wanted = |replicas| {
            let set = ["CONFIG", "SET", "min-replicas-to-write", replicas];
            server.ask(&set).unwrap();
        };
        wanted("1");
        writes_are_refused(&store, &old, FailureKind::NoReplicas).await;
        assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
        wanted("0");
    }

    // Only a server that is to make snapshots minds that it cannot.
    server.ask(&["CONFIG", "SET", "save", "3600 1000"]).unwrap();
    // A snapshot cannot take the place of a folder.
    std::fs::create_dir(server.folder().join("dump.rdb")).unwrap();
    std::fs::write(server.folder().join("dump.rdb/full"), "").unwrap();
    server.ask(&["BGSAVE"]).unwrap();
    while !server
        .text(&["INFO", "persistence"])
        .contains("rdb_last_bgsave_status:err")
    {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    writes_are_refused(&store, &old, FailureKind::NotPersisting).await;
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    server
        .ask(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"])
        .unwrap();
    all_is_well(&store, &old).await;
}

#[tokio::test]
async fn a_password_that_is_set_later_is_asked_for_by_the_next_connection() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let old = record(1);
    create(&store, &old).await;
    let open = redis_client(&server.url().replace("redis://", "redis://:secret@"));
    server
        .ask(&["CONFIG", "SET", "requirepass", "secret"])
        .unwrap();
    open(&["CLIENT", "KILL", "TYPE", "normal"]);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    for _ in 0..2 {
        refused(
            &store.load(&old.key).await.unwrap_err(),
            FailureKind::Refused,
        );
        writes_are_refused(&store, &old, FailureKind::Refused).await;
    }
    open(&["CONFIG", "SET", "requirepass", ""]);
    all_is_well(&store, &old).await;
}

#[tokio::test]
async fn credentials_that_are_missing_wrong_or_not_enough_are_refused() {
    let server = RedisServer::start(&[("requirepass", "secret")]).unwrap();
    let port = server.port();
    // In the older protocol, a connection says nothing of it until it is used.
    let store = common::store(&format!("redis://127.0.0.1:{port}?protocol=resp2")).await;
    refused(
        &store.load(&record(1).key).await.unwrap_err(),
        FailureKind::Refused,
    );
    refused(
        &store.create(&record(1)).await.unwrap_err(),
        FailureKind::Refused,
    );

    for credentials in ["", ":wrong@"] {
        let url = format!("redis://{credentials}127.0.0.1:{port}");
        let wrong = RedisStore::connect(&url).await;
        let Err(ConnectError::Redis(error)) = wrong else {
            panic!("{wrong:?}");
        };
        assert!(
            !format!("{error} {error:?}").contains("wrong@"),
            "{error:?}"
        );
    }

    let store = common::store(&format!("redis://:secret@127.0.0.1:{port}")).await;
    create(&store, &record(1)).await;
    let open = redis_client(&format!("redis://:secret@127.0.0.1:{port}"));
    let rights = [
        "ACL",
        "SETUSER",
        "reader",
        "on",
        ">word",
        "~*",
        "+@all",
        "-set",
        "-setrange",
    ];
    open(&rights);
    let reader = common::store(&format!("redis://reader:word@127.0.0.1:{port}")).await;
    refused(
        &reader.create(&record(2)).await.unwrap_err(),
        FailureKind::Refused,
    );
    assert_eq!(reader.load(&record(2).key).await.unwrap(), None);
}

fn redis_client(url: &str) -> impl Fn(&[&str]) + use<> {
    let client = obsession_redis::redis::Client::open(url).unwrap();
    move |words| {
        let mut cmd = obsession_redis::redis::Cmd::new();
        for word in words {
            cmd.arg(*word);
        }
        cmd.exec(&mut client.get_connection().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_server_that_loads_says_so_and_serves_afterwards() {
    // It answers after every 2 MiB that it has read.
    let settings = [("key-load-delay", "20000"), ("rdbcompression", "no")];
    let mut server = RedisServer::start(&settings).unwrap();
    let store = common::store(&server.url()).await;
    let old = record(1);
    create(&store, &old).await;
    for n in 100..130 {
        create(&store, &rewritten(&record(n), &vec![7; 1 << 20])).await;
    }
    server.ask(&["SAVE"]).unwrap();
    server.kill();
    server.start_process().unwrap();
    let mut loading = 0;
    loop {
        match store.load(&old.key).await {
            Ok(found) => break assert_eq!(found.as_ref(), Some(&old)),
            Err(error) if kind(&error) == FailureKind::Loading => {
                loading += 1;
                match store.create(&record(2)).await {
                    Err(error) => refused(&error, FailureKind::Loading),
                    // That was the last moment.
                    Ok(_) => drop(store.delete(&record(2).key).await.unwrap()),
                }
            }
            // The port is not open yet.
            Err(error) => refused(&error, FailureKind::Unreachable),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(loading > 0, "it was never seen loading");
    all_is_well(&store, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_somebody_else_that_does_not_end_is_waited_for_no_longer_than_the_deadline() {
    let server = RedisServer::start(&[("lua-time-limit", "50")]).unwrap();
    let store = common::store(&server.url()).await;
    let old = record(1);
    create(&store, &old).await;
    let open = redis_client(&server.url());
    let endless = std::thread::spawn(move || {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            open(&["EVAL", "while true do end", "0"]);
        }));
        assert!(ended.is_err(), "it was killed");
    });
    loop {
        match store.load(&old.key).await {
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            Err(error) => break refused(&error, FailureKind::Busy),
        }
    }
    refused(
        &store.create(&record(2)).await.unwrap_err(),
        FailureKind::Busy,
    );
    server.ask(&["SCRIPT", "KILL"]).unwrap();
    endless.join().unwrap();
    all_is_well(&store, &old).await;
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_sent_again() {
    let server = RedisServer::start(&[]).unwrap();
    let store = common::store(&server.url()).await;
    let old = record(1);
    create(&store, &old).await;
    for n in 10..20 {
        server.ask(&["SCRIPT", "FLUSH"]).unwrap();
        create(&store, &record(n)).await;
        assert_eq!(store.delete(&record(n).key).await.unwrap(), Delete::Deleted);
    }
    all_is_well(&store, &old).await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable_and_used_again_when_it_is_back() {
    let mut server =
        RedisServer::start(&[("appendonly", "yes"), ("appendfsync", "always")]).unwrap();
    let store = common::store(&server.url()).await;
    let old = record(1);
    create(&store, &old).await;
    for _ in 0..3 {
        server.kill();
        refused(
            &store.load(&old.key).await.unwrap_err(),
            FailureKind::Unreachable,
        );
        writes_are_refused(&store, &old, FailureKind::Unreachable).await;
        server.restart().unwrap();
        assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    }
    all_is_well(&store, &old).await;
}
