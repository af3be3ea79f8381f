//! What can go wrong, and what may have happened when it did.

use std::error::Error as StdError;
use std::fmt;

use crate::SessionKey;

pub(crate) type Source = Box<dyn StdError + Send + Sync>;

/// A store failed. It says what failed and whether the call may have been applied.
#[derive(Debug)]
pub struct StoreError {
    message: &'static str,
    effect: Effect,
    source: Option<Source>,
}

/// What a failed call may have done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing was changed.
    NotApplied,
    /// The change may have been made or may still be made.
    Unknown,
}

impl StoreError {
    /// The call failed and changed nothing. Loads and listings fail this way.
    #[must_use]
    pub const fn not_applied(message: &'static str) -> Self {
        Self {
            message,
            effect: Effect::NotApplied,
            source: None,
        }
    }

    /// The call failed and may have been applied.
    #[must_use]
    pub const fn unknown(message: &'static str) -> Self {
        Self {
            message,
            effect: Effect::Unknown,
            source: None,
        }
    }

    /// Keeps what caused it. It must not hold a token or a record's body.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) const fn message(&self) -> &'static str {
        self.message
    }

    /// Whether the call may have been applied.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A session could not do what was asked.
///
/// Nothing in it is secret: names, keys and sizes, never a token or a value.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store failed, and says whether the changes may have been written. They are pending as
    /// before, so a later save may try again and recognises what was written; if that can not be
    /// told any more, because others have written since, each save is this error until other changes
    /// are made.
    Store(StoreError),
    /// The operating system's random generator failed, so no id could be made.
    Random(getrandom::Error),
    /// A value could not be encoded. It was not stored; what was there before still is.
    Encode {
        /// The entry's name.
        name: Box<str>,
        /// What the serializer said.
        source: Source,
    },
    /// A stored value is not of the type that was asked for. It is still stored.
    Decode {
        /// The entry's name.
        name: Box<str>,
        /// What the serializer said.
        source: Source,
    },
    /// The stored bytes of this session are not what was written. They are left alone.
    Corrupt {
        /// Which record.
        key: SessionKey,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The session would be larger than the limit. Nothing was written.
    TooLarge {
        /// What it would take, in bytes.
        size: usize,
        /// What it may take, in bytes.
        limit: usize,
    },
    /// A subject longer than [`Record::MAX_SUBJECT`](crate::Record::MAX_SUBJECT) or with a NUL.
    InvalidSubject,
    /// Other requests changed the session so often or so incompatibly that this request's changes
    /// were not applied.
    Conflict,
    /// Another request ended the session, or replaced its token: this request's changes were
    /// dropped, and can not be made any more.
    Ended,
    /// The response has been sent: a change can no longer be saved by it.
    Closed,
    /// The head of the response has been sent, and this change needs a cookie: a sign-in, a cycle,
    /// another lifetime, or the first value of a new session. It was not made.
    HeadSent,
    /// The session was used on a route that is marked not to:
    /// [`mark_untouched`](crate::Session::mark_untouched). Only builds with debug assertions give it.
    Marked {
        /// Which route.
        route: &'static str,
    },
    /// The manager's store has no [`SessionIndex`](crate::SessionIndex).
    NoIndex,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(_) => f.write_str("the session store failed"),
            Self::Random(_) => f.write_str("the random generator failed"),
            Self::Encode { name, .. } => write!(f, "the value of {name:?} can not be encoded"),
            Self::Decode { name, .. } => write!(f, "the value of {name:?} is of another type"),
            Self::Corrupt { key, reason } => {
                write!(f, "the record of session {key} is corrupt: {reason}")
            }
            Self::TooLarge { size, limit } => {
                write!(f, "the session would take {size} bytes of at most {limit}")
            }
            Self::InvalidSubject => f.write_str("the subject is too long or has a NUL"),
            Self::Conflict => f.write_str("the session was changed by others at the same time"),
            Self::Ended => f.write_str("the session was ended by another request"),
            Self::Closed => f.write_str("the response was sent before this change"),
            Self::HeadSent => f.write_str(
                "the head of the response was sent before this change, which needs a cookie",
            ),
            Self::Marked { route } => write!(f, "the session must not be used on {route:?}"),
            Self::NoIndex => f.write_str("the session store has no index"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Store(source) => Some(source),
            Self::Random(source) => Some(source),
            Self::Encode { source, .. } | Self::Decode { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}
