//! The lock on a session's state.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;

use crate::changes::Change;
use crate::events::{Event, Listener};
use crate::state::State;

/// The locked state. What was thrown away while it was locked is dropped after the lock is free:
/// a closure of the application may hold something whose `Drop` uses the session. So is what there
/// is to tell.
pub(crate) struct Locked<'a> {
    // The order matters: fields are dropped from the top.
    pub(crate) state: MutexGuard<'a, State>,
    /// Most times there is nothing, which costs one look.
    after: Option<Box<After<'a>>>,
    listener: &'a Listener,
}

struct After<'a> {
    _trash: Vec<Change>,
    news: Vec<Event>,
    listener: &'a Listener,
}

impl<'a> Locked<'a> {
    pub(crate) fn new(state: MutexGuard<'a, State>, listener: &'a Listener) -> Self {
        Self {
            state,
            after: None,
            listener,
        }
    }

    /// Drops it where there most likely is something to drop with it.
    pub(crate) fn free(mut self) {
        let after = self.take();
        drop(self);
        drop(after);
    }

    fn take(&mut self) -> After<'a> {
        After {
            _trash: std::mem::take(&mut self.state.trash),
            news: std::mem::take(&mut self.state.news),
            listener: self.listener,
        }
    }
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
        if !(self.state.trash.is_empty() && self.state.news.is_empty()) {
            self.after = Some(Box::new(self.take()));
        }
    }
}

impl Drop for After<'_> {
    fn drop(&mut self) {
        for event in self.news.drain(..) {
            self.listener.tell(|| event);
        }
    }
}
