//! What a request costs the server, counted by the server.

use std::sync::Arc;
use std::time::Duration;

use obsession_core::{Create, Delete, SessionStore, Touch, Update};
use obsession_sqlx::PostgresStore;
use testing::PostgresServer;
use tokio::sync::Barrier;

use crate::common::{create, of, record, rewritten};
use crate::{builder, common};

/// A server that nobody else asks anything, and a store with one connection for each purpose.
async fn counted() -> (PostgresServer, PostgresStore) {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    let store = common::postgres::migrated(builder(&server).readers(1).writers(1)).await;
    // Its connections are made when they are first needed.
    create(&store, &record(1000)).await;
    store.load(&common::key(1000)).await.unwrap();
    (server, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sends_as_few_statements_as_it_can() {
    let (server, store) = counted().await;
    let counted = common::cost(store, || server.calls().unwrap()).await;
    assert_eq!(counted, common::STATEMENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_one_statement_whatever_comes_of_it() {
    let (server, store) = counted().await;
    let mut before = server.calls().unwrap();
    let mut sent = |count, what: &str| {
        let after = server.calls().unwrap();
        assert_eq!(after - before, count, "{what}");
        before = after;
    };
    let (old, other) = (of("zoë", record(1)), record(2));
    let next = rewritten(&old, b"next");
    let late = rewritten(&old, b"late");
    let later = old.expires_at.saturating_add(Duration::from_secs(1));

    create(&store, &old).await;
    sent(1, "create");
    let taken = store.create(&next).await.unwrap();
    assert_eq!(taken, Create::KeyTaken);
    // Keys are random: a taken one may cost a look.
    sent(2, "create of a taken key");
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    sent(1, "load");
    assert_eq!(store.load(&other.key).await.unwrap(), None);
    sent(1, "load of nothing");
    for _ in 0..2 {
        let updated = store.update(old.revision, &next).await.unwrap();
        assert_eq!(updated, Update::Updated);
        sent(1, "update");
    }
    let conflict = store.update(old.revision, &late).await.unwrap();
    assert_eq!(conflict, Update::Conflict(next.clone()));
    sent(1, "update in vain");
    let gone = store.update(other.revision, &other).await.unwrap();
    assert_eq!(gone, Update::Gone);
    sent(1, "update of nothing");
    for (seen, answer) in [
        (&next, Touch::Touched),
        (&old, Touch::Changed),
        (&other, Touch::Gone),
    ] {
        for at in [later, old.created_at] {
            let touched = store.touch(&seen.key, seen.revision, at).await.unwrap();
            assert_eq!(touched, answer);
            sent(1, "touch");
        }
    }
    for answer in [Delete::Deleted, Delete::Gone] {
        assert_eq!(store.delete(&old.key).await.unwrap(), answer);
        sent(1, "delete");
    }
    let text = "SELECT count(*) FROM pg_stat_statements \
                WHERE query ~* '^(begin|start|set|deallocate|discard)'";
    let of_migrations = "BEGIN";
    let listed = server
        .sql("SELECT query FROM pg_stat_statements WHERE query ~* '^(begin|start|set)'")
        .unwrap();
    assert_eq!(server.sql(text).unwrap(), "1", "{listed}");
    assert_eq!(listed, of_migrations);
}

/// 64 tasks that load and update at once cost a part of the statements that they would one by one. They
/// wait for each other before each call, since on a busy machine they would not be at once.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_share_statements() {
    let (server, store) = counted().await;
    for n in 0..64 {
        create(&store, &record(n)).await;
    }
    let before = server.calls().unwrap();
    let together = Arc::new(Barrier::new(64));
    let tasks = (0..64).map(|n| {
        let (store, together) = (store.clone(), Arc::clone(&together));
        tokio::spawn(async move {
            for _ in 0..20 {
                together.wait().await;
                let found = store.load(&common::key(n)).await.unwrap().unwrap();
                let next = rewritten(&found, b"next");
                together.wait().await;
                let updated = store.update(found.revision, &next).await.unwrap();
                assert_eq!(updated, Update::Updated);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let statements = server.calls().unwrap() - before;
    println!("{statements} statements for {} calls", 64 * 20 * 2);
    assert!(statements < 64 * 20 * 2 / 4);
}
