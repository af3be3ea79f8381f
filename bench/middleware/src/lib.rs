//! The same requests through the middleware of each library, on its store in memory.

pub mod counted;
pub mod http;
pub mod libraries;
pub mod measure;
mod peers;
pub mod request;
pub mod server;
mod site;
pub mod table;
pub mod threads;
pub mod verify;
