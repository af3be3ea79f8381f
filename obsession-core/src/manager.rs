//! What all sessions of an application share.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::body::Body;
use crate::builder::SessionManagerBuilder;
use crate::events::Listener;
use crate::id::{Random, TokenHasher};
use crate::live::{Live, asked_for, checked};
use crate::session::Session;
use crate::source::{Fixed, IdSource};
use crate::state::{Absent, Base};
use crate::timeout::{TimeoutAt, timeout_at};
use crate::turns::Turns;
use crate::until::Until;
use crate::watchers::Watchers;
use crate::{
    Cleanup, Clock, Effect, EndReason, Error, Event, Lifetime, Presented, Record, Revision,
    Serializer, SessionId, SessionIndex, SessionInfo, SessionKey, SessionStore, StoreCall,
    StoreError, Timestamp, Touch,
};

/// How long after its replacement an old token is taken for a request that was under way.
const LATE: Duration = Duration::from_secs(60);

/// Opens sessions: a store, and how values, tokens and lifetimes are handled.
///
/// Cloning is cheap, and clones are the same manager. It belongs in a tokio runtime with its timer
/// enabled, which keeps calls of the store to their deadline.
///
/// ```
/// # use obsession_core::{MemoryStore, SessionManager};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), obsession_core::Error> {
/// let manager = SessionManager::new(MemoryStore::new());
///
/// let session = manager.open(None);
/// session.insert("fruit", "quince")?;
/// session.save().await?;
///
/// let id = session.id().await?;
/// let again = manager.open(id);
/// assert_eq!(again.get::<String>("fruit").await?.as_deref(), Some("quince"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SessionManager {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) index: Option<Arc<dyn SessionIndex>>,
    pub(crate) serializer: Serializer,
    pub(crate) lifetime: Lifetime,
    pub(crate) touch_every: Option<Duration>,
    pub(crate) max_size: usize,
    pub(crate) hasher: TokenHasher,
    pub(crate) random: Random,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deadline: Duration,
    pub(crate) request_deadline: Duration,
    pub(crate) watch_every: Duration,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) unreadable: Unreadable,
    pub(crate) events: Listener,
    pub(crate) turns: Turns,
}

/// What to do with a record whose bytes are damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unreadable {
    /// Looking at the session is an [`Error::Corrupt`], until somebody repairs or removes it.
    #[default]
    Fail,
    /// The client is treated as one without a session. The record is left alone, and a new session
    /// gets a new key.
    StartFresh,
}

impl SessionManager {
    /// A manager with all defaults.
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        Self::builder(store).build()
    }

    /// A manager for a store without an index, or whose index is not used.
    pub fn builder(store: impl SessionStore) -> SessionManagerBuilder {
        SessionManagerBuilder::new(Arc::new(store), None)
    }

    /// A manager that can also list and end the sessions of a subject.
    pub fn builder_indexed(store: impl SessionIndex) -> SessionManagerBuilder {
        let store = Arc::new(store);
        SessionManagerBuilder::new(Arc::clone(&store) as _, Some(store))
    }

    /// The session of a client that presented `id`, or nothing. There is no I/O in it: the store
    /// is asked at the first look.
    #[must_use]
    pub fn open(&self, id: Option<SessionId>) -> Session {
        self.open_with(Fixed(id.map_or(Presented::Nothing, Presented::Id)))
    }

    /// The session of a client whose id is read when it is first needed.
    #[must_use]
    pub fn open_with(&self, source: impl IdSource) -> Session {
        Session::new(self.clone(), source)
    }

    /// The session of `id` if there is one: loaded and checked.
    ///
    /// Nothing that was open before is changed by it, whether or not it is found.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`].
    pub async fn load_id(&self, id: SessionId) -> Result<Option<Session>, Error> {
        let session = self.open(Some(id));
        Ok(session.info().await?.is_some().then_some(session))
    }

    /// At most `limit` sessions of `subject`, by ascending key, from after `after` on.
    ///
    /// # Errors
    ///
    /// [`Error::NoIndex`], or [`Error::Store`].
    pub async fn sessions_of(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<SessionInfo>, Error> {
        let records = self.index()?.list(subject, after, limit);
        let until = self.until();
        let records = self.shared.call(StoreCall::List, &until, records);
        let records = records.await?;
        Ok(records
            .iter()
            .map(|record| self.shared.info(record))
            .collect())
    }

    /// Ends the session of `key` if it is one of `subject`, and says whether it was.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], or [`Error::Corrupt`] if the store gave the record of another key.
    pub async fn end(&self, subject: &str, key: &SessionKey) -> Result<bool, Error> {
        let until = self.until();
        let Some(record) = self.shared.fetch(key, &until).await? else {
            return Ok(false);
        };
        asked_for(key, &record)?;
        if record.subject.as_deref() != Some(subject) {
            return Ok(false);
        }
        let deleted = self.shared.store().delete(key);
        let deleted = self.shared.call(StoreCall::Delete, &until, deleted);
        let deleted = deleted.await? == crate::Delete::Deleted;
        if deleted {
            tracing::info!(%key, "session ended from another one");
            self.shared.watchers.ring(key);
            self.shared.events.tell(|| Event::Ended {
                key: *key,
                why: EndReason::Revoked,
            });
        }
        Ok(deleted)
    }

    /// Ends all sessions of `subject` but that of `except`, and says how many there were.
    ///
    /// # Errors
    ///
    /// [`Error::NoIndex`], or [`Error::Store`]; some may have been ended then.
    pub async fn end_all(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, Error> {
        let ended = self.index()?.delete_subject(subject, except);
        let until = self.until();
        let ended = self.shared.call(StoreCall::DeleteSubject, &until, ended);
        let count = ended.await?;
        self.shared.watchers.ring_all(subject);
        tracing::info!(count, "sessions of a subject ended");
        self.shared.events.tell(|| Event::AllEnded {
            subject: subject.into(),
            except: except.copied(),
            count,
        });
        Ok(count)
    }

    /// A task that removes expired records; see [`Cleanup`].
    pub fn cleanup(&self) -> Cleanup {
        Cleanup::new(Arc::clone(&self.shared.store), self.shared.events.clone())
    }

    fn until(&self) -> Until {
        self.shared.until()
    }

    fn index(&self) -> Result<&Arc<dyn SessionIndex>, Error> {
        self.shared.index.as_ref().ok_or(Error::NoIndex)
    }
}

impl Shared {
    /// The store itself: asked through its `Arc`, it would make one future more for each call.
    pub(crate) fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    /// When store calls that start now must have ended.
    pub(crate) fn until(&self) -> Until {
        Until::within(self.deadline)
    }

    /// Loads the record of `key`. What it is worth is for `judge` to say.
    pub(crate) fn fetch<'a>(
        &'a self,
        key: &'a SessionKey,
        until: &'a Until,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send + 'a {
        self.call(StoreCall::Load, until, self.store().load(key))
    }

    /// Finds the first of `ids` that gives a right to something. Of what is not there it is remembered
    /// that one was replaced just now.
    pub(crate) async fn load_one_of(
        &self,
        ids: Vec<SessionId>,
        until: &Until,
    ) -> Result<Option<(SessionId, Base)>, Error> {
        let mut best = None;
        for id in ids {
            let found = self.fetch(&id.key(), until).await?;
            let judged = self.judge(&id, found.as_ref())?;
            let found = Base::new(found, judged);
            let live = matches!(found, Base::Live(_));
            let replaced = Base::is_replaced_just_now;
            if live || !best.as_ref().is_some_and(|(_, base)| replaced(base)) {
                best = Some((id, found));
            }
            if live {
                break;
            }
        }
        Ok(best)
    }

    /// What a record, if there is one, says of the right of `id` to it: what is in it, if there is one.
    pub(crate) fn judge(
        &self,
        id: &SessionId,
        found: Option<&Record>,
    ) -> Result<Result<Body, Absent>, Error> {
        let key = id.key();
        // Of another key's record it does not matter whether it is live: it is no answer.
        let Some(record) = found else {
            self.events.tell(|| Event::Unknown { key });
            return Ok(Err(Absent::NotFound));
        };
        if record.key == key && !self.clock.is_before(record.expires_at) {
            self.events.tell(|| Event::Expired { key });
            return Ok(Err(Absent::NotFound));
        }
        let body = match checked(&key, record) {
            Ok(body) => body,
            Err(error) => {
                self.events.tell(|| Event::Corrupt { key });
                if self.unreadable == Unreadable::Fail {
                    return Err(error);
                }
                tracing::warn!(%key, %error, "session treated as absent");
                return Ok(Err(Absent::NotFound));
            }
        };
        let limit = self.effective(&body).limit(record.created_at);
        if !self.clock.is_before(limit) {
            self.events.tell(|| Event::Expired { key });
            return Ok(Err(Absent::NotFound));
        }
        if !body.head.hash.matches(&self.hasher.hash(id)) {
            let late = self.clock.now().saturating_since(body.head.cycled_at) < LATE;
            tracing::info!(%key, late, "a token that is not the current one was presented");
            self.events.tell(|| Event::Reuse { key, recent: late });
            return Ok(Err(Absent::Superseded { late }));
        }
        Ok(Ok(body))
    }

    pub(crate) fn effective(&self, body: &Body) -> Lifetime {
        body.head.lifetime.unwrap_or(self.lifetime)
    }

    /// The later deadline that a session used `now` should get, if it is worth a write of it.
    pub(crate) fn touch_due(&self, live: &Live, now: Timestamp) -> Option<Timestamp> {
        let lifetime = self.effective(&live.body);
        let deadline = lifetime.deadline(live.record.created_at, now);
        let gain = deadline.saturating_since(live.record.expires_at);
        // The last move, up to the absolute limit, is worth it however little it gains.
        let last = deadline == lifetime.limit(live.record.created_at) && !gain.is_zero();
        let resolution = self.touch_every.unwrap_or(lifetime.idle() / 8);
        (last || gain >= resolution.max(Duration::from_millis(1))).then_some(deadline)
    }

    /// The deadline of a session that is written `now` for another reason, with the limits that it
    /// has had. While a touch would not be due it stays, and a store has no index to change.
    pub(crate) fn deadline_of_write(&self, live: &Live, now: Timestamp) -> Timestamp {
        let lifetime = self.effective(&live.body);
        let latest = lifetime.deadline(live.record.created_at, now);
        // A shorter timeout of the application's holds from the next write on.
        self.touch_due(live, now)
            .unwrap_or(live.record.expires_at)
            .min(latest)
    }

    pub(crate) async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        deadline: Timestamp,
        until: &Until,
    ) -> Result<Touch, StoreError> {
        let touching = self.store().touch(key, expected, deadline);
        self.call(StoreCall::Touch, until, touching).await
    }

    /// Awaits a call of the store, at most `until`, and tells how it went.
    pub(crate) fn call<'a, T: Send + 'a>(
        &'a self,
        call: StoreCall,
        until: &'a Until,
        answer: Answering<'a, T>,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
        let began = self.events.listens().then(Instant::now);
        let answer = bounded(until, answer, call.effect_if_late());
        async move {
            let answer = answer.await;
            if let Some(began) = began {
                self.events.tell(|| Event::Answered {
                    call,
                    took: began.elapsed(),
                    failed: answer.as_ref().err().map(StoreError::effect),
                });
            }
            answer
        }
    }

    fn info(&self, record: &Record) -> SessionInfo {
        let body = Body::decode(record).ok();
        let lifetime = body
            .as_ref()
            .map_or(self.lifetime, |body| self.effective(body));
        SessionInfo::new(record, body.as_ref(), &lifetime)
    }
}

/// The answer of a store that ran out of time.
const LATE_STORE: &str = "the store did not answer in time";

/// What a store's method returns.
type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Awaits a call of the store, at most `until`. If that was not enough, it may have had the effect `late`.
#[expect(
    clippy::manual_async_fn,
    reason = "it is a part of every handler's future, where an async fn has its arguments twice"
)]
pub(crate) fn bounded<'a, T: Send + 'a>(
    until: &'a Until,
    mut answer: Answering<'a, T>,
    late: Effect,
) -> impl Future<Output = Result<T, StoreError>> + Send + 'a {
    async move {
        // A store in memory answers at the first poll, and then no timer is set up.
        let now = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx)));
        if let Poll::Ready(answer) = now.await {
            return answer;
        }
        // In a box: it would make the future of every handler larger.
        let answer = Box::pin(within(until, answer)).await;
        answer.unwrap_or_else(|| Err(late_store(late)))
    }
}

/// A store has not answered in time, and has done at most this.
pub(crate) const fn late_store(effect: Effect) -> StoreError {
    match effect {
        Effect::NotApplied => StoreError::not_applied(LATE_STORE),
        Effect::Unknown => StoreError::unknown(LATE_STORE),
    }
}

/// Awaits `what`, at most `until`; nothing if that was not enough.
pub(crate) fn within<F: Future>(until: &Until, what: F) -> TimeoutAt<F> {
    timeout_at(until.instant(), what)
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("store", &self.shared.store)
            .field("serializer", &self.shared.serializer)
            .field("lifetime", &self.shared.lifetime)
            .finish_non_exhaustive()
    }
}
