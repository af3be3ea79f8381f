//! What the model and the library answer, in the same words.

use obsession_core::Error;

use crate::actions::Life;
use crate::kept::Stored;

#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Done,
    Value(Option<u64>),
    Flag(bool),
    Names(Vec<String>),
    Subject(Option<String>),
    Id(Id),
    Info(Option<Info>),
    Client(Client),
    Count(usize),
    List(Vec<Info>),
    Failed(Refusal),
}

impl Answer {
    pub(crate) fn failed(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A token: which one of which session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Id {
    None,
    Token(usize, usize),
    /// One that a save will bring, to this session or to a new one.
    Coming(Option<usize>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Client {
    Keep,
    Set {
        session: usize,
        token: usize,
        max_age: Option<u64>,
    },
    Clear,
}

#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Info {
    pub(crate) session: usize,
    pub(crate) subject: Option<String>,
    pub(crate) created_at: u64,
    pub(crate) last_seen: u64,
    pub(crate) expires_at: u64,
}

impl Info {
    pub(crate) fn of(stored: &Stored, usual: Life) -> Self {
        Self {
            session: stored.session,
            subject: stored.subject.map(Into::into),
            created_at: stored.created_at,
            last_seen: stored.last_seen(usual),
            expires_at: stored.expires_at,
        }
    }
}

/// Why something was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    Ended,
    Closed,
    Conflict,
    /// The model promises none of these.
    Other,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Ended => Self::Ended,
            Error::Closed => Self::Closed,
            Error::Conflict => Self::Conflict,
            _ => Self::Other,
        }
    }
}

impl<E: Into<Refusal>> From<Result<(), E>> for Answer {
    fn from(result: Result<(), E>) -> Self {
        result.map_or_else(|error| Self::Failed(error.into()), |()| Self::Done)
    }
}
