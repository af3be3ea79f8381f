//! What a server says that can not do as it is asked: what it means, and that the store goes on when the
//! server can.

use std::time::Duration;

use obsession_core::{Effect, SessionStore, StoreError, Update};
use obsession_sqlx::sqlx::{self, Connection, Executor, MySqlConnection};
use obsession_sqlx::{ConnectError, FailureKind};
use testing::MariadbServer;

use crate::common::{self, create, kind, of, record, rewritten};
use crate::{SERVER, store};

fn told(error: &StoreError) -> (FailureKind, Effect) {
    (kind(error), error.effect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_has_a_kind_and_changed_nothing() {
    let table = common::table();
    let builder = common::mysql::builder(&SERVER.url(), &table);
    let store = common::mysql::migrated(builder.deadline(Duration::from_secs(5))).await;
    let mut other = MySqlConnection::connect(&SERVER.url()).await.unwrap();
    let old = record(1);
    create(&store, &old).await;
    for (number, expected) in [
        (1021, FailureKind::Full),
        (1114, FailureKind::Full),
        (1290, FailureKind::ReadOnly),
        (1969, FailureKind::Late),
        (1142, FailureKind::Refused),
        (1146, FailureKind::Schema),
        (1644, FailureKind::Rejected),
        (1030, FailureKind::Storage),
        (1105, FailureKind::Unexpected),
    ] {
        let trigger = format!(
            "CREATE OR REPLACE TRIGGER fail BEFORE UPDATE ON {table} FOR EACH ROW \
             IF NEW.subject = 'fail' THEN SIGNAL SQLSTATE '45000' \
             SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'on purpose'; END IF"
        );
        let trigger = sqlx::raw_sql(sqlx::AssertSqlSafe(trigger));
        other.execute(trigger).await.unwrap();
        let next = of("fail", rewritten(&old, b"a secret body"));
        let error = store.update(old.revision, &next).await.unwrap_err();
        assert_eq!(told(&error), (expected, Effect::NotApplied), "{number}");
        assert!(!format!("{error:?}").contains("a secret body"));
        assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_read_only_is_written_to_again_when_it_may_be() {
    let server = MariadbServer::start(&MariadbServer::FAST).unwrap();
    server
        .sql("CREATE USER app@'127.0.0.1'; GRANT ALL ON test.* TO app@'127.0.0.1'")
        .unwrap();
    let url = server.url().replace("root@", "app@");
    let builder = || {
        let builder = common::mysql::builder(&url, "sessions")
            .readers(1)
            .writers(1);
        builder.deadline(Duration::from_secs(5))
    };
    let store = common::mysql::migrated(builder()).await;
    let old = record(1);
    create(&store, &old).await;
    server.sql("SET GLOBAL read_only = 1").unwrap();
    let next = rewritten(&old, b"");
    let error = store.update(old.revision, &next).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    let refused = builder().connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::Unfit { .. }), "{refused:?}");
    server.sql("SET GLOBAL read_only = 0").unwrap();
    let updated = store.update(old.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_asked_again() {
    let server = MariadbServer::start(&MariadbServer::FAST).unwrap();
    server
        .sql(
            "CREATE USER few@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1; \
             GRANT ALL ON test.* TO few@'127.0.0.1'",
        )
        .unwrap();
    let url = server.url().replace("root@", "few@");
    let builder = common::mysql::builder(&url, "sessions")
        .readers(1)
        .writers(1);
    let builder = builder
        .deadline(Duration::from_secs(5))
        .migrate()
        .await
        .unwrap();
    // The connection that migrated may not be quite gone.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let store = builder.connect().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    create(&store, &record(1)).await;
    let error = store.load(&record(1).key).await.unwrap_err();
    assert_eq!(told(&error), (FailureKind::TooMany, Effect::NotApplied));
    server
        .sql("ALTER USER few@'127.0.0.1' WITH MAX_USER_CONNECTIONS 9")
        .unwrap();
    assert!(store.load(&record(1).key).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_has_what_it_acknowledged_and_is_used_again() {
    let mut server = MariadbServer::start(&[]).unwrap();
    let store = store(&server).await;
    let mut known = record(1);
    create(&store, &known).await;
    for _ in 0..3 {
        for _ in 0..20 {
            let next = rewritten(&known, b"next");
            let updated = store.update(known.revision, &next).await.unwrap();
            assert_eq!(updated, Update::Updated);
            known = next;
        }
        server.kill();
        store.load(&known.key).await.unwrap_err();
        server.restart().unwrap();
        assert_eq!(store.load(&known.key).await.unwrap().as_ref(), Some(&known));
    }
    create(&store, &record(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_keeps_locked_is_busy_and_was_not_changed() {
    let table = common::table();
    let store = common::mysql::migrated(
        common::mysql::builder(&SERVER.url(), &table).deadline(Duration::from_secs(4)),
    )
    .await;
    let old = record(1);
    create(&store, &old).await;
    let mut other = MySqlConnection::connect(&SERVER.url()).await.unwrap();
    other.execute("SET autocommit = 0").await.unwrap();
    let lock = format!(
        "SELECT * FROM {table} WHERE `key` = '{}' FOR UPDATE",
        old.key
    );
    other.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
    let next = rewritten(&old, b"next");
    let error = store.update(old.revision, &next).await.unwrap_err();
    assert_eq!(told(&error), (FailureKind::Busy, Effect::NotApplied));
    let hasty = common::mysql::builder(&SERVER.url(), &table).deadline(Duration::from_secs(1));
    let hasty = hasty.connect().await.unwrap();
    let error = hasty.update(old.revision, &next).await.unwrap_err();
    assert_eq!(told(&error), (FailureKind::Late, Effect::NotApplied));
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    other.execute("ROLLBACK").await.unwrap();
    let updated = store.update(old.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
}
