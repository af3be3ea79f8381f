//! What can be set for one store, whatever the server's defaults are.

use std::time::Duration;

use obsession_core::{SessionIndex, SessionStore, Update};
use obsession_sqlx::{Statements, SynchronousCommit};
use testing::PostgresServer;

use crate::common::{self, create, of, record, rewritten};

/// The shape of the schema is there for it: a write that moves the deadline enters no index again.
#[tokio::test(flavor = "multi_thread")]
async fn writes_that_move_the_deadline_stay_on_their_page() {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    let builder = common::postgres::builder(&server.url(), "sessions");
    let store = common::postgres::migrated(builder.deadline(Duration::from_secs(10))).await;
    let mut known = of("zoë", record(1));
    create(&store, &known).await;
    for _ in 0..200 {
        let mut next = rewritten(&known, &[7; 256]);
        next.expires_at = known.expires_at.saturating_add(Duration::from_millis(5));
        assert_eq!(
            store.update(known.revision, &next).await.unwrap(),
            Update::Updated
        );
        known = next;
    }
    store.close().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let row = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'";
    let row = server.sql(row).unwrap();
    let (updates, hot) = row.split_once('|').unwrap();
    assert_eq!(updates, "200");
    assert!(hot.parse::<u64>().unwrap() >= 190, "{hot} of {updates}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_durability_of_a_store_is_its_own() {
    let server = PostgresServer::start(&[]).unwrap();
    for statements in [Statements::Prepared, Statements::Unprepared] {
        let mut syncs = Vec::new();
        for level in [SynchronousCommit::On, SynchronousCommit::Off] {
            let builder = common::postgres::builder(&server.url(), &common::table())
                .synchronous_commit(level)
                .statements(statements)
                .deadline(Duration::from_secs(10));
            let store = common::postgres::migrated(builder).await;
            create(&store, &record(0)).await;
            let count = || {
                let count = "SELECT wal_sync FROM pg_stat_wal";
                server.sql(count).unwrap().parse::<u64>().unwrap()
            };
            let before = count();
            for n in 1..100 {
                create(&store, &record(n)).await;
            }
            store.close().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            syncs.push(count() - before);
        }
        println!("{statements:?}: {syncs:?} syncs for 99 writes");
        assert!(syncs[0] >= 99, "{syncs:?}");
        assert!(syncs[1] < 50, "{syncs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlogged_table_is_one_and_is_empty_after_a_crash() {
    let mut server = PostgresServer::start(&[]).unwrap();
    let builder = common::postgres::builder(&server.url(), "sessions");
    let builder = builder
        .unlogged(true)
        .readers(1)
        .writers(1)
        .deadline(Duration::from_secs(10));
    let store = common::postgres::migrated(builder).await;
    create(&store, &record(1)).await;
    assert!(store.load(&record(1).key).await.unwrap().is_some());
    let kind = "SELECT relpersistence FROM pg_class WHERE relname = 'sessions'";
    assert_eq!(server.sql(kind).unwrap(), "u");
    server.kill();
    server.restart().unwrap();
    // The load finds that its connection is gone, and has the others be asked.
    assert_eq!(store.load(&record(1).key).await.unwrap(), None);
    create(&store, &record(1)).await;
}

/// Times are numbers, and the server's clock is asked for a number.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_zone_of_the_server_is_of_no_account() {
    let zone = [("timezone", "America/St_Johns"), ("fsync", "off")];
    let server = PostgresServer::start(&zone).unwrap();
    for statements in [Statements::Prepared, Statements::Unprepared] {
        let builder = common::postgres::builder(&server.url(), &common::table());
        let builder = builder
            .statements(statements)
            .deadline(Duration::from_secs(10));
        let store = common::postgres::migrated(builder).await;
        let mut short = record(1);
        short.expires_at = short.created_at.saturating_add(Duration::from_mins(1));
        create(&store, &short).await;
        assert!(store.load(&short.key).await.unwrap().is_some());
        let mut past = record(2);
        past.expires_at = obsession_core::Timestamp::from_millis(past.created_at.as_millis() - 1);
        create(&store, &past).await;
        assert_eq!(store.load(&past.key).await.unwrap(), None);
        assert_eq!(store.count().await.unwrap(), 1);
        assert_eq!(store.delete_expired(10).await.unwrap(), 1);
    }
}
