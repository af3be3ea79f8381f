//! A value that writes itself back.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Serialize;

use crate::changes::Change;
use crate::serializer::Value;
use crate::session::Session;

/// A value of a session, changed through `DerefMut` and put back on drop if its encoding changed.
///
/// [`Session::get_mut`] makes it. If it cannot be encoded, the next save is that
/// [`Error::Encode`](crate::Error::Encode).
pub struct ValueMut<'a, T: Serialize> {
    session: &'a Session,
    name: Arc<str>,
    value: T,
    seen: Value,
}

impl<'a, T: Serialize> ValueMut<'a, T> {
    pub(crate) fn new(session: &'a Session, name: &str, value: T, seen: Value) -> Self {
        Self {
            session,
            name: name.into(),
            value,
            seen,
        }
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
        &mut self.value
    }
}

impl<T: Serialize> Drop for ValueMut<'_, T> {
    fn drop(&mut self) {
        // In the format it was read in, so that equal values have equal bytes.
        let outcome = self.seen.format().encode(&self.name, &self.value);
        let mut state = self.session.state();
        let outcome = outcome.and_then(|value| {
            if value == self.seen {
                return Ok(());
            }
            let seen = self.seen.clone();
            state.push(Change::Replace {
                name: Arc::clone(&self.name),
                seen,
                value,
            })
        });
        if let Err(error) = outcome {
            tracing::warn!(%error, name = &*self.name, "a changed value was not put back");
            state.failed = Some(error);
        }
    }
}

impl<T: Serialize + fmt::Debug> fmt::Debug for ValueMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
