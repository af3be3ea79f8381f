//! The one place where a session talks to its store.
//!
//! Whoever holds the `io` lock does. Before every call the state says what is being tried, so that
//! a future that is dropped in the middle leaves a question that the next call can answer: a write
//! is sent again with the same revision, a delete is repeated.

use std::time::Duration;

use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::changes::{Change, View};
use crate::events::Event;
use crate::live::{Live, checked};
use crate::session::Session;
use crate::state::{Absent, Base, State};
use crate::until::Until;
use crate::{
    Create, Delete, DropReason, Effect, EndReason, Error, Presented, Revision, SessionId,
    SessionKey, StoreCall, StoreError, Update,
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
    /// Loads the session unless that has been done.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let Some(left) = self.is_to_look()? else {
            return Ok(());
        };
        // That it went well is noted where it did.
        let looked = self.look_within(left).await;
        looked.or_else(|error| self.noted(Err(error)))
    }

    /// How long it may take to load the session, unless that has been done.
    fn is_to_look(&self) -> Result<Option<Duration>, Error> {
        let mut state = self.state();
        state.check_mark()?;
        state.activity.looked = true;
        let to_look = state.is_to_be_looked_at();
        Ok(to_look.then(|| self.time_left(&state)))
    }

    async fn look_within(&self, left: Duration) -> Result<(), Error> {
        let work = self.work_within(left).await?;
        self.look_locked(&work.until).await
    }

    async fn look_locked(&self, until: &Until) -> Result<(), Error> {
        let deleting = match self.state().base {
            Base::Deleting(_) => true,
            Base::Unknown => false,
            _ => return Ok(()),
        };
        if deleting {
            let deleted = Box::pin(self.delete_locked(until)).await;
            return self.noted(deleted);
        }
        let shared = &self.0.manager.shared;
        let id = match self.0.source.presented() {
            Presented::Id(id) => id,
            // In a box since it is seldom, and would make the future of every handler larger.
            other => return Box::pin(self.look_for_no_id(other, until)).await,
        };
        let found = shared.fetch(&id.key(), until).await?;
        let judged = shared.judge(&id, found.as_ref())?;
        self.tell_loaded(&id, judged.is_ok());
        let mut state = self.state();
        state.base = Base::new(found, judged);
        state.loaded(id)
    }

    /// The same for whoever does not present one id.
    async fn look_for_no_id(&self, presented: Presented, until: &Until) -> Result<(), Error> {
        let shared = &self.0.manager.shared;
        match presented {
            Presented::Malformed => shared.events.tell(|| Event::Malformed),
            Presented::Ambiguous | Presented::Several(_) => shared.events.tell(|| Event::Duplicate),
            Presented::Nothing | Presented::Id(_) => {}
        }
        let presents = !matches!(presented, Presented::Nothing);
        let ids = match presented {
            Presented::Several(ids) => ids,
            Presented::Id(id) => vec![id],
            Presented::Nothing | Presented::Malformed | Presented::Ambiguous => {
                tracing::debug!(?presented, "no usable session id");
                Vec::new()
            }
        };
        if let Some((id, base)) = shared.load_one_of(ids, until).await? {
            self.tell_loaded(&id, matches!(base, Base::Live(_)));
            let mut state = self.state();
            state.base = base;
            return state.loaded(id);
        }
        let mut state = self.state();
        state.base = Base::Absent(Absent::NoId);
        (state.presented, state.failure) = (presents, None);
        Ok(())
    }

    fn tell_loaded(&self, id: &SessionId, found: bool) {
        if found {
            self.name_span(&id.key());
        }
        tracing::debug!(key = %id.key(), found, "session loaded");
    }

    fn name_span(&self, key: &SessionKey) {
        self.0.span.record("key", tracing::field::display(key));
    }

    pub(crate) async fn save_pending(&self) -> Result<(), Error> {
        let before = Pending::of(&self.state());
        let saved = self.save_all(before).await;
        self.noted(saved)
    }

    async fn save_all(&self, before: Pending) -> Result<(), Error> {
        let work = self.work().await?;
        if self.state().closed && Pending::of(&self.state()).any {
            return Err(Error::Closed);
        }
        let pushes = self.state().pushes;
        let saved = self.write_locked(false, &work.until).await;
        let mut state = self.state();
        if saved.is_ok() && before.any && state.drops != before.drops {
            // What this call was to save was dropped while it waited for another one.
            return Err(if state.closed {
                Error::Closed
            } else {
                Error::Ended
            });
        }
        let refused = matches!(
            saved,
            Err(Error::TooLarge { .. } | Error::Encode { .. } | Error::Conflict)
        );
        // Unless others were made meanwhile, which may be fine.
        state.refused = refused && state.pushes == pushes;
        saved.map(|_| ())
    }

    pub(crate) async fn delete_now(&self) -> Result<(), Error> {
        {
            let mut state = self.state();
            state.check_mark()?;
            state.activity.looked = true;
        }
        let deleted = async {
            let work = self.work().await?;
            self.look_locked(&work.until).await?;
            self.delete_locked(&work.until).await
        };
        self.noted(deleted.await)
    }

    /// Writes what is to be written, and says whether that has moved the deadline if it was due. With
    /// `renew`, that includes what only keeps the client's copy fresh.
    pub(crate) async fn write_locked(&self, renew: bool, until: &Until) -> Result<bool, Error> {
        let shared = &self.0.manager.shared;
        let look = {
            let state = self.state();
            !state.log.is_empty() && state.is_to_be_looked_at()
        };
        if look {
            self.look_locked(until).await?;
        }
        let (mut keys, mut replays, mut retried) = (0, 0, false);
        let key = || {
            let (state, now) = (self.state(), shared.clock.now());
            let renews = renew && state.reissue_due(self.0.source.max_age(), now);
            // Who has nothing to write does not wait for those who write.
            (state.is_changed() || renews).then_some(state.live()?.record.key)
        };
        let mut turn = shared.turns.behind(key, until).await;
        loop {
            let prepared = self.state().prepare(shared, self.0.source.max_age(), renew);
            let Some(attempt) = prepared? else {
                return Ok(false);
            };
            match self.send(&attempt, until).await {
                Ok(Answer::Applied) => {
                    if attempt.expected.is_none() {
                        self.name_span(&attempt.live.record.key);
                    }
                    let rings = attempt.rings().then_some(attempt.live.record.key);
                    let again = attempt.uncertain;
                    drop(attempt);
                    let mut state = self.state();
                    state.applied();
                    if let Some(key) = rings {
                        shared.watchers.ring(&key);
                    }
                    let more = !state.log.is_empty();
                    state.free();
                    // One that an earlier call began carries only what there was by then.
                    if !(again && more) {
                        // What was sent again has the deadline of its first time.
                        return Ok(!again);
                    }
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
                    return Err(self.state().ended_at(shared.clock.now()));
                }
                Ok(Answer::Conflict(record)) => {
                    replays += 1;
                    self.rebase(&attempt, record)?;
                    if replays == REPLAYS {
                        return Err(Error::Conflict);
                    }
                    if turn.is_none() {
                        turn = shared.turns.lost(attempt.live.record.key, until).await;
                    }
                    // Only other processes can still be in the way: they are given way to by
                    // chance.
                    if replays > 2 {
                        Box::pin(pause(replays)).await;
                    }
                }
                Err(error) => {
                    let error = self.state().attempt_failed(attempt.uncertain, error);
                    let again = error.effect() == Effect::Unknown && !retried;
                    if !again || Instant::now() >= until.instant() {
                        return Err(error.into());
                    }
                    retried = true;
                }
            }
        }
    }

    async fn send(&self, attempt: &Attempt, until: &Until) -> Result<Answer, StoreError> {
        let shared = &self.0.manager.shared;
        let store = shared.store();
        let record = &attempt.live.record;
        match attempt.expected {
            None => shared
                .call(StoreCall::Create, until, store.create(record))
                .await
                .map(|answer| match answer {
                    Create::Created => Answer::Applied,
                    Create::KeyTaken => Answer::KeyTaken,
                }),
            Some(expected) => {
                let update = store.update(expected, record);
                shared
                    .call(StoreCall::Update, until, update)
                    .await
                    .map(|answer| match answer {
                        Update::Updated => Answer::Applied,
                        Update::Conflict(current) => Answer::Conflict(current),
                        Update::Gone => Answer::Gone,
                    })
            }
        }
    }

    /// Makes the changes again on the record that another request wrote.
    fn rebase(&self, attempt: &Attempt, record: crate::Record) -> Result<(), Error> {
        let key = attempt.live.record.key;
        let newer = match checked(&key, &record) {
            Ok(body) => Live { record, body },
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
            if attempt.rings() {
                // It may have been applied, and then changed.
                self.0.manager.shared.watchers.ring(&key);
            }
            let mut state = self.state();
            state.conflict(attempt.uncertain, &newer)?;
            state.activity.replays += 1;
            replay.log.append(&mut state.log);
        }
        tracing::debug!(%key, "changes made again on a newer record");
        let mut view = View::default();
        let mut done = 0;
        loop {
            // Without the lock: an update runs code of the application.
            for change in &mut replay.log[done..] {
                view.apply(change, Some(&newer))?;
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

    pub(crate) async fn delete_locked(&self, until: &Until) -> Result<(), Error> {
        let (key, before) = {
            let mut state = self.state();
            let live = match (&state.base, &state.attempt) {
                (Base::Live(_), _) if state.shown().is_none() => {
                    return Err(state.overtaken());
                }
                (Base::Absent(Absent::Superseded { late: true }), None) => {
                    return Err(state.overtaken());
                }
                (Base::Live(live) | Base::Deleting(live), _) => live.clone(),
                // A create that may have been applied.
                (Base::Unknown | Base::Absent(_), Some(attempt)) => attempt.live.clone(),
                (Base::Unknown | Base::Absent(_), None) => {
                    state.deleted();
                    return Ok(());
                }
                (Base::Ended, _) => {
                    state.drop_changes(DropReason::Ended);
                    return Ok(());
                }
            };
            let key: SessionKey = live.record.key;
            (
                key,
                std::mem::replace(&mut state.base, Base::Deleting(live)),
            )
        };
        let shared = &self.0.manager.shared;
        let deleting = shared.store().delete(&key);
        let answer = shared.call(StoreCall::Delete, until, deleting).await;
        let mut state = self.state();
        match answer {
            Ok(Delete::Deleted) => {
                tracing::info!(%key, "session deleted");
                shared.watchers.ring(&key);
                state.activity.deleted = true;
                state.tell(|| ended(key));
                state.deleted();
                Ok(())
            }
            Ok(Delete::Gone) => {
                if matches!(before, Base::Live(_)) && !state.delete_in_doubt {
                    state.deleted_by_others();
                } else {
                    // Most likely by a try of this request whose answer was not seen.
                    if state.delete_in_doubt {
                        shared.watchers.ring(&key);
                        state.tell(|| ended(key));
                    }
                    state.deleted();
                }
                Ok(())
            }
            Err(error) => {
                state.delete_in_doubt |= error.effect() == Effect::Unknown;
                state.base = match before {
                    // Whether it is the first try or not, the record may be there.
                    Base::Deleting(live) => Base::Live(live),
                    before => before,
                };
                Err(error.into())
            }
        }
    }
}

fn ended(key: SessionKey) -> Event {
    let why = EndReason::Deleted;
    Event::Ended { key, why }
}

/// Whether there is something to write, and how often something was dropped so far.
struct Pending {
    any: bool,
    drops: u32,
}

impl Pending {
    fn of(state: &State) -> Self {
        Self {
            any: !state.log.is_empty() || state.attempt.is_some(),
            drops: state.drops,
        }
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
