//! A file for a test, and others who use it.

use std::path::PathBuf;

use obsession_sqlx::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use obsession_sqlx::sqlx::{self, AssertSqlSafe, ConnectOptions};
use obsession_sqlx::{SqlStoreBuilder, Sqlite, SqliteStore};
use tempfile::TempDir;

/// A file in a folder of its own.
pub(crate) struct File {
    pub(crate) folder: TempDir,
}

impl File {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("sessions.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    pub(crate) fn builder(&self) -> SqlStoreBuilder<Sqlite> {
        SqliteStore::builder(&*self.url()).table("sessions")
    }

    /// A store whose table has been made.
    pub(crate) async fn store(&self) -> SqliteStore {
        let builder = self.builder().migrate().await.unwrap();
        builder.connect().await.unwrap()
    }

    /// Somebody else with the file.
    pub(crate) async fn other(&self) -> Other {
        let options = SqliteConnectOptions::new().filename(self.path());
        Other(options.create_if_missing(true).connect().await.unwrap())
    }
}

/// A connection that is none of the store's.
pub(crate) struct Other(SqliteConnection);

impl Other {
    pub(crate) async fn run(&mut self, sql: &str) -> Vec<SqliteRow> {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).fetch_all(&mut self.0).await.unwrap()
    }
}
