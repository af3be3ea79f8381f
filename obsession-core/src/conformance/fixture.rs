//! What a case works with: a store, its time, and what its author can do to it.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::recorded::{Calls, Recorded};
use super::time::Time;
use crate::{
    Create, Delete, Record, Revision, SessionId, SessionKey, SessionStore, Timestamp, Touch, Update,
};

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Reopen<S> = Box<dyn Fn(S) -> Later<S> + Send + Sync>;
type Switch = Box<dyn Fn() -> Later<()> + Send + Sync>;

/// An empty store for one case, and what can be done to it besides calling it.
///
/// A constructor that has nothing to add gives the store alone, or the store and something to keep
/// as long as the store is used.
pub struct Setup<S> {
    store: S,
    keepsake: Box<dyn Any + Send + Sync>,
    reopen: Option<Reopen<S>>,
    outage: Option<Outage>,
    neighbour: Option<S>,
    peer: Option<S>,
    cleans_itself: bool,
    time_limit: Duration,
}

/// What a constructor may give besides a store.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Ability {
    Reopen,
    Outage,
    Neighbour,
    Peer,
    Push,
}

struct Outage {
    begin: Switch,
    end: Switch,
}

impl<S: SessionStore> Setup<S> {
    /// This store.
    pub fn new(store: S) -> Self {
        Self {
            store,
            keepsake: Box::new(()),
            reopen: None,
            outage: None,
            neighbour: None,
            peer: None,
            cleans_itself: false,
            time_limit: Duration::from_secs(120),
        }
    }

    /// Keeps something as long as the store is used, such as its temporary folder or its server.
    #[must_use]
    pub fn keep(mut self, keepsake: impl Send + Sync + 'static) -> Self {
        self.keepsake = Box::new((self.keepsake, keepsake));
        self
    }

    /// How to close the store and open it again with what it had stored. It unlocks the cases
    /// under `reopen`.
    #[must_use]
    pub fn reopen<F>(mut self, reopen: impl Fn(S) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = S> + Send + 'static,
    {
        self.reopen = Some(Box::new(move |store| Box::pin(reopen(store))));
        self
    }

    /// How to make the store fail every call from here on, as an outage of its server would, and
    /// how to end that. It unlocks the cases under `outage`.
    #[must_use]
    pub fn outage<B, E>(
        mut self,
        begin: impl Fn() -> B + Send + Sync + 'static,
        end: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self
    where
        B: Future<Output = ()> + Send + 'static,
        E: Future<Output = ()> + Send + 'static,
    {
        self.outage = Some(Outage {
            begin: Box::new(move || Box::pin(begin())),
            end: Box::new(move || Box::pin(end())),
        });
        self
    }

    /// Another empty store on the same server, with a prefix or a table of its own. It unlocks the
    /// cases under `neighbour`.
    #[must_use]
    pub fn neighbour(mut self, neighbour: S) -> Self {
        self.neighbour = Some(neighbour);
        self
    }

    /// Another handle on the same records, as another process or another host has one: with a
    /// connection, a cache and a state of its own. It unlocks the cases under `peer`.
    #[must_use]
    pub fn peer(mut self, peer: S) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The server removes expired records by itself, so that cleanup may find fewer than there were.
    /// Of any other store each case expects the exact number.
    #[must_use]
    pub fn cleans_itself(mut self) -> Self {
        self.cleans_itself = true;
        self
    }

    /// How long each case may take; two minutes unless set.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    pub(crate) fn limit(&self) -> Duration {
        self.time_limit
    }

    pub(crate) async fn can(&self, ability: Ability) -> bool {
        match ability {
            Ability::Reopen => self.reopen.is_some(),
            Ability::Outage => self.outage.is_some(),
            Ability::Neighbour => self.neighbour.is_some(),
            Ability::Peer => self.peer.is_some(),
            // The store says so itself.
            Ability::Push => {
                let id = SessionId::generate(getrandom::fill).expect("random bytes");
                let bell = self.store.watch(&id.key()).await;
                bell.is_ok_and(|bell| !bell.is_silent())
            }
        }
    }

    pub(crate) fn into_fixture(self, time: Time, calls: &Calls) -> Fixture<Recorded<S>> {
        let Self {
            store,
            keepsake,
            reopen,
            outage,
            neighbour,
            peer,
            cleans_itself,
            time_limit: _,
        } = self;
        let record = |store, handle| Recorded::new(store, calls.clone(), handle);
        let store = Arc::new(record(store, ""));
        let neighbour = neighbour.map(|neighbour| record(neighbour, "neighbour."));
        let peer = peer.map(|peer| Arc::new(record(peer, "peer.")));
        let calls = calls.clone();
        let reopen = reopen.map(|reopen| -> Reopen<Recorded<S>> {
            let calls = calls.clone();
            Box::new(move |store| {
                calls.event("closed and opened again");
                let (opening, calls) = (reopen(store.into_inner()), calls.clone());
                Box::pin(async move { Recorded::new(opening.await, calls, "") })
            })
        });
        Fixture {
            store,
            time,
            reopen,
            outage,
            neighbour,
            peer,
            cleans_itself,
            calls,
            _keepsake: keepsake,
        }
    }
}

/// What a constructor may give: a store, a store and something to keep as long, or a [`Setup`].
pub trait IntoSetup {
    /// The store.
    type Store: SessionStore;

    /// The setup.
    fn into_setup(self) -> Setup<Self::Store>;
}

impl<S: SessionStore> IntoSetup for S {
    type Store = S;

    fn into_setup(self) -> Setup<S> {
        Setup::new(self)
    }
}

impl<S: SessionStore, K: Send + Sync + 'static> IntoSetup for (S, K) {
    type Store = S;

    fn into_setup(self) -> Setup<S> {
        Setup::new(self.0).keep(self.1)
    }
}

impl<S: SessionStore> IntoSetup for Setup<S> {
    type Store = S;

    fn into_setup(self) -> Self {
        self
    }
}

/// What a case works with.
pub struct Fixture<S> {
    /// The store under test, empty.
    pub store: Arc<S>,
    /// Its time.
    pub time: Time,
    reopen: Option<Reopen<S>>,
    outage: Option<Outage>,
    neighbour: Option<S>,
    peer: Option<Arc<S>>,
    cleans_itself: bool,
    calls: Calls,
    // After the store, so that it is dropped after it.
    _keepsake: Box<dyn Any + Send + Sync>,
}

impl<S: SessionStore> Fixture<S> {
    /// A record with a fresh key that is live for a while.
    #[must_use]
    pub fn record(&self) -> Record {
        let id = SessionId::generate(getrandom::fill).expect("random bytes");
        Record {
            key: id.key(),
            revision: revision(),
            subject: None,
            created_at: self.time.now(),
            expires_at: self.time.later(),
            body: b"body".into(),
        }
    }

    /// A record that has been created.
    pub async fn created(&self) -> Record {
        let record = self.record();
        self.create(&record).await;
        record
    }

    /// Creates `record`, which must be new.
    pub async fn create(&self, record: &Record) {
        let answer = self.store.create(record).await.expect("create");
        assert_eq!(answer, Create::Created, "create of a new key");
    }

    /// The live record of `key`.
    pub async fn load(&self, key: &SessionKey) -> Option<Record> {
        self.store.load(key).await.expect("load")
    }

    /// Updates to `record`, which must replace `expected`.
    pub async fn update(&self, expected: Revision, record: &Record) {
        let answer = self.store.update(expected, record).await.expect("update");
        assert_eq!(answer, Update::Updated, "update of the current revision");
    }

    /// As many records as no store handles in one batch; ten times as many in the long mode.
    #[must_use]
    pub fn many(&self) -> usize {
        if is_long() { 3000 } else { 300 }
    }

    /// A record with a fresh key that ends soon.
    #[must_use]
    pub fn expiring(&self) -> Record {
        Record {
            expires_at: self.time.soon(),
            ..self.record()
        }
    }

    /// Touches `record`, which must be the current one.
    pub async fn touch(&self, record: &Record, expires_at: Timestamp) {
        let answer = self
            .store
            .touch(&record.key, record.revision, expires_at)
            .await;
        let answer = answer.expect("touch");
        assert_eq!(answer, Touch::Touched, "touch of the current revision");
    }

    /// Deletes the record of `key`, which must be live.
    pub async fn delete(&self, key: &SessionKey) {
        let answer = self.store.delete(key).await.expect("delete");
        assert_eq!(answer, Delete::Deleted, "delete of a live record");
    }

    /// The live record of `record.key` as a write meets it, which changes nothing.
    pub(crate) async fn met(&self, record: &Record) -> Option<Record> {
        let stale = rewritten(record, b"stale");
        match self.store.update(revision(), &stale).await.expect("update") {
            Update::Conflict(current) => Some(current),
            Update::Gone => None,
            Update::Updated => panic!("an update of a revision that was never used"),
        }
    }

    /// Cleanup said that it had removed this many records, of this many that had expired.
    pub fn assert_removed(&self, removed: usize, expired: usize) {
        if self.cleans_itself {
            assert!(removed <= expired, "{removed} of {expired} records");
        } else {
            assert_eq!(removed, expired, "records removed, records expired");
        }
    }

    /// Removes at most 100 expired records.
    pub async fn cleanup(&self) -> usize {
        self.store.delete_expired(100).await.expect("cleanup")
    }

    /// Removes expired records, `limit` at a time, until fewer were found, and says how many.
    pub async fn cleanup_by(&self, limit: usize) -> usize {
        const MOST: usize = 1000;
        let mut removed = 0;
        loop {
            let now = self.store.delete_expired(limit).await.expect("cleanup");
            removed += now;
            assert!(now <= limit, "{now} of at most {limit}");
            assert!(removed <= MOST, "cleanup does not end");
            if now < limit {
                return removed;
            }
        }
    }

    /// The same store closed and opened again.
    #[must_use]
    pub async fn reopened(mut self) -> Self {
        let open = self
            .reopen
            .take()
            .expect("the constructor gives no `reopen`");
        (self.neighbour, self.peer) = (None, None);
        let store = Arc::try_unwrap(self.store).ok();
        let store = open(store.expect("a case that holds its store alone")).await;
        Self {
            store: Arc::new(store),
            reopen: Some(open),
            ..self
        }
    }

    /// The other store on the same server.
    #[must_use]
    pub fn neighbour(&self) -> &S {
        let neighbour = self.neighbour.as_ref();
        neighbour.expect("the constructor gives no `neighbour`")
    }

    /// Another handle on the same records.
    #[must_use]
    pub fn peer(&self) -> &Arc<S> {
        let peer = self.peer.as_ref();
        peer.expect("the constructor gives no `peer`")
    }

    pub(crate) fn has_peer(&self) -> bool {
        self.peer.is_some()
    }

    /// Lets every call fail from here on.
    pub async fn begin_outage(&self) {
        let outage = self.outage.as_ref();
        (outage.expect("the constructor gives no `outage`").begin)().await;
        self.calls.event("the outage begins");
    }

    /// Lets calls work again.
    pub async fn end_outage(&self) {
        if let Some(outage) = &self.outage {
            (outage.end)().await;
            self.calls.event("the outage has ended");
        }
    }
}

impl<S> fmt::Debug for Setup<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Fixture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// Whether `OBSESSION_CONFORMANCE=long` is in the environment.
pub(crate) fn is_long() -> bool {
    std::env::var("OBSESSION_CONFORMANCE").is_ok_and(|mode| mode == "long")
}

/// A revision that was never used.
#[must_use]
pub fn revision() -> Revision {
    Revision::fresh().expect("random bytes")
}

/// The same record after another write.
#[must_use]
pub fn rewritten(record: &Record, body: &[u8]) -> Record {
    Record {
        revision: revision(),
        body: body.into(),
        ..record.clone()
    }
}
