//! What requests cost the server, counted by the server, and that none is lost.

use std::time::Duration;

use obsession_core::conformance::count_up;
use obsession_core::{Create, Delete, SessionIndex, SessionStore, Touch, Update};
use obsession_sqlx::MySqlStore;
use testing::MariadbServer;

use crate::common::{self, create, of, record, rewritten, touch};
use crate::{SERVER, builder, store};

#[tokio::test(flavor = "multi_thread")]
async fn the_increments_of_64_tasks_are_all_counted() {
    let each = if common::full() { 1000 } else { 50 };
    println!("{:?}", count_up(store(&SERVER).await, 64, each).await);
}

/// A server that nobody else asks anything, and a store with one connection for each purpose, on which
/// each statement has been prepared.
async fn counted() -> (MariadbServer, MySqlStore) {
    let server = MariadbServer::start(&MariadbServer::FAST).unwrap();
    let store = common::mysql::migrated(builder(&server).readers(1).writers(1)).await;
    for _ in 0..2 {
        let warm = record(1000);
        create(&store, &warm).await;
        let next = rewritten(&warm, b"");
        let _ = store.update(warm.revision, &next).await.unwrap();
        let _ = store
            .update(warm.revision, &rewritten(&warm, b""))
            .await
            .unwrap();
        let _ = store.create(&warm).await.unwrap();
        let _ = touch(&store, &next, warm.expires_at).await.unwrap();
        store.load(&warm.key).await.unwrap();
        let _ = store.delete(&warm.key).await.unwrap();
    }
    (server, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sends_as_few_statements_as_it_can() {
    let (server, store) = counted().await;
    let counted = common::cost(store, || server.calls().unwrap()).await;
    assert_eq!(counted, common::STATEMENTS);
}

/// Only what an update or a create in vain has met costs a second statement: MariaDB does not say it
/// in the first.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_one_statement_but_for_conflicts() {
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
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    sent(1, "load");
    assert_eq!(store.load(&other.key).await.unwrap(), None);
    sent(1, "load of nothing");
    let updated = store.update(old.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
    sent(1, "update");
    let conflict = store.update(old.revision, &late).await.unwrap();
    assert_eq!(conflict, Update::Conflict(next.clone()));
    sent(2, "update in vain");
    for at in [later, old.created_at] {
        let touched = store.touch(&next.key, next.revision, at).await.unwrap();
        assert_eq!(touched, Touch::Touched);
        sent(1, "touch");
    }
    // The insert, whether it has expired, and what it is.
    assert_eq!(store.create(&late).await.unwrap(), Create::KeyTaken);
    sent(3, "create of a taken key");
    for answer in [Delete::Deleted, Delete::Gone] {
        assert_eq!(store.delete(&old.key).await.unwrap(), answer);
        sent(1, "delete");
    }
    let begins = "SELECT variable_value FROM information_schema.global_status \
                  WHERE variable_name = 'COM_BEGIN'";
    assert_eq!(server.sql(begins).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_goes_by_the_index_and_takes_different_rows_in_each_process() {
    let size = if common::full() { 200_000 } else { 20_000 };
    let server = MariadbServer::start(&MariadbServer::FAST).unwrap();
    let builder = || {
        let builder = common::mysql::builder(&server.url(), "sessions");
        builder.deadline(Duration::from_mins(1))
    };
    let store = common::mysql::migrated(builder()).await;
    let other = builder().connect().await.unwrap();
    server
        .sql(&format!(
            "INSERT INTO sessions SELECT substr(md5(seq), 1, 16), seq, NULL, 0, \
             IF(seq % 10 = 0, seq, 4000000000000 + seq), repeat('x', 256) FROM seq_1_to_{size}; \
             ANALYZE TABLE sessions"
        ))
        .unwrap();
    let plan = server
        .sql(
            "EXPLAIN DELETE old FROM sessions AS old JOIN (SELECT `key` FROM sessions \
             WHERE expires_at <= coalesce(NULL, timestampdiff(MICROSECOND, '1970-01-01', \
             utc_timestamp(3)) DIV 1000) ORDER BY expires_at, `key` LIMIT 256 \
             FOR UPDATE SKIP LOCKED) AS found ON old.`key` = found.`key`",
        )
        .unwrap();
    assert!(plan.contains("range\tsessions_expires_at_idx"), "{plan}");
    assert!(plan.contains("eq_ref\tPRIMARY"), "{plan}");
    let clean = async |store: &obsession_sqlx::MySqlStore| {
        let mut removed = 0;
        while let now @ 1.. = store.delete_expired(1000).await.unwrap() {
            removed += now;
        }
        removed
    };
    let (here, there) = tokio::join!(clean(&store), clean(&other));
    println!("{here} + {there} of {size}");
    assert_eq!(here + there, size / 10);
    assert_eq!(store.count().await.unwrap(), (size - size / 10) as u64);
}

/// Times are numbers, and what the server's zone is changes none.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_zone_and_the_modes_of_the_server_are_of_no_account() {
    let settings = [
        ("default-time-zone", "-03:30"),
        ("sql-mode", "ANSI_QUOTES"),
        ("autocommit", "0"),
        ("innodb-flush-log-at-trx-commit", "2"),
    ];
    let server = MariadbServer::start(&settings).unwrap();
    let store = store(&server).await;
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
    // Two texts that differ in what many collations overlook.
    create(&store, &of("Zoe", record(3))).await;
    create(&store, &of("zoe ", record(4))).await;
    assert_eq!(store.list("zoe", None, 9).await.unwrap(), []);
}
