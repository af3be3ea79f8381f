//! Sessions on a memory store whose calls are counted, and which does what a test has planned for it.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use obsession_core::{
    ClientAction, Create, Delete, IdSource, ManualClock, MemoryStore, Presented, Record, Revision,
    Session, SessionId, SessionKey, SessionManager, SessionManagerBuilder, SessionStore,
    StoreError, Timestamp, Touch, Update,
};

/// When every test begins.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// What happens to one call of the store.
pub(crate) enum Step {
    /// Nothing unusual.
    Pass,
    /// It fails, and nothing was changed.
    Fail,
    /// It fails, and nobody knows whether it was applied; it was not.
    Doubt,
    /// It is applied, and the answer is lost.
    Lose,
    /// It never ends.
    Hang,
    /// Somebody else is first.
    After(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl Step {
    pub(crate) fn after(rival: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::After(Box::pin(rival))
    }
}

/// A memory store whose calls are seen, and for each of which something can be planned.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) store: MemoryStore,
    calls: Mutex<Vec<&'static str>>,
    plan: Mutex<VecDeque<Step>>,
    slow: AtomicBool,
    mixed_up: Mutex<Option<Record>>,
}

impl Watched {
    /// The calls since this was last asked.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// What happens to the next calls.
    pub(crate) fn plan(&self, steps: impl IntoIterator<Item = Step>) {
        self.plan.lock().unwrap().extend(steps);
    }

    /// Makes every call wait once before and once after it takes effect.
    pub(crate) fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::SeqCst);
    }

    /// Makes every load answer with this record, whatever it asks for.
    pub(crate) fn mix_up(&self, record: Record) {
        *self.mixed_up.lock().unwrap() = Some(record);
    }

    /// The stored record of `id`, unseen.
    pub(crate) async fn record(&self, id: &SessionId) -> Option<Record> {
        self.store.load(&id.key()).await.unwrap()
    }

    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.calls.lock().unwrap().push(name);
        let step = self.plan.lock().unwrap().pop_front();
        self.pause().await;
        let answer = match step.unwrap_or(Step::Pass) {
            Step::Pass => call.await,
            Step::Fail => Err(StoreError::not_applied("planned")),
            Step::Doubt => Err(StoreError::unknown("planned")),
            Step::Lose => {
                let _ = call.await?;
                Err(StoreError::unknown("planned"))
            }
            Step::Hang => std::future::pending().await,
            Step::After(rival) => {
                rival.await;
                call.await
            }
        };
        self.pause().await;
        answer
    }

    async fn pause(&self) {
        if self.slow.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl SessionStore for Watched {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let found = self.call("load", self.store.load(key)).await?;
        Ok(self.mixed_up.lock().unwrap().clone().or(found))
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        self.call("create", self.store.create(record)).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        self.call("update", self.store.update(expected, record))
            .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        self.call("touch", self.store.touch(key, expected, expires_at))
            .await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.call("delete", self.store.delete(key)).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.call("delete_expired", self.store.delete_expired(limit))
            .await
    }
}

/// A store, its clock, and two managers of it.
pub(crate) struct At {
    pub(crate) store: Arc<Watched>,
    pub(crate) clock: Arc<ManualClock>,
    /// The manager under test: its calls are seen.
    pub(crate) manager: SessionManager,
    /// The manager of other processes: their calls are not seen and nothing is planned for them.
    pub(crate) others: SessionManager,
}

/// Sessions with all defaults.
pub(crate) fn at() -> At {
    at_with(|builder| builder)
}

/// Sessions of managers that are configured alike.
pub(crate) fn at_with(configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder) -> At {
    let clock = Arc::new(ManualClock::new(NOW));
    let store = Arc::new(Watched {
        store: MemoryStore::builder().clock(Arc::clone(&clock)).build(),
        ..Watched::default()
    });
    let manager = SessionManager::builder(Arc::clone(&store)).clock(Arc::clone(&clock));
    let others = SessionManager::builder(store.store.clone()).clock(Arc::clone(&clock));
    At {
        manager: configure(manager).build(),
        others: configure(others).build(),
        store,
        clock,
    }
}

impl At {
    /// A stored session with a cart, and its token.
    pub(crate) async fn stored(&self) -> SessionId {
        let session = self.others.open(None);
        session.insert("cart", &["quince"]).unwrap();
        saved(&session).await
    }

    /// The session of `id`, in the hands of the manager under test.
    pub(crate) fn open(&self, id: &SessionId) -> Session {
        self.manager.open(Some(id.clone()))
    }

    /// The session of `id`, in the hands of another process.
    pub(crate) fn other(&self, id: &SessionId) -> Session {
        self.others.open(Some(id.clone()))
    }

    /// The names that are stored under `id`; nothing if it is no token of a session.
    pub(crate) async fn names(&self, id: &SessionId) -> Option<Vec<String>> {
        let session = self.others.load_id(id.clone()).await.unwrap()?;
        Some(session.names().await.unwrap())
    }

    /// Another process writes `name` into the session of `id`.
    pub(crate) fn rival(&self, id: &SessionId, name: &'static str) -> Step {
        let session = self.other(id);
        Step::after(async move {
            session.insert(name, "a rival's").unwrap();
            session.save().await.unwrap();
        })
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Saves `session`, and gives its token.
pub(crate) async fn saved(session: &Session) -> SessionId {
    session.save().await.unwrap();
    session.id().await.unwrap().unwrap()
}

/// The token that a finished request sends, if it sends one.
pub(crate) fn sent(action: ClientAction) -> Option<SessionId> {
    match action {
        ClientAction::Set { id, .. } => Some(id),
        ClientAction::Keep | ClientAction::Clear => None,
    }
}

/// A client that is told to keep its token for this long.
#[derive(Debug)]
pub(crate) struct Kept(pub(crate) SessionId, pub(crate) Duration);

impl IdSource for Kept {
    fn presented(&self) -> Presented {
        Presented::Id(self.0.clone())
    }

    fn max_age(&self) -> Option<Duration> {
        Some(self.1)
    }
}
