#![doc = include_str!("../README.md")]

mod body;
mod cookie;
mod future;
#[cfg(feature = "metrics")]
mod metrics;
mod reader;
mod service;
mod transport;

pub use body::SessionBody;
pub use cookie::{Cookie, CookieBuilder, CookieError, SameSite};
pub use future::SessionFuture;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use service::SessionService;
