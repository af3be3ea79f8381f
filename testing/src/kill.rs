//! Kills of a process that writes to a store of one directory, and a look at what is left.

mod cycles;
mod ledger;
mod writer;

use std::error::Error;
use std::path::Path;

use obsession_core::SessionIndex;

pub use cycles::{Kills, kill_while_it_writes};
pub use writer::write_until_killed;

/// What a program that kills can do, or why it can not go on.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A kind of store that survives its process.
pub trait Victim {
    /// The store.
    type Store: SessionIndex + Clone;

    /// Opens it at `path`, where there is nothing the first time. `early` asks for one that
    /// acknowledges before anything is on disk, to show that it would be noticed.
    fn open(path: &Path, early: bool) -> impl Future<Output = Outcome<Self::Store>> + Send;

    /// Closes it.
    fn close(store: Self::Store) -> impl Future<Output = Outcome> + Send;
}
