//! What is saved of a request whose handler failed.

use http::StatusCode;

/// Whether the changes that a handler has not saved itself are saved at the end of its request.
///
/// | the handler | [`UnlessFailed`](Self::UnlessFailed) | [`UnlessBroken`](Self::UnlessBroken) | [`Always`](Self::Always) |
/// |---|---|---|---|
/// | answers with less than 500 | saved | saved | saved |
/// | answers with 500 or more | dropped | saved | saved |
/// | gives an error | dropped | dropped | saved |
/// | panics | dropped | dropped | saved |
/// | is dropped, as the client has gone | dropped | dropped | dropped |
///
/// Dropped are all of them together, or none: a sign-in, a cycle and the values that were changed
/// with them are one write. What the handler saved itself, and a session that it deleted, stay so
/// whatever comes after, and the client is told of them in any answer that there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum SavePolicy {
    /// Saved unless the handler failed.
    #[default]
    UnlessFailed,
    /// Saved whenever the handler has answered. For applications whose 5xx answers are decisions,
    /// such as a gateway that passes on another server's.
    UnlessBroken,
    /// Saved whatever came of the handler. For changes that must not be lost and that are whole after
    /// each line of the handler, such as counts of failed attempts.
    Always,
}

/// How a handler ended.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Answer(StatusCode),
    Error,
    Panic,
}

impl SavePolicy {
    pub(crate) fn saves(self, ending: Ending) -> bool {
        match ending {
            Ending::Answer(status) => self != Self::UnlessFailed || !status.is_server_error(),
            Ending::Error | Ending::Panic => self == Self::Always,
        }
    }
}
