//! What is refused when a store is opened, and left as it was.

use std::error::Error;
use std::fs;

use obsession_core::SessionStore;
use obsession_sqlx::sqlx::Row;
use obsession_sqlx::{ConnectError, FailureKind, SqliteStore};

use crate::common::{create, record};
use crate::file::File;

#[tokio::test]
async fn names_that_could_be_anything_else_are_refused() {
    let file = File::new();
    let long = "x".repeat(49);
    let names = [
        "", "1st", "Sessions", "a b", "a;b", "a\"b", "a-b", "ä", "a.b", "sqlite_x", "pg_x", &long,
    ];
    for name in names {
        let refused = file.builder().table(name).migrate().await.unwrap_err();
        assert!(
            matches!(refused, ConnectError::Name { .. }),
            "{name}: {refused}"
        );
        assert!(
            refused.to_string().contains(&format!("{name:?}")),
            "{refused}"
        );
    }
    assert!(!file.path().exists(), "it was opened");
    let longest = "_".repeat(48);
    let builder = file.builder().table(&longest).migrate().await.unwrap();
    let store = builder.connect().await.unwrap();
    create(&store, &record(1)).await;
    assert!(store.load(&record(1).key).await.unwrap().is_some());
    // Words of SQL as well.
    let builder = file.builder().table("select").migrate().await.unwrap();
    create(&builder.connect().await.unwrap(), &record(1)).await;
}

#[tokio::test]
async fn a_store_in_memory_is_refused() {
    for url in [
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite:",
        "sqlite:x?mode=memory",
    ] {
        let refused = SqliteStore::builder(url).migrate().await.unwrap_err();
        assert!(
            refused.to_string().contains("in memory"),
            "{url}: {refused}"
        );
        let refused = SqliteStore::connect(url).await.unwrap_err();
        assert!(
            refused.to_string().contains("in memory"),
            "{url}: {refused}"
        );
    }
}

#[tokio::test]
async fn what_has_not_been_migrated_is_told_at_the_start() {
    let file = File::new();
    let missing = file.builder().connect().await.unwrap_err();
    assert!(
        matches!(
            missing,
            ConnectError::Sql {
                kind: FailureKind::Storage,
                ..
            }
        ),
        "{missing}"
    );
    assert!(!file.path().exists(), "only migrating makes a file");
    file.other().await.run("CREATE TABLE things (x)").await;
    let refused = file.builder().connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::NoTable { .. }), "{refused}");
    // The application's file is as it was.
    let mut other = file.other().await;
    let mode = other.run("PRAGMA journal_mode").await;
    assert_eq!(mode[0].get::<String, _>(0), "delete");
}

#[tokio::test]
async fn a_table_of_somebody_elses_is_left_alone() {
    for sql in [
        "CREATE TABLE sessions (id TEXT, data TEXT)",
        "CREATE TABLE other (id TEXT); CREATE VIEW sessions AS SELECT * FROM other",
        "CREATE TABLE sessions (id TEXT); CREATE TABLE sessions_version (x TEXT)",
        "CREATE TABLE sessions_version (version INTEGER)",
    ] {
        let file = File::new();
        file.other().await.run(sql).await;
        let before = fs::read(file.path()).unwrap();
        let refused = file.builder().migrate().await.unwrap_err();
        assert!(
            matches!(refused, ConnectError::Foreign { .. }),
            "{sql}: {refused}"
        );
        let refused = file.builder().connect().await.unwrap_err();
        assert!(
            matches!(refused, ConnectError::Foreign { .. }),
            "{sql}: {refused}"
        );
        assert_eq!(fs::read(file.path()).unwrap(), before, "{sql}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_as_its_version_says_is_told_at_the_start() {
    let file = File::new();
    file.store().await.close().await;
    file.other()
        .await
        .run("ALTER TABLE sessions RENAME COLUMN body TO bodies")
        .await;
    let refused = file.builder().connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::Columns { .. }), "{refused}");
    assert!(
        refused.source().unwrap().to_string().contains("body"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_is_no_database_is_named() {
    let file = File::new();
    fs::write(
        file.path(),
        "something else, and rather longer than the header of a database is: ".repeat(20),
    )
    .unwrap();
    let before = fs::read(file.path()).unwrap();
    for refused in [
        file.builder().migrate().await.unwrap_err(),
        file.builder().connect().await.unwrap_err(),
    ] {
        assert!(
            matches!(
                refused,
                ConnectError::Sql {
                    kind: FailureKind::NotADatabase,
                    ..
                }
            ),
            "{refused:?}"
        );
        assert_eq!(refused.to_string(), "the file is not a database");
    }
    assert_eq!(fs::read(file.path()).unwrap(), before);
    let folder = format!("sqlite:{}", file.folder.path().display());
    let refused = SqliteStore::builder(&*folder).migrate().await.unwrap_err();
    assert!(
        matches!(
            refused,
            ConnectError::Sql {
                kind: FailureKind::Storage,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_url_of_something_else_is_refused() {
    let refused = SqliteStore::connect("sqlite:x?mode=sideways")
        .await
        .unwrap_err();
    assert!(matches!(refused, ConnectError::Url(_)), "{refused}");
}

/// Root may write what is read-only, so this is done as somebody else, in a process of its own.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_can_only_be_read_is_told_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    const URL: &str = "OBSESSION_READ_ONLY";
    if let Some(url) = std::env::var_os(URL) {
        let refused = SqliteStore::builder(url.to_str().unwrap())
            .table("sessions")
            .connect()
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                ConnectError::Sql {
                    kind: FailureKind::ReadOnly,
                    ..
                }
            ),
            "{refused:?}"
        );
        assert_eq!(refused.to_string(), "the database is read-only");
        return;
    }
    let file = File::new();
    let store = file.store().await;
    create(&store, &record(1)).await;
    store.close().await;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o444)).unwrap();
    // Where the log's files can be made.
    fs::set_permissions(file.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // A copy, for the folder of builds may be closed to others.
    let program = file.folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(program);
    child.args([
        "--exact",
        "open::a_file_that_can_only_be_read_is_told_at_the_start",
    ]);
    child.env(URL, file.url()).current_dir(file.folder.path());
    if std::os::unix::fs::MetadataExt::uid(&fs::metadata(file.path()).unwrap()) == 0 {
        child.uid(65534);
    }
    let output = child.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
