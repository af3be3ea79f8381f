//! tower-sessions on SQLite with the same safety: a write-ahead log and `synchronous=FULL`.

use std::sync::Arc;

use async_trait::async_trait;
use measure::{Bytes, Library, Outcome, Place, Plan, Tower, file_bytes, measure};
use tempfile::TempDir;
use tower_sessions_sqlx_store::SqliteStore;
use tower_sessions_sqlx_store::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous,
};
use tower_sessions_sqlx_store::sqlx::{SqlitePool, query, query_scalar};

struct Sqlite {
    folder: TempDir,
    pool: Option<SqlitePool>,
}

impl Sqlite {
    async fn connect(&self) -> Outcome<SqlitePool> {
        let options = SqliteConnectOptions::new()
            .filename(self.folder.path().join("sessions.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        Ok(SqlitePool::connect_with(options).await?)
    }
}

#[async_trait]
impl Place for Sqlite {
    async fn open(&mut self, plan: &Plan) -> Outcome<Arc<dyn Library>> {
        let pool = self.connect().await?;
        self.pool = Some(pool.clone());
        let store = SqliteStore::new(pool);
        store.migrate().await?;
        Ok(Arc::new(Tower::deleting(store, plan)))
    }

    async fn close(&mut self) -> Outcome<bool> {
        if let Some(pool) = self.pool.take() {
            pool.close().await;
        }
        Ok(true)
    }

    async fn bytes(&mut self, _: usize) -> Outcome<Vec<Bytes>> {
        let held = self.held().await?.unwrap_or_default();
        let pool = self.connect().await?;
        query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&pool)
            .await?;
        pool.close().await;
        let what = "files after wal_checkpoint(TRUNCATE)";
        Ok(vec![Bytes::of(
            what,
            file_bytes(self.folder.path())? as f64,
            held,
        )])
    }

    async fn held(&mut self) -> Outcome<Option<usize>> {
        let pool = self.connect().await?;
        let count: i64 = query_scalar("SELECT count(*) FROM tower_sessions")
            .fetch_one(&pool)
            .await?;
        pool.close().await;
        Ok(Some(usize::try_from(count)?))
    }

    async fn note(&mut self) -> Outcome<String> {
        let pool = self.connect().await?;
        let version: String = query_scalar("SELECT sqlite_version()")
            .fetch_one(&pool)
            .await?;
        pool.close().await;
        Ok(format!("SQLite {version}, WAL, synchronous=FULL"))
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let plan = Plan::from_arguments(std::env::args().skip(1))?;
    let place = Sqlite {
        folder: tempfile::tempdir()?,
        pool: None,
    };
    let row = measure("sqlite", "tower-sessions", place, plan).await?;
    row.print()
}
