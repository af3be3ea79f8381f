//! What a route may ask of its visitor.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, Session};

/// Why a visitor may not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody is signed in: 401, or the sign-in page.
    NotSignedIn,
    /// Somebody is, but signed in too long ago for this: the sign-in page again.
    TooLongAgo,
    /// The session could not be loaded, so nobody knows.
    Failed(Error),
}

impl Session {
    /// Who is signed in.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotSignedIn`], or [`Refusal::Failed`].
    pub async fn require_subject(&self) -> Result<Arc<str>, Refusal> {
        self.subject().await?.ok_or(Refusal::NotSignedIn)
    }

    /// Who has signed in less than `within` ago, as for a change of the password (OWASP ASVS 5.0
    /// 7.5.1). Signing in again, also as the same subject, begins anew; using the session does not.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotSignedIn`], [`Refusal::TooLongAgo`], or [`Refusal::Failed`].
    pub async fn require_recent_sign_in(&self, within: Duration) -> Result<Arc<str>, Refusal> {
        let subject = self.require_subject().await?;
        let state = self.state();
        // One that is still to be saved is of this request.
        if state.view.subject.is_some() {
            return Ok(subject);
        }
        let signed_in_at = state.shown().map(|live| live.record.created_at);
        let now = self.manager().shared.clock.now();
        match signed_in_at {
            Some(at) if now.saturating_since(at) < within => Ok(subject),
            Some(_) => Err(Refusal::TooLongAgo),
            None => Err(Refusal::NotSignedIn),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSignedIn => "nobody is signed in",
            Self::TooLongAgo => "the sign-in was too long ago",
            Self::Failed(_) => "the session could not be loaded",
        })
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::NotSignedIn | Self::TooLongAgo => None,
        }
    }
}
