//! What many sessions cost: how much room they take, how long they take to be there, to be found again after a
//! start, and to be gone once they have expired, and who waits for that.
//!
//! The same steps for every library and every store, in a process of its own each.

mod fill;
#[cfg(feature = "ours")]
mod ours;
mod place;
mod row;
mod saves;
mod steps;
#[cfg(feature = "tower")]
mod tower;

pub use fill::Plan;
#[cfg(feature = "ours")]
pub use ours::{Ours, Time};
pub use place::{Library, Place, file_bytes};
pub use row::{Bytes, Cleanup, Fill, Row, Saves, SelfExpiry};
pub use steps::measure;
#[cfg(feature = "tower")]
pub use tower::Tower;
pub use work::Outcome;
