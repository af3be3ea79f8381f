//! obsession on SQLite, at its defaults: a write-ahead log and `synchronous=FULL`.

use obsession_sqlx::SqliteStore;
use work::{Ours, Outcome, Size, Subject, serve};

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the path of the file?")?;
    let size = Size::named(&arguments.next().ok_or("the size of the sessions?")?)?;
    let builder = SqliteStore::builder(format!("sqlite:{path}"));
    let store = builder.migrate().await?.connect().await?;
    serve(Subject::new(Ours::new(store), size).await?).await
}
