//! Opens a session in a store of your own: `cargo run -p custom_store`.

use std::error::Error;

use custom_store::RedbStore;
use obsession_core::{SessionManager, SystemClock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let store = RedbStore::open(folder.path().join("sessions.redb"), SystemClock)?;
    let manager = SessionManager::new(store);
    let session = manager.open(None);
    session.insert("greeting", "hello from a store of your own")?;
    session.save().await?;
    let again = manager.open(session.id().await?);
    println!("{:?}", again.get::<String>("greeting").await?);
    Ok(())
}
