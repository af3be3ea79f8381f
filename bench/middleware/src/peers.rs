//! Each library, at its defaults, with sessions that last two weeks without use.

pub(crate) mod actix;
pub(crate) mod async_session;
pub(crate) mod axum_session;
pub(crate) mod least;
pub(crate) mod ours;
pub(crate) mod tower_sessions;
