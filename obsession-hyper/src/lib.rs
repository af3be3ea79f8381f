#![doc = include_str!("../README.md")]

mod body;
mod cookie;
mod future;
mod layer;
mod reader;
mod service;
mod tell;
mod transport;

pub use body::SessionBody;
pub use cookie::{Cookie, CookieBuilder, CookieError, SameSite};
pub use future::SessionFuture;
pub use layer::SessionLayer;
pub use service::SessionService;
