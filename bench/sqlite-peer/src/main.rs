//! tower-sessions on SQLite with a write-ahead log, and with the same safety, `synchronous=FULL`, or
//! less.

use tower_sessions_sqlx_store::SqliteStore;
use tower_sessions_sqlx_store::sqlx::SqlitePool;
use tower_sessions_sqlx_store::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous,
};
use work::{Outcome, Size, Subject, Tower, serve};

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the path of the file?")?;
    let size = Size::named(&arguments.next().ok_or("the size of the sessions?")?)?;
    let synchronous = match arguments.next().as_deref() {
        Some("full") => SqliteSynchronous::Full,
        Some("normal") => SqliteSynchronous::Normal,
        _ => return Err("full or normal?".into()),
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    let store = SqliteStore::new(SqlitePool::connect_with(options).await?);
    store.migrate().await?;
    serve(Subject::new(Tower::new(store), size).await?).await
}
