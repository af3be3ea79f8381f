//! How a client's id comes in.

use std::fmt::Debug;
use std::time::Duration;

use crate::SessionId;

/// What a client presented.
#[derive(Clone, Debug)]
pub enum Presented {
    /// No id.
    Nothing,
    /// Something under the id's name that is no id; it never reaches a store.
    Malformed,
    /// Several different values under the id's name; none of them is used.
    Ambiguous,
    /// An id. Whether there is a session behind it is for the store to say.
    Id(SessionId),
    /// Several ids, of which the first with a session behind it is used. Each may cost a load, so it
    /// is for the transport to present few.
    Several(Vec<SessionId>),
}

/// Where a session's id is read when it is first needed, and how long the client keeps it.
///
/// A transport implements it over its request, so that a request that does not look at its session
/// does not even parse a cookie.
pub trait IdSource: Debug + Send + Sync + 'static {
    /// What the client presented. It is asked when somebody first looks, and again if that could not
    /// be answered; it must say the same each time.
    fn presented(&self) -> Presented;

    /// How long the client is told to keep an id that it is sent; `None`: until it is closed. A
    /// session's own [`Lifetime`](crate::Lifetime) goes before it.
    fn max_age(&self) -> Option<Duration>;
}

/// An id that is known.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) Presented);

impl IdSource for Fixed {
    fn presented(&self) -> Presented {
        self.0.clone()
    }

    fn max_age(&self) -> Option<Duration> {
        None
    }
}
