//! What a server says that can not do as it is asked: what it means, and that the store goes on when the
//! server can.

use std::time::{Duration, Instant};

use obsession_core::{Create, Effect, SessionStore, StoreError, Update};
use obsession_sqlx::{ConnectError, FailureKind, PostgresStore};
use testing::PostgresServer;

use crate::common::{self, create, kind, of, record, rewritten};
use crate::{SERVER, builder};

fn told(error: &StoreError) -> (FailureKind, Effect) {
    (kind(error), error.effect())
}

/// A table that fails writes of the subject `fail xxxxx` with the state xxxxx.
async fn failing() -> PostgresStore {
    let table = common::table();
    let builder = common::postgres::builder(&SERVER.url(), &table).writers(1);
    let store = common::postgres::migrated(builder.deadline(Duration::from_secs(5))).await;
    SERVER
        .sql(&format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF new.subject LIKE 'fail %' THEN \
             RAISE EXCEPTION USING ERRCODE = substr(new.subject, 6), MESSAGE = 'on purpose'; \
             END IF; RETURN new; END $$; \
             CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION fail()"
        ))
        .unwrap();
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_has_a_kind_and_changed_nothing() {
    let store = failing().await;
    let old = record(1);
    create(&store, &old).await;
    for (state, expected) in [
        ("53100", FailureKind::Full),
        ("25006", FailureKind::ReadOnly),
        ("57014", FailureKind::Late),
        ("42501", FailureKind::Refused),
        ("42P01", FailureKind::Schema),
        ("P0001", FailureKind::Rejected),
        ("22001", FailureKind::Rejected),
        ("58030", FailureKind::Storage),
        ("55000", FailureKind::Unexpected),
    ] {
        let next = of(&format!("fail {state}"), rewritten(&old, b""));
        let error = store.update(old.revision, &next).await.unwrap_err();
        assert_eq!(told(&error), (expected, Effect::NotApplied), "{state}");
        assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    }
}

/// Calls share statements, and a row that the database refuses would fail all of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_fails_nobody_elses_call() {
    let store = failing().await;
    for round in 0..5 {
        let creates = (0..32).map(|n| {
            let store = store.clone();
            let record = record(round * 100 + n);
            let record = if n % 8 == 3 {
                of("fail P0001", record)
            } else {
                record
            };
            tokio::spawn(async move { (n, store.create(&record).await) })
        });
        for create in creates.collect::<Vec<_>>() {
            match create.await.unwrap() {
                (n, Err(error)) if n % 8 == 3 => {
                    assert_eq!(told(&error), (FailureKind::Rejected, Effect::NotApplied));
                }
                (_, answer) => assert_eq!(answer.unwrap(), Create::Created),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_read_only_is_written_to_again_when_it_may_be() {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    let store = crate::store(&server).await;
    let (old, new) = (record(1), record(2));
    create(&store, &old).await;
    let set = |value: &str| {
        let setting = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        // It will not be in a transaction with others.
        server
            .sql_each(&["SET default_transaction_read_only = off", &setting])
            .unwrap();
        server.sql("SELECT pg_reload_conf()").unwrap();
    };
    set("on");
    let until = Instant::now() + Duration::from_secs(5);
    let error = loop {
        let again = rewritten(&old, b"");
        match store.update(record(3).revision, &again).await {
            Ok(_) => assert!(Instant::now() < until, "it is not read-only"),
            Err(error) => break error,
        }
    };
    assert_eq!(told(&error), (FailureKind::ReadOnly, Effect::NotApplied));
    assert_eq!(store.load(&old.key).await.unwrap(), Some(old.clone()));
    set("off");
    let until = Instant::now() + Duration::from_secs(5);
    while store.create(&new).await.is_err() {
        assert!(Instant::now() < until, "it stays read-only");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_asked_again() {
    let table = common::table();
    let owner = common::postgres::builder(&SERVER.url(), &table);
    drop(owner.migrate().await.unwrap());
    SERVER
        .sql(&format!(
            "CREATE ROLE few LOGIN CONNECTION LIMIT 1; GRANT ALL ON {table} TO few; \
             GRANT SELECT ON {table}_version TO few"
        ))
        .unwrap();
    let url = SERVER.url().replace("postgres@", "few@");
    let builder = common::postgres::builder(&url, &table)
        .readers(1)
        .writers(1);
    let store = builder
        .deadline(Duration::from_secs(5))
        .connect()
        .await
        .unwrap();
    // The connection that looked at the table is closed, which the server may not have noticed yet.
    let others = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'few'";
    while SERVER.sql(others).unwrap() != "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    create(&store, &record(1)).await;
    let error = store.load(&record(1).key).await.unwrap_err();
    assert_eq!(told(&error), (FailureKind::TooMany, Effect::NotApplied));
    SERVER.sql("ALTER ROLE few CONNECTION LIMIT 10").unwrap();
    assert!(store.load(&record(1).key).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_is_used_again() {
    let mut server = PostgresServer::start(&[]).unwrap();
    let store = crate::store(&server).await;
    let old = record(1);
    create(&store, &old).await;
    assert!(store.load(&old.key).await.unwrap().is_some());
    server.stop();
    let next = rewritten(&old, b"next");
    store.load(&old.key).await.unwrap_err();
    let error = store.update(old.revision, &next).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    server.restart().unwrap();
    assert_eq!(
        store.update(old.revision, &next).await.unwrap(),
        Update::Updated
    );
    create(&store, &record(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_gone_or_another_one_is_said_so() {
    let table = common::table();
    let builder =
        || common::postgres::builder(&SERVER.url(), &table).deadline(Duration::from_secs(5));
    let missing = builder().connect().await.unwrap_err();
    assert!(
        matches!(missing, ConnectError::NoTable { .. }),
        "{missing:?}"
    );
    let store = common::postgres::migrated(builder()).await;
    create(&store, &record(1)).await;
    SERVER.sql(&format!("DROP TABLE {table}")).unwrap();
    let error = store.create(&record(2)).await.unwrap_err();
    assert_eq!(told(&error), (FailureKind::Schema, Effect::NotApplied));
    let foreign = builder().connect().await.unwrap_err();
    assert!(
        matches!(foreign, ConnectError::Foreign { .. }),
        "{foreign:?}"
    );
    SERVER.sql(&format!("DROP TABLE {table}_version")).unwrap();
    let store = common::postgres::migrated(builder()).await;
    create(&store, &record(1)).await;
    SERVER
        .sql(&format!("UPDATE {table}_version SET version = 1000"))
        .unwrap();
    let newer = builder().connect().await.unwrap_err();
    assert!(
        matches!(newer, ConnectError::Version { found: 1000, .. }),
        "{newer:?}"
    );
    SERVER
        .sql(&format!("UPDATE {table}_version SET version = 1"))
        .unwrap();
    SERVER
        .sql(&format!("ALTER TABLE {table} DROP COLUMN body"))
        .unwrap();
    let columns = builder().connect().await.unwrap_err();
    assert!(
        matches!(columns, ConnectError::Columns { .. }),
        "{columns:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_hold_no_body() {
    let store = failing().await;
    let secret = rewritten(&of("fail P0001", record(1)), b"a secret body");
    let error = store.create(&secret).await.unwrap_err();
    let text = format!("{error:?} {error}");
    assert!(!text.contains("a secret body"), "{text}");
    assert!(!text.contains("6120736563726574"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let _ = builder(&SERVER);
    // A server that only recovers takes nothing, and says so in a way of its own.
    let settings = [("hot_standby", "on"), ("fsync", "off")];
    let mut server = PostgresServer::start(&settings).unwrap();
    let builder = builder(&server).table("own").migrate().await.unwrap();
    server.stop();
    std::fs::write(server.folder().join("data/standby.signal"), "").unwrap();
    server.restart().unwrap();
    let refused = builder.connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::Unfit { .. }), "{refused:?}");
}
