//! What kept a session from being read or written, for the answer to the request.

use crate::session::Session;
use crate::{Effect, Error, SessionKey, StoreError};

/// As much of an error as can be given twice: the application had the error itself.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    Store(&'static str, Effect),
    Random(getrandom::Error),
    Corrupt(SessionKey, &'static str),
}

impl Failure {
    /// What failed of `outcome`, if that is not for the application to put right.
    pub(crate) fn of<T>(outcome: &Result<T, Error>) -> Option<Self> {
        match outcome {
            Err(Error::Store(error)) => Some(Self::Store(error.message(), error.effect())),
            Err(Error::Random(error)) => Some(Self::Random(*error)),
            Err(Error::Corrupt { key, reason }) => Some(Self::Corrupt(*key, reason)),
            _ => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(message, Effect::NotApplied) => StoreError::not_applied(message).into(),
            Failure::Store(message, Effect::Unknown) => StoreError::unknown(message).into(),
            Failure::Random(error) => Self::Random(error),
            Failure::Corrupt(key, reason) => Self::Corrupt { key, reason },
        }
    }
}

impl Session {
    /// For transports: how the last look, save or delete of this request failed, if the store, the
    /// random generator or a damaged record is to blame; nothing once one has worked again. The
    /// error is without its source, which the application was given.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.state().failure.map(Error::from)
    }
}
