//! What is known about a session without its data.

use std::sync::Arc;

use crate::body::Body;
use crate::{Lifetime, Record, SessionKey, Timestamp};

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
