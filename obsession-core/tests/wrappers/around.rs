//! What the suite is given: a wrapper around stores that take their time and can fail.

use std::sync::Arc;

use async_trait::async_trait;
use obsession_core::conformance::{Fault, Faulty, Setup, Time};
use obsession_core::{
    Bell, Clock, Create, Delete, MemoryStore, Record, Revision, ScanCursor, SessionIndex,
    SessionKey, SessionStore, StoreError, Timestamp, Touch, Update,
};

use crate::cache::Cache;
use crate::migrating::Migrating;
use crate::sealed::{Cipher, Sealed};

/// One type for all: the suite is large, and would be compiled for each.
pub(crate) type Store = Arc<dyn SessionIndex>;

/// A store around which wrappers are put.
pub(crate) type Inner = Arc<Faulty<MemoryStore>>;

/// How the suite makes a wrapper.
pub(crate) trait Wrapper: Clone + SessionIndex {
    /// One around these stores; most need one of them.
    fn around(stores: [Inner; 2], clock: Arc<dyn Clock>) -> Self;

    /// What the suite calls: this wrapper, or the same with a bug.
    fn shown(self, store: Store) -> Store {
        store
    }
}

impl Wrapper for Arc<Cache<Inner>> {
    fn around([store, _]: [Inner; 2], clock: Arc<dyn Clock>) -> Self {
        Arc::new(Cache::new(store, clock))
    }
}

impl Wrapper for Arc<Sealed<Inner>> {
    fn around([store, _]: [Inner; 2], _: Arc<dyn Clock>) -> Self {
        let cipher = Cipher::new([7; 32]);
        Arc::new(Sealed { store, cipher })
    }
}

impl Wrapper for Arc<Migrating<Inner>> {
    fn around([old, new]: [Inner; 2], _: Arc<dyn Clock>) -> Self {
        Arc::new(Migrating::new(old, new))
    }

    fn shown(self, store: Store) -> Store {
        Arc::new(BornOld { at: self, store })
    }
}

/// An empty store. Others may go first before each call of it, and before its answer.
pub(crate) fn inner(clock: &Arc<dyn Clock>) -> Inner {
    let store = Faulty::new(MemoryStore::builder().clock(Arc::clone(clock)).build());
    store.set_always(Fault::Yield);
    Arc::new(store)
}

/// A wrapper with everything that the suite can check. The peer is another handle in its process.
pub(crate) fn setup<W: Wrapper>(time: &Time, finish: fn(W) -> Store) -> Setup<Store> {
    let clock: Arc<dyn Clock> = Arc::new(time.clock());
    let pair = || [inner(&clock), inner(&clock)];
    let (stores, others) = (pair(), pair());
    let wrap = {
        let clock = Arc::clone(&clock);
        move |stores| {
            let wrapper = W::around(stores, Arc::clone(&clock));
            wrapper.clone().shown(finish(wrapper))
        }
    };
    let switch = |fault: Fault| {
        let stores = stores.clone();
        move || {
            for store in &stores {
                store.set_always(fault.clone());
            }
            async {}
        }
    };
    let store = wrap(stores.clone());
    Setup::new(Arc::clone(&store))
        .peer(store)
        .neighbour(wrap(others))
        // What is written in an outage is written, and nobody knows.
        .outage(switch(Fault::LoseAnswer), switch(Fault::Yield))
        .reopen(move |closed| {
            drop(closed);
            let opened = wrap(stores.clone());
            async { opened }
        })
}

/// A migrating store whose every record is made in the old one, so that each case migrates.
#[derive(Debug)]
struct BornOld {
    at: Arc<Migrating<Inner>>,
    store: Store,
}

#[async_trait]
impl SessionStore for BornOld {
    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        let _moving = self.at.moving.lock().await;
        match self.at.new.load(&record.key).await? {
            Some(moved) if moved.revision == record.revision => Ok(Create::Created),
            Some(_) => Ok(Create::KeyTaken),
            None => self.at.old.create(record).await,
        }
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.store.load(key).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        self.store.update(expected, record).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        self.store.touch(key, expected, expires_at).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.store.delete(key).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.store.delete_expired(limit).await
    }

    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        self.store.watch(key).await
    }
}

#[async_trait]
impl SessionIndex for BornOld {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.list(subject, after, limit).await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        self.store.delete_subject(subject, except).await
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.scan(after, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.store.count().await
    }
}
