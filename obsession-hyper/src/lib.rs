#![doc = include_str!("../README.md")]

mod body;
mod cookie;
mod future;
mod reader;
mod service;
mod transport;

pub use body::SessionBody;
pub use cookie::{Cookie, CookieBuilder, CookieError, SameSite};
pub use future::SessionFuture;
pub use service::SessionService;
