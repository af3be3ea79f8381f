#![doc = include_str!("../README.md")]

#[cfg(feature = "axum")]
mod axum;
mod body;
mod cookie;
mod csrf;
mod finishing;
mod future;
mod head;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod policy;
mod reader;
mod service;
mod source;
mod tell;
mod transport;

#[cfg(feature = "axum")]
pub use axum::{CurrentSession, SessionEntry, SessionRejection, Value};
pub use body::SessionBody;
pub use cookie::{Cookie, CookieBuilder, CookieError, SameSite};
pub use csrf::{CsrfGuard, Verdict};
pub use future::SessionFuture;
pub use layer::SessionLayer;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use policy::SavePolicy;
pub use service::SessionService;
pub use transport::{IdTransport, ReservedHeader, Transport};
