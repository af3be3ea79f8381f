//! The one place where a session talks to its store.
//!
//! Whoever holds the `io` lock does. Before every call the state says what is being tried, so that
//! a future that is dropped in the middle leaves a question that the next call can answer: a write
//! is sent again with the same revision, a delete is repeated.

use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::Instant;

use crate::changes::{Change, View};
use crate::live::Live;
use crate::manager::{LATE_STORE, bounded};
use crate::session::Session;
use crate::state::{Absent, Attempt, Base};
use crate::{
    ClientAction, Create, Delete, Effect, Error, Presented, Revision, SessionKey, StoreError,
    Touch, Update,
};

/// How often changes are made again on a newer record before giving up.
const REPLAYS: u32 = 32;
/// How often a new key is drawn for a new session.
const KEYS: u32 = 4;

enum Answer {
    Applied,
    KeyTaken,
    Conflict(crate::Record),
    Gone,
}

impl Session {
    /// For transports: closes the session, and answers at once if that takes no I/O.
    ///
    /// `keep` says whether changes that have not been saved are to be, or to be dropped. From here
    /// on changes are an [`Error::Closed`].
    #[must_use]
    pub fn try_finish(&self, keep: bool) -> Option<ClientAction> {
        let shared = &self.0.manager.shared;
        {
            let mut state = self.state();
            state.closed = true;
            if state.refused {
                state.drop_changes();
            }
            let pending = !state.log.is_empty() || state.failed.is_some();
            if state.attempt.is_some() || matches!(state.base, Base::Deleting(_)) || keep && pending
            {
                return None;
            }
            if let (true, Some(live)) = (keep, state.live()) {
                let now = shared.clock.now();
                let renewal = state.reissue_due(self.0.source.max_age(), now);
                if renewal || shared.touch_due(live, now).is_some() {
                    return None;
                }
            }
        }
        self.forget_unsent();
        Some(self.client_action())
    }

    /// For transports: closes the session, saves or drops what is pending, moves the deadline if
    /// that is due, and says what to tell the client.
    ///
    /// Run it where a disconnecting client cannot drop it. A session that was ended by another
    /// request is no error: its changes are dropped, and the client is told nothing.
    ///
    /// # Errors
    ///
    /// As for [`save`](Self::save), but never [`Error::Ended`]. The client must be told nothing
    /// about its session then.
    pub async fn finish(&self, keep: bool) -> Result<ClientAction, Error> {
        if let Some(action) = self.try_finish(keep) {
            return Ok(action);
        }
        self.finish_pending(keep).await
    }

    /// Loads the session unless that has been done.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        {
            let mut state = self.state();
            state.activity.looked = true;
            if !matches!(state.base, Base::Unknown | Base::Deleting(_)) {
                return Ok(());
            }
        }
        let _io = self.0.io.lock().await;
        self.look_locked(self.0.manager.until()).await
    }

    async fn look_locked(&self, until: Instant) -> Result<(), Error> {
        if matches!(self.state().base, Base::Deleting(_)) {
            return self.delete_locked(until).await;
        }
        if !matches!(self.state().base, Base::Unknown) {
            return Ok(());
        }
        let presented = self.0.source.presented();
        self.state().presented = !matches!(presented, Presented::Nothing);
        let Presented::Id(id) = presented else {
            tracing::debug!(?presented, "no usable session id");
            self.state().base = Base::Absent(Absent::NoId);
            return Ok(());
        };
        let base = self.0.manager.shared.load(&id, until).await?;
        let mut state = self.state();
        tracing::debug!(key = %id.key(), found = matches!(base, Base::Live(_)), "session loaded");
        state.activity.loaded = true;
        state.id = matches!(base, Base::Live(_)).then_some(id);
        state.base = base;
        Ok(())
    }

    pub(crate) async fn save_pending(&self) -> Result<(), Error> {
        let _io = self.0.io.lock().await;
        let until = self.0.manager.until();
        let saved = self.write_locked(false, until).await;
        let refused = matches!(
            saved,
            Err(Error::TooLarge { .. } | Error::Encode { .. } | Error::Conflict)
        );
        self.state().refused = refused;
        saved
    }

    pub(crate) async fn delete_now(&self) -> Result<(), Error> {
        let _io = self.0.io.lock().await;
        let until = self.0.manager.until();
        self.look_locked(until).await?;
        self.delete_locked(until).await
    }

    /// Saves what is pending, renews what is due, and says what to tell the client.
    pub(crate) async fn finish_pending(&self, keep: bool) -> Result<ClientAction, Error> {
        let _io = self.0.io.lock().await;
        let until = self.0.manager.until();
        if !keep {
            self.forget_unsent();
        }
        if matches!(self.state().base, Base::Deleting(_)) {
            self.delete_locked(until).await?;
        }
        let changed = self.has_changes();
        let renewed = match self.write_locked(keep, until).await {
            Ok(()) if keep => self.touch_locked(until).await,
            // The event has been logged; a late loser's response says nothing to the client.
            Ok(()) | Err(Error::Ended) => Ok(()),
            Err(error) if changed => return Err(error),
            Err(error) => Err(error),
        };
        if let Err(error) = renewed {
            // What was asked for has been done; only the lifetime is not as long as it could be.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "session not renewed"
            );
        }
        Ok(self.client_action())
    }

    fn has_changes(&self) -> bool {
        let state = self.state();
        !state.log.is_empty() || state.attempt.is_some() || state.failed.is_some()
    }

    /// Drops the changes that no call to the store carries.
    pub(crate) fn forget_unsent(&self) {
        let mut state = self.state();
        state.failed = None;
        if state.attempt.is_none() {
            state.log.clear();
            state.view = View::default();
        }
    }

    pub(crate) fn client_action(&self) -> ClientAction {
        let mut state = self.state();
        let action = state.client_action(&self.0.manager.shared, self.0.source.max_age());
        state.activity.client_told = action != ClientAction::Keep;
        action
    }

    async fn write_locked(&self, renew: bool, until: Instant) -> Result<(), Error> {
        let shared = &self.0.manager.shared;
        if !self.state().log.is_empty() {
            self.look_locked(until).await?;
        }
        let (mut keys, mut replays, mut retried) = (0, 0, false);
        let mut turn = self.wait_behind_losers(until).await;
        loop {
            let prepared = self.state().prepare(shared, self.0.source.max_age(), renew);
            let Some(attempt) = prepared? else {
                return Ok(());
            };
            match self.send(&attempt, until).await {
                Ok(Answer::Applied) => {
                    self.state().applied();
                    return Ok(());
                }
                Ok(Answer::KeyTaken) => {
                    self.state().key_taken();
                    keys += 1;
                    if keys == KEYS {
                        return Err(Error::Conflict);
                    }
                }
                Ok(Answer::Gone) => {
                    tracing::info!(key = %attempt.live.record.key, "changes dropped: the session was ended");
                    return Err(self.state().ended());
                }
                Ok(Answer::Conflict(record)) => {
                    replays += 1;
                    self.rebase(&attempt, record)?;
                    if replays == REPLAYS {
                        return Err(Error::Conflict);
                    }
                    if turn.is_none() {
                        turn = self.wait_for_turn(until).await;
                    }
                    // Only other processes can still be in the way: they are given way to by
                    // chance.
                    if replays > 2 {
                        pause(replays).await;
                    }
                }
                Err(error) => {
                    self.state().attempt_failed(&error);
                    let again = error.effect() == Effect::Unknown && !retried;
                    if !again || Instant::now() >= until {
                        return Err(error.into());
                    }
                    retried = true;
                }
            }
        }
    }

    /// Waits until it is this writer's turn, if somebody has lost a compare-and-swap on this session
    /// and tries again: were newcomers to go ahead of him, he would lose until he gives up.
    async fn wait_behind_losers(&self, until: Instant) -> Option<MutexGuard<'_, ()>> {
        match self.queue()?.try_lock() {
            Ok(_) => None,
            Err(_) => self.wait_for_turn(until).await,
        }
    }

    async fn wait_for_turn(&self, until: Instant) -> Option<MutexGuard<'_, ()>> {
        let turn = self.queue()?.lock();
        tokio::time::timeout_at(until, turn).await.ok()
    }

    /// Where the writers to this session in this process queue, once one of them has lost.
    fn queue(&self) -> Option<&tokio::sync::Mutex<()>> {
        let key = self.state().live()?.record.key;
        self.0.manager.shared.turn(&key)
    }

    async fn send(&self, attempt: &Attempt, until: Instant) -> Result<Answer, StoreError> {
        let store = &self.0.manager.shared.store;
        let record = &attempt.live.record;
        // Until the answer is there, the fate of this attempt is unknown: this future may be
        // dropped at the await.
        if let Some(attempt) = &mut self.state().attempt {
            attempt.uncertain = true;
        }
        let late = StoreError::unknown(LATE_STORE);
        let answer = match attempt.expected {
            None => bounded(until, store.create(record), late)
                .await
                .map(|answer| match answer {
                    Create::Created => Answer::Applied,
                    Create::KeyTaken => Answer::KeyTaken,
                }),
            Some(expected) => {
                let update = store.update(expected, record);
                bounded(until, update, late)
                    .await
                    .map(|answer| match answer {
                        Update::Updated => Answer::Applied,
                        Update::Conflict(current) => Answer::Conflict(current),
                        Update::Gone => Answer::Gone,
                    })
            }
        };
        if let Some(now) = &mut self.state().attempt {
            now.uncertain = attempt.uncertain;
        }
        answer
    }

    /// Makes the changes again on the record that another request wrote.
    fn rebase(&self, attempt: &Attempt, record: crate::Record) -> Result<(), Error> {
        let key = attempt.live.record.key;
        let newer = match Live::checked(&key, record) {
            Ok(newer) => newer,
            Err(error) => {
                self.state().attempt = None;
                return Err(error);
            }
        };
        let mut replay = Replay {
            session: self,
            log: Vec::new(),
        };
        {
            let mut state = self.state();
            state.conflict(&newer)?;
            state.activity.replays += 1;
            replay.log.append(&mut state.log);
        }
        tracing::debug!(%key, "changes made again on a newer record");
        let mut view = View::default();
        let mut done = 0;
        loop {
            // Without the lock: an update runs code of the application.
            for change in &mut replay.log[done..] {
                view.apply(change, Some(&newer.body))?;
            }
            done = replay.log.len();
            let mut state = self.state();
            if state.log.is_empty() {
                state.log.append(&mut replay.log);
                state.view = view;
                state.base = Base::Live(newer);
                return Ok(());
            }
            replay.log.append(&mut state.log);
        }
    }

    async fn delete_locked(&self, until: Instant) -> Result<(), Error> {
        let live = {
            let mut state = self.state();
            let live = match &state.base {
                Base::Live(live) | Base::Deleting(live) => live.clone(),
                Base::Ended | Base::Absent(Absent::Superseded { late: true }) => {
                    state.drop_changes();
                    return Ok(());
                }
                Base::Unknown | Base::Absent(_) => {
                    state.deleted();
                    return Ok(());
                }
            };
            state.base = Base::Deleting(live.clone());
            live
        };
        let key: SessionKey = live.record.key;
        let deleting = self.0.manager.shared.store.delete(&key);
        let answer = bounded(until, deleting, StoreError::unknown(LATE_STORE)).await;
        let mut state = self.state();
        match answer {
            Ok(Delete::Deleted | Delete::Gone) => {
                tracing::info!(%key, "session deleted");
                state.attempt = None;
                state.activity.deleted = true;
                state.deleted();
                Ok(())
            }
            Err(error) => {
                state.base = Base::Live(live);
                Err(error.into())
            }
        }
    }

    /// Moves the deadline of a session that was looked at, if that is due.
    async fn touch_locked(&self, until: Instant) -> Result<(), Error> {
        let shared = &self.0.manager.shared;
        let due = {
            let state = self.state();
            let due = |live| shared.touch_due(live, shared.clock.now());
            state
                .live()
                .and_then(|live| Some((live.record.key, due(live)?)))
        };
        let Some((key, deadline)) = due else {
            return Ok(());
        };
        let answer = shared.touch(&key, deadline, until).await?;
        let mut state = self.state();
        match answer {
            Touch::Touched => {
                state.activity.touched = true;
                if let Base::Live(live) = &mut state.base {
                    live.record.expires_at = deadline;
                }
            }
            Touch::Gone => {
                state.ended();
            }
        }
        Ok(())
    }
}

/// Puts a log back if making its changes again panics.
struct Replay<'a> {
    session: &'a Session,
    log: Vec<Change>,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            let mut state = self.session.state();
            self.log.append(&mut state.log);
            state.log = std::mem::take(&mut self.log);
        }
    }
}

/// Waits up to `2^tries` milliseconds, at most 32.
async fn pause(tries: u32) {
    let most = 1 << tries.min(5);
    // Any number will do here that differs between processes.
    let chance = Revision::fresh().map_or(most, |revision| revision.as_u64() % most);
    tokio::time::sleep(Duration::from_millis(chance)).await;
}
