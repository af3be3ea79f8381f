//! What a call does inside a transaction. Each decides before it writes, so one that refuses has
//! changed nothing, and the others of its batch are not concerned.

use std::sync::Arc;

use obsession_core::{
    Create, Delete, Record, Revision, ScanCursor, SessionKey, Timestamp, Touch, Update,
};

use crate::error::Trouble;
use crate::view::View;

pub(crate) trait Operation: Send + 'static {
    type Answer: Send + 'static;

    /// Carries it out. It may be run again from the start, on a fresh view.
    fn run(&self, view: &View<'_>) -> Result<Self::Answer, Trouble>;

    /// About how much it will write.
    fn bytes(&self) -> usize {
        100
    }
}

pub(crate) struct CreateRecord(pub(crate) Record);

impl Operation for CreateRecord {
    type Answer = Create;

    fn run(&self, view: &View<'_>) -> Result<Create, Trouble> {
        let record = &self.0;
        match view.head(&record.key)? {
            Some(old) if old.record.is_live(view.now) => {
                Ok(if old.record.revision == record.revision {
                    Create::Created
                } else {
                    Create::KeyTaken
                })
            }
            old => {
                view.put(old.as_ref(), record)?;
                Ok(Create::Created)
            }
        }
    }

    fn bytes(&self) -> usize {
        100 + self.0.body.len()
    }
}

pub(crate) struct UpdateRecord {
    pub(crate) expected: Revision,
    pub(crate) record: Record,
}

impl Operation for UpdateRecord {
    type Answer = Update;

    fn run(&self, view: &View<'_>) -> Result<Update, Trouble> {
        match view.head(&self.record.key)? {
            Some(old) if old.record.is_live(view.now) => {
                if old.record.revision == self.record.revision {
                    Ok(Update::Updated)
                } else if old.record.revision == self.expected {
                    view.put(Some(&old), &self.record)?;
                    Ok(Update::Updated)
                } else {
                    Ok(Update::Conflict(view.whole(old)?))
                }
            }
            _ => Ok(Update::Gone),
        }
    }

    fn bytes(&self) -> usize {
        100 + self.record.body.len()
    }
}

pub(crate) struct TouchRecord {
    pub(crate) key: SessionKey,
    pub(crate) expected: Revision,
    pub(crate) expires_at: Timestamp,
}

impl Operation for TouchRecord {
    type Answer = Touch;

    fn run(&self, view: &View<'_>) -> Result<Touch, Trouble> {
        match view.head(&self.key)? {
            Some(old) if old.record.is_live(view.now) => {
                if old.record.revision != self.expected {
                    return Ok(Touch::Changed);
                }
                if self.expires_at > old.record.expires_at {
                    view.touch(old, self.expires_at)?;
                }
                Ok(Touch::Touched)
            }
            _ => Ok(Touch::Gone),
        }
    }
}

pub(crate) struct DeleteRecord(pub(crate) SessionKey);

impl Operation for DeleteRecord {
    type Answer = Delete;

    fn run(&self, view: &View<'_>) -> Result<Delete, Trouble> {
        match view.head(&self.0) {
            Ok(None) => Ok(Delete::Gone),
            Ok(Some(old)) => {
                view.remove(&old)?;
                Ok(if old.record.is_live(view.now) {
                    Delete::Deleted
                } else {
                    Delete::Gone
                })
            }
            // Nobody can load it, and this is the way to be rid of it.
            Err(Trouble::Damaged(_)) => {
                tracing::warn!(key = %self.0, "a damaged record was deleted");
                view.remove_damaged(&self.0)?;
                Ok(Delete::Deleted)
            }
            Err(trouble) => Err(trouble),
        }
    }
}

/// Removes what these entries of the index lead to, if it has still expired.
pub(crate) struct Expire(pub(crate) Vec<ScanCursor>);

impl Operation for Expire {
    type Answer = usize;

    fn run(&self, view: &View<'_>) -> Result<usize, Trouble> {
        let mut removed = 0;
        for at in &self.0 {
            match view.head(&at.key) {
                Ok(Some(old)) if old.record.expires_at == at.expires_at => {
                    // The clock may have been set back since the entry was read.
                    if !old.record.is_live(view.now) {
                        view.remove(&old)?;
                        removed += 1;
                    }
                }
                // It was touched, or it is gone; the entry is too, or leads nowhere.
                Ok(_) => view.forget_deadline(at.expires_at, &at.key)?,
                // Its own deadline cannot be read, so it is not for cleanup to remove. Without its
                // entry it is not met again, and said once instead of every minute.
                Err(Trouble::Damaged(_)) => {
                    tracing::warn!(key = %at.key, "cleanup left a damaged record");
                    view.forget_deadline(at.expires_at, &at.key)?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(removed)
    }

    fn bytes(&self) -> usize {
        100 * self.0.len()
    }
}

/// Ends the records of these keys that are the subject's, and says how many live ones there were.
pub(crate) struct End {
    pub(crate) subject: Arc<str>,
    pub(crate) keys: Vec<SessionKey>,
}

impl Operation for End {
    type Answer = usize;

    fn run(&self, view: &View<'_>) -> Result<usize, Trouble> {
        let mut ended = 0;
        for key in &self.keys {
            match view.head(key) {
                Ok(Some(old)) if old.record.subject.as_ref() == Some(&self.subject) => {
                    view.remove(&old)?;
                    ended += usize::from(old.record.is_live(view.now));
                }
                // Another subject's: the two begin alike, or it signed in as somebody else.
                Ok(Some(_)) => {}
                Ok(None) => view.forget_subject(&self.subject, key)?,
                // Nobody can use it; `delete` removes it.
                Err(Trouble::Damaged(_)) => {
                    tracing::warn!(%key, "a damaged record of a subject was left");
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(ended)
    }

    fn bytes(&self) -> usize {
        100 * self.keys.len()
    }
}
