//! The schema: made by whoever comes first, with no right that is not needed, and brought up to date.

use std::process::{Command, Stdio};
use std::time::Duration;

use obsession_core::{SessionIndex, SessionStore};
use obsession_sqlx::{PostgresStore, Statements};
use testing::PostgresServer;

use crate::SERVER;
use crate::common::{self, create, record};

const CHILD: &str = "MIGRATES_AS_A_CHILD";

/// Ten processes at once, twice.
#[tokio::test(flavor = "multi_thread")]
async fn ten_processes_migrate_at_once() {
    if let Ok(url) = std::env::var(CHILD) {
        let builder = common::postgres::builder(&url, "sessions").schema("made_by_ten");
        let store = common::postgres::migrated(builder.deadline(Duration::from_secs(30))).await;
        create(&store, &record(std::process::id().into())).await;
        return;
    }
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    for round in 1..=2 {
        let children = (0..10).map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["migration::ten_processes_migrate_at_once", "--exact"])
                .env(CHILD, server.url())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        for child in children.collect::<Vec<_>>() {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        let count = server
            .sql("SELECT count(*) FROM made_by_ten.sessions")
            .unwrap();
        assert_eq!(count, (round * 10).to_string());
        let versions = server
            .sql("SELECT version FROM made_by_ten.sessions_version")
            .unwrap();
        assert_eq!(versions, "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_right_is_needed_that_is_not_used() {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    server
        .sql(
            "REVOKE CREATE ON DATABASE postgres FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC; \
             CREATE ROLE owner LOGIN; CREATE ROLE app LOGIN; CREATE SCHEMA web; \
             GRANT USAGE, CREATE ON SCHEMA web TO owner; GRANT USAGE ON SCHEMA web TO app",
        )
        .unwrap();
    let as_role = |role: &str| {
        let url = server.url().replace("postgres@", &format!("{role}@"));
        let builder = common::postgres::builder(&url, "sessions").schema("web");
        builder.deadline(Duration::from_secs(10))
    };
    // The schema is there, and this one may make tables in it and no schemas.
    common::postgres::migrated(as_role("owner")).await;
    server
        .sql(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON web.sessions TO app; \
             GRANT SELECT ON web.sessions_version TO app",
        )
        .unwrap();
    let store = common::postgres::migrated(as_role("app")).await;
    create(&store, &common::of("zoë", record(1))).await;
    assert_eq!(store.list("zoë", None, 9).await.unwrap().len(), 1);
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 1);
    assert_eq!(store.delete_expired(9).await.unwrap(), 0);
    // And where nothing is, who may not make it is told so.
    let url = server.url().replace("postgres@", "app@");
    let refused = common::postgres::builder(&url, "others").schema("web");
    assert!(refused.migrate().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_that_is_printed_makes_what_migrate_makes() {
    let columns = |schema: &str| {
        let of = format!("FROM pg_catalog.pg_indexes WHERE schemaname = '{schema}'");
        let indexes = SERVER
            .sql(&format!(
                "SELECT replace(indexdef, '{schema}.', '') {of} ORDER BY 1"
            ))
            .unwrap();
        let of = format!("FROM information_schema.columns WHERE table_schema = '{schema}'");
        let columns = SERVER
            .sql(&format!(
                "SELECT table_name, column_name, data_type, is_nullable, collation_name, \
                 generation_expression {of} ORDER BY 1, 2"
            ))
            .unwrap();
        (indexes, columns)
    };
    let builder = |schema: &str| common::postgres::builder(&SERVER.url(), "order").schema(schema);
    common::postgres::migrated(builder("by_itself")).await;
    let script = builder("by_hand").migration_sql(0).unwrap();
    SERVER.sql(&script).unwrap();
    let store = builder("by_hand").connect().await.unwrap();
    create(&store, &record(1)).await;
    assert_eq!(columns("by_hand"), columns("by_itself"));
    assert_eq!(builder("by_hand").migration_sql(1).unwrap(), "");
}

/// What version 1 of the schema was, as it is in databases that are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_version_1_is_brought_up_to_date_with_its_sessions() {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    server
        .sql(include_str!("../dumps/postgres_version_1.sql"))
        .unwrap();
    for statements in [Statements::Prepared, Statements::Unprepared] {
        let builder = PostgresStore::builder(&*server.url()).table("sessions");
        let builder = builder
            .statements(statements)
            .deadline(Duration::from_secs(10));
        let store = common::postgres::migrated(builder).await;
        let key = "AbCdEfGhIjKlMn.-".parse().unwrap();
        let loaded = store
            .load(&key)
            .await
            .unwrap()
            .expect("the session of the dump");
        assert_eq!(loaded.subject.as_deref(), Some("zoë"));
        assert_eq!(loaded.revision.as_u64(), u64::MAX - 1);
        assert_eq!(&*loaded.body, b"\x00body\xff");
        assert_eq!(loaded.expires_at, obsession_core::Timestamp::MAX);
    }
}
