//! What each library and each store has to be able to do to be measured.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Bytes, Outcome, Plan};

/// A session library with a store of its own, as an application uses it.
#[async_trait]
pub trait Library: Send + Sync + 'static {
    /// Makes the `n`th session, and says what its client is to send.
    async fn make(&self, n: usize, dies: bool, values: &[(String, String)]) -> Outcome<String>;

    /// A request that reads one key and writes it.
    async fn save(&self, id: &str, value: &str) -> Outcome<()>;

    /// A request that reads one key: whether there is such a session.
    async fn has(&self, id: &str) -> Outcome<bool>;

    /// Returns when all that are to die have expired.
    async fn expire(&self) -> Outcome<()>;

    /// A pass of cleanup: how long each batch took, and how many it has removed if that is known. Nothing if
    /// the library has none for this store.
    async fn clean(&self) -> Outcome<Option<Vec<(Duration, Option<usize>)>>>;
}

/// Where one library keeps its sessions.
#[async_trait]
pub trait Place: Send {
    /// Opens the store, and makes it the first time.
    async fn open(&mut self, plan: &Plan) -> Outcome<Arc<dyn Library>>;

    /// Closes the store. Whether it can be opened again with what was in it.
    async fn close(&mut self) -> Outcome<bool>;

    /// How much room all sessions take, of which this many bytes are the measurement's own. It may be
    /// measured in several ways, of which the first is the one to compare.
    async fn bytes(&mut self, own: usize) -> Outcome<Vec<Bytes>>;

    /// How many sessions are kept, expired or not, if that can be found out.
    async fn held(&mut self) -> Outcome<Option<usize>>;

    /// Whether the store removes by itself what has expired.
    fn expires_itself(&self) -> bool {
        false
    }

    /// What a reader of the figures should know.
    async fn note(&mut self) -> Outcome<String>;
}

/// The sizes of all files in a folder, in it and below.
pub fn file_bytes(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        sum += if kind.is_dir() {
            file_bytes(&entry.path())?
        } else {
            kind.len()
        };
    }
    Ok(sum)
}
