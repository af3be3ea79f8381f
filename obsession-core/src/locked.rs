//! The lock on a session's state.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;

use crate::changes::Change;
use crate::events::News;
use crate::state::State;

/// The locked state. What was thrown away while it was locked is dropped after the lock is free:
/// a closure of the application may hold something whose `Drop` uses the session. So is what there
/// is to tell.
pub(crate) struct Locked<'a> {
    // The order matters: fields are dropped from the top.
    pub(crate) state: MutexGuard<'a, State>,
    pub(crate) trash: Vec<Change>,
    pub(crate) news: News<'a>,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        // Nearly always.
        if self.state.trash.is_empty() && self.state.news.is_empty() {
            return;
        }
        self.trash = std::mem::take(&mut self.state.trash);
        self.news.events = std::mem::take(&mut self.state.news);
    }
}
