//! What is known about a session without its data.

use std::sync::Arc;

use crate::body::Body;
use crate::session::Session;
use crate::{Activity, Error, Lifetime, Record, SessionId, SessionKey, SessionManager, Timestamp};

/// A session as a list of "your devices" shows it. Nothing in it is secret.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its key, which stays when the token cycles.
    pub key: SessionKey,
    /// Who is signed in.
    pub subject: Option<Arc<str>>,
    /// When it began or its user signed in.
    pub created_at: Timestamp,
    /// When it was last used, as far as the store was told: a read is noted once per touch
    /// resolution, and not at all when it can no longer move the deadline.
    pub last_seen: Timestamp,
    /// When it ends unless it is used before.
    pub expires_at: Timestamp,
}

impl SessionInfo {
    pub(crate) fn new(record: &Record, body: Option<&Body>, lifetime: &Lifetime) -> Self {
        // The deadline is the last use plus the idle timeout, unless the absolute limit cut it.
        let idle = crate::clock::millis(lifetime.idle());
        let used = record.expires_at.as_millis().saturating_sub(idle);
        let written = body.map_or(record.created_at, |body| body.head.written_at);
        Self {
            key: record.key,
            subject: record.subject.clone(),
            created_at: record.created_at,
            last_seen: Timestamp::from_millis(used).max(written),
            expires_at: record.expires_at,
        }
    }
}

impl Session {
    /// The id that the client has, or will have when the changes are saved; nothing where there is
    /// no session.
    ///
    /// # Errors
    ///
    /// [`Error::Random`] if a new id is needed and cannot be made; [`Error::Store`] or
    /// [`Error::Corrupt`] if the session could not be loaded.
    pub async fn id(&self) -> Result<Option<SessionId>, Error> {
        self.look().await?;
        self.state().future_id(&self.0.manager.shared)
    }

    /// The key of the session, if there is one: its public name, which never changes.
    ///
    /// # Errors
    ///
    /// As for [`id`](Self::id).
    pub async fn key(&self) -> Result<Option<SessionKey>, Error> {
        self.look().await?;
        let mut state = self.state();
        match state.shown() {
            Some(live) => Ok(Some(live.record.key)),
            None => Ok(state.future_id(&self.0.manager.shared)?.map(|id| id.key())),
        }
    }

    /// Who is signed in, or will be when the changes are saved.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`] if the session could not be loaded.
    pub async fn subject(&self) -> Result<Option<Arc<str>>, Error> {
        self.look().await?;
        let state = self.state();
        let stored = || state.shown().and_then(|live| live.record.subject.clone());
        Ok(state.view.subject.clone().or_else(stored))
    }

    /// What the store has of this session, without its data; nothing if it is not stored.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`] if the session could not be loaded.
    pub async fn info(&self) -> Result<Option<SessionInfo>, Error> {
        self.look().await?;
        let state = self.state();
        let shared = &self.0.manager.shared;
        Ok(state.shown().map(|live| {
            SessionInfo::new(
                &live.record,
                Some(&live.body),
                &shared.effective(&live.body),
            )
        }))
    }

    /// What the library has done for this session so far.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.state().activity
    }

    /// The manager that opened it.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.0.manager
    }
}
