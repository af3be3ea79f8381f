//! obsession-core
mod clock;
mod crc32;
mod error;
mod id;
mod record;
mod row;
mod store;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::{Effect, Error, StoreError};
pub use id::{InvalidId, SessionId, SessionKey};
pub use record::{Record, Revision};
pub use row::CorruptRow;
pub use store::{Create, Delete, ScanCursor, SessionIndex, SessionStore, Touch, Update};
