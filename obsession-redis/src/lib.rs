#![doc = include_str!("../README.md")]

mod builder;
mod check;
mod dial;
mod error;
mod index;
mod layout;
mod line;
mod make;
mod once;
mod push;
mod scripts;
mod store;
mod swap;
mod url;

pub use builder::{RedisStoreBuilder, Source};
pub use check::{Check, Report, Verdict};
pub use error::{CallError, ConnectError, FailureKind};
pub use redis;
pub use store::RedisStore;
