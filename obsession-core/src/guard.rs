//! A value that writes itself back.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Serialize;

use crate::Error;
use crate::changes::Change;
use crate::serializer::Value;
use crate::session::Session;

/// A value of a session, changed through `DerefMut` and put back on drop if its encoding changed.
///
/// [`Session::get_mut`] makes it. If it cannot be encoded, the next save is that
/// [`Error::Encode`]. If the session was deleted meanwhile, there is nothing to put it back to.
pub struct ValueMut<'a, T: Serialize> {
    session: &'a Session,
    name: Arc<str>,
    value: T,
    /// As it is stored.
    seen: Value,
    /// As this value was encoded before the first change, if there was one. It is not what is
    /// stored where a type has many encodings: a `HashMap` is written in any order.
    before: Option<Result<Value, Error>>,
}

impl<'a, T: Serialize> ValueMut<'a, T> {
    pub(crate) fn new(session: &'a Session, name: &str, value: T, seen: Value) -> Self {
        Self {
            session,
            name: name.into(),
            value,
            seen,
            before: None,
        }
    }

    /// In the format it was read in, so that equal values have equal bytes.
    fn encode(&self) -> Result<Value, Error> {
        self.seen.raw().format.encode(&self.name, &self.value)
    }
}

impl<T: Serialize> Deref for ValueMut<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Serialize> DerefMut for ValueMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        if self.before.is_none() {
            self.before = Some(self.encode());
        }
        &mut self.value
    }
}

impl<T: Serialize> Drop for ValueMut<'_, T> {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        let encoded = self.encode();
        let mut state = self.session.state();
        let outcome = encoded.and_then(|value| {
            let seen = self.seen.clone();
            let gone =
                || state.is_deleted() && state.view.get(None, &self.name).as_ref() != Some(&seen);
            if before.is_ok_and(|before| before == value) || gone() {
                return Ok(());
            }
            state.push(Change::Replace {
                name: Arc::clone(&self.name),
                seen,
                value,
            })
        });
        if let Err(error) = outcome {
            tracing::warn!(%error, name = &*self.name, "a changed value was not put back");
            // A change that comes too late spoils nothing of what came in time.
            if !matches!(error, Error::Closed | Error::Ended) {
                state.failed = Some(error);
            }
        }
    }
}

impl<T: Serialize + fmt::Debug> fmt::Debug for ValueMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
