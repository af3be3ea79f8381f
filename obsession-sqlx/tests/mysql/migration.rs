//! The schema: made by whoever comes first, and brought up to date.

use std::process::{Command, Stdio};
use std::time::Duration;

use obsession_core::{SessionIndex, SessionStore};
use obsession_sqlx::{ConnectError, MySqlStore};
use testing::MariadbServer;

use crate::SERVER;
use crate::common::{self, create, record};

const CHILD: &str = "MIGRATES_AS_A_CHILD";

/// Ten processes at once, twice.
#[tokio::test(flavor = "multi_thread")]
async fn ten_processes_migrate_at_once() {
    if let Ok(url) = std::env::var(CHILD) {
        let builder = common::mysql::builder(&url, "sessions");
        let store = common::mysql::migrated(builder.deadline(Duration::from_secs(30))).await;
        create(&store, &record(std::process::id().into())).await;
        return;
    }
    let server = MariadbServer::start(&MariadbServer::FAST).unwrap();
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
        let count = server.sql("SELECT count(*) FROM sessions").unwrap();
        assert_eq!(count, (round * 10).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_looked_at_first() {
    let table = common::table();
    let builder = || {
        let builder = common::mysql::builder(&SERVER.url(), &table);
        builder.deadline(Duration::from_secs(10))
    };
    let missing = builder().connect().await.unwrap_err();
    assert!(
        matches!(missing, ConnectError::NoTable { .. }),
        "{missing:?}"
    );
    SERVER
        .sql(&format!("CREATE TABLE {table} (a int)"))
        .unwrap();
    for error in [
        builder().connect().await.unwrap_err(),
        builder().migrate().await.unwrap_err(),
    ] {
        assert!(matches!(error, ConnectError::Foreign { .. }), "{error:?}");
    }
    SERVER.sql(&format!("DROP TABLE {table}")).unwrap();
    // By hand it is the same.
    let script = builder().migration_sql(0).unwrap();
    SERVER.sql(&script).unwrap();
    create(&builder().connect().await.unwrap(), &record(1)).await;
    let newer = format!("ALTER TABLE {table} COMMENT = 'obsession-sqlx 1000'");
    SERVER.sql(&newer).unwrap();
    for error in [
        builder().connect().await.unwrap_err(),
        builder().migrate().await.unwrap_err(),
    ] {
        assert!(
            matches!(error, ConnectError::Version { found: 1000, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_right_is_needed_that_is_not_used() {
    let server = MariadbServer::start(&MariadbServer::FAST).unwrap();
    let owner = common::mysql::builder(&server.url(), "sessions");
    drop(owner.migrate().await.unwrap());
    server
        .sql(
            "CREATE USER app@'127.0.0.1'; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON test.sessions TO app@'127.0.0.1'",
        )
        .unwrap();
    let url = server.url().replace("root@", "app@");
    let builder = common::mysql::builder(&url, "sessions").deadline(Duration::from_secs(10));
    let store = common::mysql::migrated(builder).await;
    create(&store, &common::of("zoë", record(1))).await;
    assert_eq!(store.list("zoë", None, 9).await.unwrap().len(), 1);
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 1);
    assert_eq!(store.delete_expired(9).await.unwrap(), 0);
    assert!(
        common::mysql::builder(&url, "others")
            .migrate()
            .await
            .is_err()
    );
}

/// What version 1 of the schema was, as it is in databases that are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_version_1_is_brought_up_to_date_with_its_sessions() {
    let server = MariadbServer::start(&MariadbServer::FAST).unwrap();
    server
        .sql(include_str!("../dumps/mariadb_version_1.sql"))
        .unwrap();
    let builder = MySqlStore::builder(&*server.url()).table("sessions");
    let store = common::mysql::migrated(builder.deadline(Duration::from_secs(10))).await;
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
