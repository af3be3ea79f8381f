//! A store that fails on purpose, for tests of what comes of it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::chance::Chance;
use crate::{
    Bell, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update, lock,
};

/// A store around another one, whose calls are counted and fail by plan.
///
/// For a store's author it stands between sessions and the store; for an application, it shows what
/// the application does when its store fails:
///
/// ```
/// use std::sync::Arc;
///
/// use obsession_core::conformance::{Fault, Faulty};
/// use obsession_core::{Error, MemoryStore, SessionManager};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), obsession_core::Error> {
/// let store = Arc::new(Faulty::new(MemoryStore::new()));
/// let manager = SessionManager::new(Arc::clone(&store));
/// let session = manager.open(None);
///
/// // The answer to a write is lost. It is sent again, recognised, and counts once.
/// session.update("visits", |n: &mut u64| *n += 1).await?;
/// store.plan([Fault::LoseAnswer]);
/// session.save().await?;
/// assert_eq!(store.calls(), ["create", "create"]);
///
/// // An outage: an error, and not a visitor without a session.
/// let id = session.id().await?;
/// store.set_always(Fault::Refuse);
/// let answer = manager.open(id.clone()).get::<u64>("visits").await;
/// assert!(matches!(answer, Err(Error::Store(_))));
///
/// store.set_always(Fault::Pass);
/// assert_eq!(manager.open(id).get("visits").await?, Some(1_u64));
/// # Ok(()) }
/// ```
///
/// A call takes the next fault of [`plan`](Self::plan); if there is none, it is chance's turn, if
/// [`set_random`](Self::set_random) gave it one; and then that of [`set_always`](Self::set_always).
/// A [`watch`](SessionStore::watch) is no call: it is handed on.
#[derive(Debug)]
pub struct Faulty<S> {
    store: S,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    calls: Vec<&'static str>,
    next: VecDeque<Fault>,
    random: Option<(Chance, usize, Vec<Fault>)>,
    always: Fault,
}

/// What happens to one call of a [`Faulty`] store.
///
/// A load, a list, a scan and a count have no effect, so whatever is lost of them, their error says
/// *not applied*.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing unusual.
    #[default]
    Pass,
    /// It fails before it has begun: *not applied*.
    Refuse,
    /// It never arrives, and nobody knows: *unknown*.
    LoseRequest,
    /// It is made, whatever comes of it, and the answer is lost: *unknown*.
    LoseAnswer,
    /// It is made after this time, on tokio's clock.
    Delay(Duration),
    /// It waits for one more poll before it is made, and for another one before it answers.
    Yield,
    /// It is made twice, as by a client that sends again, and the second answer is given. If others
    /// write in between, that is a conflict with what came of the first, and what the session had
    /// changed may count twice: a store must not send again on its own and answer so.
    Repeat,
    /// It is not made and never answers.
    Hang,
    /// It is made and never answers.
    HangAfter,
    /// A load gets this record, whatever it asks for: a mixed-up reply. Any other call is made.
    Answer(Record),
    /// Somebody else is first; see [`Fault::behind`].
    Behind(Rival),
}

/// What somebody else does before a call is made: once, whichever clone of it is first.
#[derive(Clone)]
pub struct Rival(Arc<Mutex<Option<Act>>>);

type Act = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<S> Faulty<S> {
    /// `store`, without a fault so far.
    pub fn new(store: S) -> Self {
        Self {
            store,
            plan: Mutex::default(),
        }
    }

    /// The store inside, whose calls are not counted and have no faults.
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// What happens to the next calls, in this order, after those that were planned before.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.plan).next.extend(faults);
    }

    /// What happens to every call for which nothing else is planned.
    pub fn set_always(&self, fault: Fault) {
        lock(&self.plan).always = fault;
    }

    /// Lets one call in `one_in`, by chance, have one of `faults`. The same seed makes the same
    /// choices; 0 or no faults end it.
    pub fn set_random(&self, seed: u64, one_in: usize, faults: impl IntoIterator<Item = Fault>) {
        let faults: Vec<_> = faults.into_iter().collect();
        let some = one_in > 0 && !faults.is_empty();
        lock(&self.plan).random = some.then(|| (Chance::new(seed), one_in, faults));
    }

    /// The names of the calls since this was last asked, in the order in which they began.
    pub fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut lock(&self.plan).calls)
    }

    fn next(&self, call: &'static str) -> Fault {
        let mut plan = lock(&self.plan);
        plan.calls.push(call);
        if let Some(planned) = plan.next.pop_front() {
            return planned;
        }
        if let Some((chance, one_in, faults)) = &mut plan.random
            && chance.below(*one_in) == 0
        {
            return faults[chance.below(faults.len())].clone();
        }
        plan.always.clone()
    }
}

impl Fault {
    /// Somebody else is first: the call is made when `rival` has ended.
    ///
    /// A future runs once, so a clone of this fault passes if another one was first.
    pub fn behind(rival: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Behind(Rival(Arc::new(Mutex::new(Some(Box::pin(rival))))))
    }

    async fn read<T, F>(self, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.befall(StoreError::not_applied, call).await
    }

    async fn write<T, F>(self, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.befall(StoreError::unknown, call).await
    }

    async fn befall<T, F>(
        self,
        lost: fn(&'static str) -> StoreError,
        call: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        match self {
            Self::Pass | Self::Answer(_) => call().await,
            Self::Refuse => Err(StoreError::not_applied("refused on purpose")),
            Self::LoseRequest => Err(lost("the request was lost on purpose")),
            Self::LoseAnswer => {
                drop(call().await);
                Err(lost("the answer was lost on purpose"))
            }
            Self::Delay(time) => {
                tokio::time::sleep(time).await;
                call().await
            }
            Self::Yield => {
                tokio::task::yield_now().await;
                let answer = call().await;
                tokio::task::yield_now().await;
                answer
            }
            Self::Repeat => {
                drop(call().await);
                call().await
            }
            Self::Hang => std::future::pending().await,
            Self::HangAfter => {
                drop(call().await);
                std::future::pending().await
            }
            Self::Behind(rival) => {
                let act = lock(&rival.0).take();
                if let Some(act) = act {
                    act.await;
                }
                call().await
            }
        }
    }
}

impl fmt::Debug for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rival")
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for Faulty<S> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        match self.next("load") {
            Fault::Answer(record) => Ok(Some(record)),
            fault => fault.read(|| self.store.load(key)).await,
        }
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        let create = || self.store.create(record);
        self.next("create").write(create).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        let update = || self.store.update(expected, record);
        self.next("update").write(update).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let touch = || self.store.touch(key, expected, expires_at);
        self.next("touch").write(touch).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        let delete = || self.store.delete(key);
        self.next("delete").write(delete).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let delete = || self.store.delete_expired(limit);
        self.next("delete_expired").write(delete).await
    }

    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        self.store.watch(key).await
    }
}

#[async_trait]
impl<S: SessionIndex> SessionIndex for Faulty<S> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let list = || self.store.list(subject, after, limit);
        self.next("list").read(list).await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let delete = || self.store.delete_subject(subject, except);
        self.next("delete_subject").write(delete).await
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.next("scan")
            .read(|| self.store.scan(after, limit))
            .await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.next("count").read(|| self.store.count()).await
    }
}

#[cfg(test)]
mod tests;
