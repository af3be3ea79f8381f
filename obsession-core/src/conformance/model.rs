//! What a store is, said in the shortest way: a map of one record a key.

use std::fmt;

use super::fixture::rewritten;
use crate::{
    Create, Delete, Record, Revision, SessionKey, SessionStore, StoreError, Timestamp, Touch,
    Update,
};

/// A call on one key.
#[derive(Clone)]
pub(crate) enum Call {
    Load,
    Create(Record),
    Update(Revision, Record),
    Touch(Revision, Timestamp),
    Delete,
    Cleanup,
}

/// What a call gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Load(Option<Record>),
    Create(Create),
    Update(Update),
    Touch(Touch),
    Delete(Delete),
    /// How many were removed is no matter of one key.
    Cleanup,
}

impl Call {
    pub(crate) async fn send<S: SessionStore + ?Sized>(
        &self,
        store: &S,
        key: &SessionKey,
    ) -> Result<Answer, StoreError> {
        Ok(match self {
            Self::Load => Answer::Load(store.load(key).await?),
            Self::Create(record) => Answer::Create(store.create(record).await?),
            Self::Update(expected, record) => {
                Answer::Update(store.update(*expected, record).await?)
            }
            Self::Touch(expected, at) => Answer::Touch(store.touch(key, *expected, *at).await?),
            Self::Delete => Answer::Delete(store.delete(key).await?),
            Self::Cleanup => {
                store.delete_expired(10).await?;
                Answer::Cleanup
            }
        })
    }
}

/// The record of one key, live or expired or absent.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Model(pub(crate) Option<Modelled>);

/// What tells two states of a record apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Modelled {
    pub(crate) revision: Revision,
    pub(crate) expires_at: Timestamp,
}

impl Model {
    pub(crate) fn of(record: &Record) -> Self {
        Self(Some(Modelled {
            revision: record.revision,
            expires_at: record.expires_at,
        }))
    }

    /// Makes the call at `now`, and says whether `answer` is the right one. Conflicts and loads
    /// are compared by revision and deadline; the other fields belong to the revision.
    pub(crate) fn accepts(&mut self, call: &Call, answer: &Answer, now: Timestamp) -> bool {
        let live = self.0.clone().filter(|record| now < record.expires_at);
        match (call, answer) {
            (Call::Load, Answer::Load(found)) => Self::shown(found.as_ref()) == live,
            (Call::Create(record), Answer::Create(answer)) => match live {
                Some(old) if old.revision != record.revision => *answer == Create::KeyTaken,
                Some(_) => *answer == Create::Created,
                None => {
                    *self = Self::of(record);
                    *answer == Create::Created
                }
            },
            (Call::Update(expected, record), Answer::Update(answer)) => match live {
                None => *answer == Update::Gone,
                Some(old) if old.revision == record.revision => *answer == Update::Updated,
                Some(old) if old.revision != *expected => match answer {
                    Update::Conflict(current) => Self::shown(Some(current)) == Some(old),
                    _ => false,
                },
                Some(_) => {
                    *self = Self::of(record);
                    *answer == Update::Updated
                }
            },
            (Call::Touch(expected, at), Answer::Touch(answer)) => match (live, &mut self.0) {
                (Some(old), _) if old.revision != *expected => *answer == Touch::Changed,
                (Some(_), Some(record)) => {
                    record.expires_at = record.expires_at.max(*at);
                    *answer == Touch::Touched
                }
                _ => *answer == Touch::Gone,
            },
            (Call::Delete, Answer::Delete(answer)) => {
                self.0 = None;
                let right = if live.is_some() {
                    Delete::Deleted
                } else {
                    Delete::Gone
                };
                *answer == right
            }
            (Call::Cleanup, Answer::Cleanup) => {
                self.0 = live;
                true
            }
            _ => false,
        }
    }

    /// Makes a call whose answer nobody saw.
    pub(crate) fn apply_unseen(&mut self, call: &Call, now: Timestamp) {
        let live = self.0.clone().filter(|record| now < record.expires_at);
        match (call, live) {
            (Call::Create(record), None) => *self = Self::of(record),
            (Call::Update(expected, record), Some(old)) if old.revision == *expected => {
                *self = Self::of(record);
            }
            (Call::Touch(expected, at), Some(old)) if old.revision == *expected => {
                let expires_at = old.expires_at.max(*at);
                self.0 = Some(Modelled { expires_at, ..old });
            }
            (Call::Delete, _) => self.0 = None,
            _ => {}
        }
    }

    fn shown(record: Option<&Record>) -> Option<Modelled> {
        record.and_then(|record| Self::of(record).0)
    }
}

/// Every call that changes or looks at a record, for an actor that has seen `seen`.
pub(crate) fn every_call(seen: &Record, later: Timestamp) -> Vec<Call> {
    vec![
        Call::Load,
        Call::Create(rewritten(seen, b"created")),
        Call::Update(seen.revision, rewritten(seen, b"updated")),
        Call::Touch(seen.revision, later),
        Call::Delete,
        Call::Cleanup,
    ]
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = |record: &Record| record.revision.as_u64();
        match self {
            Self::Load => f.write_str("load"),
            Self::Create(record) => write!(f, "create {:x}", revision(record)),
            Self::Update(expected, record) => {
                write!(
                    f,
                    "update {:x} to {:x}",
                    expected.as_u64(),
                    revision(record)
                )
            }
            Self::Touch(expected, at) => {
                write!(f, "touch {:x} to {}", expected.as_u64(), at.as_millis())
            }
            Self::Delete => f.write_str("delete"),
            Self::Cleanup => f.write_str("cleanup"),
        }
    }
}
