//! What became of a session during a request: for the handler to show, for the transport to tell.

use std::time::Duration;

use crate::SessionId;

/// What the library did for one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
#[allow(
    clippy::struct_excessive_bools,
    reason = "a list of yes and no answers"
)]
pub struct Activity {
    /// The session was looked at or changed.
    pub looked: bool,
    /// The store was asked for it.
    pub loaded: bool,
    /// It was made.
    pub created: bool,
    /// It was written, how often.
    pub written: u32,
    /// Its token was replaced.
    pub cycled: bool,
    /// Its deadline was moved without a write.
    pub touched: bool,
    /// It was deleted.
    pub deleted: bool,
    /// Changes were dropped, since another request had ended it.
    pub dropped: bool,
    /// How often changes were made again on a newer record.
    pub replays: u32,
    /// The client is to be sent a token, or to forget it.
    pub client_told: bool,
}

/// What the client is to be told at the end of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum ClientAction {
    /// Nothing: what it has is right, or not this request's business.
    Keep,
    /// To use this id from now on.
    Set {
        /// The id.
        id: SessionId,
        /// For how long to keep it; `None`: until it is closed.
        max_age: Option<Duration>,
    },
    /// To forget the id it presented.
    Clear,
}
