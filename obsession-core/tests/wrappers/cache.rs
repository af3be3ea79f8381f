//! A cache in front of a store, for all handles of one process. It is right if nobody else writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use obsession_core::{
    Bell, Clock, Create, Delete, Effect, Record, Revision, ScanCursor, SessionIndex, SessionKey,
    SessionStore, StoreError, Timestamp, Touch, Update,
};

type Answer<T> = Result<T, StoreError>;

/// Loads are kept, and given again until something is written.
#[derive(Debug)]
pub(crate) struct Cache<S> {
    pub(crate) store: S,
    /// The clock by which the store decides what is live.
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) records: HashMap<SessionKey, Record>,
    /// The newest load of each key that is under way. Only that one may be kept.
    loads: HashMap<SessionKey, u64>,
    started: u64,
    /// What is being written, and by how many. It is not kept meanwhile.
    ///
    /// A write that was dropped or failed without saying how stays here for ever: it may still be
    /// made. One that is to run for long would take it out after its store's longest call.
    writes: HashMap<Written, usize>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Written {
    Key(SessionKey),
    Subject(Arc<str>),
}

impl<S> Cache<S> {
    pub(crate) fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a write. What it writes is forgotten before it begins, and not kept before it has ended.
    async fn write<T>(
        &self,
        written: Written,
        call: impl Future<Output = Answer<T>> + Send,
    ) -> Answer<T> {
        self.kept().begin(&written);
        let answer = call.await;
        let ended = match &answer {
            Ok(_) => true,
            Err(error) => error.effect() == Effect::NotApplied,
        };
        if ended {
            self.kept().end(&written);
        }
        answer
    }
}

impl Kept {
    /// What is kept of `key`, and what a load that is under way would keep.
    pub(crate) fn forget(&mut self, key: &SessionKey) {
        self.records.remove(key);
        self.loads.remove(key);
    }

    fn begin(&mut self, written: &Written) {
        *self.writes.entry(written.clone()).or_default() += 1;
        match written {
            Written::Key(key) => self.forget(key),
            Written::Subject(subject) => self
                .records
                .retain(|_, record| record.subject.as_ref() != Some(subject)),
        }
    }

    fn end(&mut self, written: &Written) {
        match written {
            Written::Key(key) => self.forget(key),
            // Nobody knows what a load that is under way will find.
            Written::Subject(_) => self.loads.clear(),
        }
        if let Some(writers) = self.writes.get_mut(written) {
            *writers -= 1;
            if *writers == 0 {
                self.writes.remove(written);
            }
        }
    }

    fn is_written(&self, record: &Record) -> bool {
        let subject = record.subject.clone().map(Written::Subject);
        self.writes.contains_key(&Written::Key(record.key))
            || subject.is_some_and(|subject| self.writes.contains_key(&subject))
    }
}

#[async_trait]
impl<S: SessionIndex> SessionStore for Cache<S> {
    async fn load(&self, key: &SessionKey) -> Answer<Option<Record>> {
        let now = self.clock.now();
        let load = {
            let mut kept = self.kept();
            // That it is absent only the store says.
            if let Some(record) = kept.records.get(key).filter(|record| record.is_live(now)) {
                return Ok(Some(record.clone()));
            }
            kept.started += 1;
            let load = kept.started;
            kept.loads.insert(*key, load);
            load
        };
        let found = self.store.load(key).await?;
        let mut kept = self.kept();
        if kept.loads.get(key) == Some(&load) {
            kept.loads.remove(key);
            if let Some(record) = found.as_ref().filter(|record| !kept.is_written(record)) {
                kept.records.insert(*key, record.clone());
            }
        }
        Ok(found)
    }

    async fn create(&self, record: &Record) -> Answer<Create> {
        let create = self.store.create(record);
        self.write(Written::Key(record.key), create).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Answer<Update> {
        let update = self.store.update(expected, record);
        self.write(Written::Key(record.key), update).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        let touch = self.store.touch(key, expected, expires_at);
        self.write(Written::Key(*key), touch).await
    }

    async fn delete(&self, key: &SessionKey) -> Answer<Delete> {
        let delete = self.store.delete(key);
        self.write(Written::Key(*key), delete).await
    }

    /// What has expired is not given in any case: this is for space.
    async fn delete_expired(&self, limit: usize) -> Answer<usize> {
        let now = self.clock.now();
        self.kept().records.retain(|_, record| record.is_live(now));
        self.store.delete_expired(limit).await
    }

    async fn watch(&self, key: &SessionKey) -> Answer<Bell> {
        self.store.watch(key).await
    }
}

#[async_trait]
impl<S: SessionIndex> SessionIndex for Cache<S> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        self.store.list(subject, after, limit).await
    }

    async fn delete_subject(&self, subject: &str, except: Option<&SessionKey>) -> Answer<usize> {
        let delete = self.store.delete_subject(subject, except);
        self.write(Written::Subject(Arc::from(subject)), delete)
            .await
    }

    async fn scan(&self, after: Option<ScanCursor>, limit: usize) -> Answer<Vec<Record>> {
        self.store.scan(after, limit).await
    }

    async fn count(&self) -> Answer<u64> {
        self.store.count().await
    }
}
