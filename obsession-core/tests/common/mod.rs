//! Sessions on a memory store whose calls are counted, and which does what a test has planned for it.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::sync::Arc;
use std::time::Duration;

pub(crate) use obsession_core::conformance::{Fault, Faulty};
use obsession_core::{
    ClientAction, IdSource, ManualClock, MemoryStore, Presented, Record, Session, SessionId,
    SessionManager, SessionManagerBuilder, SessionStore, Timestamp,
};

/// When every test begins.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// A store, its clock, and two managers of it.
pub(crate) struct At {
    pub(crate) store: Arc<Faulty<MemoryStore>>,
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
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let store = Arc::new(Faulty::new(store));
    let manager = SessionManager::builder(Arc::clone(&store)).clock(Arc::clone(&clock));
    let others = SessionManager::builder(store.inner().clone()).clock(Arc::clone(&clock));
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

    /// The stored record of `id`, unseen.
    pub(crate) async fn record(&self, id: &SessionId) -> Option<Record> {
        self.store.inner().load(&id.key()).await.unwrap()
    }

    /// The names that are stored under `id`; nothing if it is no token of a session.
    pub(crate) async fn names(&self, id: &SessionId) -> Option<Vec<String>> {
        let session = self.others.load_id(id.clone()).await.unwrap()?;
        Some(session.names().await.unwrap())
    }

    /// Another process writes `name` into the session of `id`.
    pub(crate) fn rival(&self, id: &SessionId, name: &'static str) -> Fault {
        let session = self.other(id);
        Fault::behind(async move {
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

/// Chance that can be repeated: `SplitMix64` (Steele, Lea and Flood, 2014).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) % most
    }
}
