#![cfg_attr(doc, doc = "[chapter]: crate::write_your_own_store\n")]
#![doc = include_str!("../README.md")]

mod activity;
mod attempt;
mod bell;
mod body;
mod builder;
mod changes;
mod cleanup;
mod client;
mod clock;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/coming-from-python.md")]
pub mod coming_from_python {}
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod events;
mod failure;
mod file;
mod finish;
mod flash;
mod form_token;
mod guard;
mod id;
mod info;
mod key_map;
mod lifetime;
mod live;
mod locked;
mod manager;
mod memory;
mod readable;
mod record;
mod require;
mod row;
mod scratch;
mod serializer;
mod session;
mod source;
mod state;
mod store;
mod timeout;
mod turns;
mod until;
mod untouched;
mod watch;
mod watchers;
mod work;
// The links of the chapter lead to files where it is read as a file, and to items here: of two
// definitions the first counts.
#[cfg(any(doc, doctest))]
#[doc = "[`SessionStore`]: crate::SessionStore"]
#[doc = "[`SessionIndex`]: crate::SessionIndex"]
#[cfg_attr(feature = "conformance", doc = "[`Setup`]: crate::conformance::Setup")]
#[cfg_attr(
    feature = "conformance",
    doc = "[`Time::clock`]: crate::conformance::Time::clock"
)]
#[cfg_attr(feature = "conformance", doc = "[`run`]: crate::conformance::run()")]
#[cfg_attr(
    feature = "conformance",
    doc = "[`run_index`]: crate::conformance::run_index"
)]
#[cfg_attr(
    feature = "conformance",
    doc = "[`Report`]: crate::conformance::Report"
)]
#[cfg_attr(
    feature = "conformance",
    doc = "[`Faulty`]: crate::conformance::Faulty"
)]
#[doc = ""]
#[doc = include_str!("../docs/write-your-own-store.md")]
pub mod write_your_own_store {}

pub use activity::{Activity, ClientAction};
pub use bell::Bell;
pub use builder::SessionManagerBuilder;
pub use cleanup::Cleanup;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::{Effect, Error, StoreError};
pub use events::{DropReason, EndReason, Event, Events, StoreCall};
pub use file::{FileStore, FileStoreBuilder, OpenError};
pub use guard::ValueMut;
pub use id::{InvalidId, SessionId, SessionKey};
pub use info::SessionInfo;
pub use lifetime::Lifetime;
pub use manager::{SessionManager, Unreadable};
pub use memory::{MemoryStore, MemoryStoreBuilder, WhenFull};
pub use record::{Record, RecordBody, Revision};
pub use require::Refusal;
pub use row::CorruptRow;
pub use serializer::Serializer;
pub use session::Session;
pub use source::{IdSource, Presented};
pub use store::{Create, Delete, ScanCursor, SessionIndex, SessionStore, Touch, Update};
pub use timeout::{TimeoutAt, timeout_at};
pub use watch::WatchEnd;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic elsewhere: what is behind our locks is whole at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
