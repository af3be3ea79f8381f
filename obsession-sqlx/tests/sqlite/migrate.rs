//! The table is made once, whoever makes it.

use std::process::{Command, Stdio};

use obsession_core::SessionStore;
use obsession_sqlx::sqlx::Row;
use obsession_sqlx::{ConnectError, SqliteStore};

use crate::common::{create, record};
use crate::file::File;

const URL: &str = "OBSESSION_MIGRATE";

/// One of the ten: migrates, connects and uses the store.
#[tokio::test]
async fn a_process_that_migrates() {
    let Some(url) = std::env::var_os(URL) else {
        return;
    };
    let builder = SqliteStore::builder(url.to_str().unwrap()).table("sessions");
    let builder = builder.deadline(std::time::Duration::from_secs(20));
    let store = builder.migrate().await.unwrap().connect().await.unwrap();
    let mine = record(u64::from(std::process::id()));
    create(&store, &mine).await;
    assert_eq!(store.load(&mine.key).await.unwrap(), Some(mine));
    store.close().await;
}

#[tokio::test]
async fn ten_processes_may_migrate_at_once_and_again() {
    let file = File::new();
    for round in 1..=2 {
        let start = |_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "migrate::a_process_that_migrates"])
                .env(URL, file.url())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = (0..10).map(start).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let more = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}: {said}{more}");
            assert!(said.contains("1 passed"), "{said}");
        }
        let mut other = file.other().await;
        let rows = other.run("SELECT version FROM sessions_version").await;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].get::<i64, _>(0), 1);
        let records = other.run("SELECT key FROM sessions").await;
        assert_eq!(records.len(), 10 * round);
    }
}

#[tokio::test]
async fn the_sql_that_is_printed_makes_the_same_tables() {
    let (by_hand, by_itself) = (File::new(), File::new());
    let sql = by_hand.builder().migration_sql(0).unwrap();
    by_hand.other().await.run(&sql).await;
    by_itself.store().await.close().await;
    let schema = async |file: &File| {
        let sql = "SELECT name, sql FROM sqlite_schema ORDER BY name";
        let rows = file.other().await.run(sql).await;
        let text = |row| -> (String, Option<String>) { (Row::get(row, 0), Row::get(row, 1)) };
        rows.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(schema(&by_hand).await, schema(&by_itself).await);
    assert_eq!(by_hand.builder().migration_sql(1).unwrap(), "");
    create(&by_hand.builder().connect().await.unwrap(), &record(1)).await;
}

#[tokio::test]
async fn a_newer_version_is_left_alone() {
    let file = File::new();
    file.store().await.close().await;
    file.other()
        .await
        .run("UPDATE sessions_version SET version = 2")
        .await;
    let said = [
        file.builder().migrate().await.unwrap_err(),
        file.builder().connect().await.unwrap_err(),
    ];
    for error in said {
        assert!(
            matches!(
                error,
                ConnectError::Version {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
}

/// What version 1 of the schema was, as it is in files that are there.
#[tokio::test]
async fn a_dump_of_version_1_is_brought_up_to_date_with_its_sessions() {
    let file = File::new();
    let dump = include_str!("../dumps/sqlite_version_1.sql");
    file.other().await.run(dump).await;
    let store = file.store().await;
    let loaded = store
        .load(&"AbCdEfGhIjKlMn.-".parse().unwrap())
        .await
        .unwrap();
    let loaded = loaded.expect("the session of the dump");
    assert_eq!(loaded.subject.as_deref(), Some("zoë"));
    assert_eq!(loaded.revision.as_u64(), u64::MAX - 1);
    assert_eq!(&*loaded.body, b"\x00body\xff");
    assert_eq!(loaded.expires_at, obsession_core::Timestamp::MAX);
}

#[tokio::test]
async fn a_table_that_is_up_to_date_is_migrated_without_a_lock() {
    let file = File::new();
    let _store = file.store().await;
    let mut other = file.other().await;
    other.run("BEGIN IMMEDIATE").await;
    // It would wait for the other, for a minute.
    let again = tokio::time::timeout(std::time::Duration::from_secs(5), file.builder().migrate());
    let _ = again.await.expect("no lock").unwrap();
}
