//! This library on SQLite, at its defaults: a write-ahead log and `synchronous=FULL`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use measure::{Bytes, Library, Ours, Outcome, Place, Plan, Time, file_bytes, measure};
use obsession_sqlx::SqliteStore;
use obsession_sqlx::sqlx::sqlite::SqliteConnectOptions;
use obsession_sqlx::sqlx::{ConnectOptions, Connection, SqliteConnection, query, query_scalar};
use tempfile::TempDir;

struct Sqlite {
    folder: TempDir,
    time: Time,
}

impl Sqlite {
    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("sessions.db")
    }

    async fn connect(&self) -> Outcome<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(self.file());
        Ok(options.connect().await?)
    }
}

#[async_trait]
impl Place for Sqlite {
    async fn open(&mut self, plan: &Plan) -> Outcome<Arc<dyn Library>> {
        let builder = SqliteStore::builder(format!("sqlite:{}", self.file().display()));
        // A batch of cleanup is measured however long it takes.
        let builder = builder
            .clock(self.time.clock())
            .deadline(Duration::from_secs(30));
        let store = builder.migrate().await?.connect().await?;
        Ok(Arc::new(Ours::new(store, self.time.clone(), plan)))
    }

    async fn close(&mut self) -> Outcome<bool> {
        Ok(true)
    }

    async fn bytes(&mut self, _: usize) -> Outcome<Vec<Bytes>> {
        let held = self.held().await?.unwrap_or_default();
        let mut connection = self.connect().await?;
        query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        let what = "files after wal_checkpoint(TRUNCATE)";
        Ok(vec![Bytes::of(
            what,
            file_bytes(self.folder.path())? as f64,
            held,
        )])
    }

    async fn held(&mut self) -> Outcome<Option<usize>> {
        let mut connection = self.connect().await?;
        let count: i64 = query_scalar("SELECT count(*) FROM obsession_sessions")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(Some(usize::try_from(count)?))
    }

    async fn note(&mut self) -> Outcome<String> {
        let mut connection = self.connect().await?;
        let version: String = query_scalar("SELECT sqlite_version()")
            .fetch_one(&mut connection)
            .await?;
        Ok(format!("SQLite {version}, WAL, synchronous=FULL"))
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let plan = Plan::from_arguments(std::env::args().skip(1))?;
    let place = Sqlite {
        folder: tempfile::tempdir()?,
        time: Time::standing(),
    };
    let row = measure("sqlite", "obsession", place, plan).await?;
    row.print()
}
