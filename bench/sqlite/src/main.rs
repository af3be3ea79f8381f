//! obsession on SQLite, at its defaults: a write-ahead log and `synchronous=FULL`.

use obsession_sqlx::SqliteStore;
use work::{Ours, Outcome, Subject, serve};

#[tokio::main]
async fn main() -> Outcome<()> {
    let path = std::env::args().nth(1).ok_or("the path of the file?")?;
    let builder = SqliteStore::builder(format!("sqlite:{path}"));
    let store = builder.migrate().await?.connect().await?;
    serve(Subject::new(Ours::new(store)).await?).await
}
