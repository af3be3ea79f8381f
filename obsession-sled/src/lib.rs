#![doc = include_str!("../README.md")]

mod error;
mod layout;
mod open;
mod operations;
mod shared;
mod store;
mod view;
mod writer;

pub use error::OpenError;
pub use store::{SledStore, SledStoreBuilder};
