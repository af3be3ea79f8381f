//! What tests need to treat stores badly: processes that can be killed, and chance that can be
//! repeated.

mod child;
mod random;

pub use child::Child;
pub use random::Random;
