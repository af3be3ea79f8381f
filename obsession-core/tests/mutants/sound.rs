//! A sound store: one map under one lock, which plays the server. The mutants are this with one bug.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use obsession_core::{
    Bell, Clock, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey,
    SessionStore, StoreError, Timestamp, Touch, Update,
};
use tokio::sync::watch;

/// What the server holds: the records of each table.
type Rows = BTreeMap<(u8, SessionKey), Record>;

#[derive(Debug, Default)]
struct Server {
    rows: Mutex<Rows>,
    /// Told of every change of any record: a ring says no more than "look again".
    changes: watch::Sender<()>,
    away: AtomicBool,
}

/// A handle on one table of the server.
#[derive(Clone, Debug)]
pub(crate) struct Sound {
    server: Arc<Server>,
    pub(crate) table: u8,
    clock: Arc<dyn Clock>,
}

pub(crate) type Answer<T> = Result<T, StoreError>;

impl Sound {
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self {
            server: Arc::default(),
            table: 0,
            clock: Arc::new(clock),
        }
    }

    /// A table of the same server.
    pub(crate) fn of_table(&self, table: u8) -> Self {
        Self {
            table,
            ..self.clone()
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.server.away.store(away, Ordering::SeqCst);
    }

    /// The rows of the server, live or not, unless it is away.
    pub(crate) fn rows(&self) -> Answer<MutexGuard<'_, Rows>> {
        if self.server.away.load(Ordering::SeqCst) {
            return Err(StoreError::not_applied("the server is away"));
        }
        Ok(self
            .server
            .rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// The record of `key`, live or not.
    pub(crate) fn row(&self, key: &SessionKey) -> Answer<Option<Record>> {
        Ok(self.rows()?.get(&(self.table, *key)).cloned())
    }

    /// The record of `key` if it is live.
    pub(crate) fn live(&self, key: &SessionKey) -> Answer<Option<Record>> {
        let now = self.now();
        Ok(self.row(key)?.filter(|record| record.is_live(now)))
    }

    /// All live records.
    pub(crate) fn all_live(&self) -> Answer<Vec<Record>> {
        let now = self.now();
        let rows = self.rows()?;
        let own = rows.iter().filter(|((table, _), _)| *table == self.table);
        let live = own.filter(|(_, record)| record.is_live(now));
        Ok(live.map(|(_, record)| record.clone()).collect())
    }

    /// Puts a record without looking.
    pub(crate) fn put(&self, record: &Record) -> Answer<()> {
        self.rows()?
            .insert((self.table, record.key), record.clone());
        Ok(())
    }

    /// Removes a record without looking.
    pub(crate) fn take(&self, key: &SessionKey) -> Answer<Option<Record>> {
        Ok(self.rows()?.remove(&(self.table, *key)))
    }

    /// Rings at the next change. It is a place among those who are told, from now on.
    pub(crate) fn bell(&self) -> Bell {
        let mut changes = self.server.changes.subscribe();
        Bell::new(async move {
            // The server, which tells, is gone when all handles are.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    /// Changes the rows at one instant, between the way to the server and the way back.
    async fn change<T>(&self, change: impl FnOnce(&mut Rows, u8, Timestamp) -> T) -> Answer<T> {
        trip().await;
        let answer = {
            let mut rows = self.rows()?;
            // The clock is asked under the lock: whoever is later sees a later time.
            let now = self.now();
            change(&mut rows, self.table, now)
        };
        self.server.changes.send_replace(());
        trip().await;
        Ok(answer)
    }
}

#[async_trait]
impl SessionStore for Sound {
    async fn load(&self, key: &SessionKey) -> Answer<Option<Record>> {
        trip().await;
        let found = self.live(key)?;
        trip().await;
        Ok(found)
    }

    async fn create(&self, record: &Record) -> Answer<Create> {
        self.change(|rows, table, now| {
            let old = rows
                .get(&(table, record.key))
                .filter(|old| old.is_live(now));
            match old {
                Some(old) if old.revision == record.revision => Create::Created,
                Some(_) => Create::KeyTaken,
                None => {
                    rows.insert((table, record.key), record.clone());
                    Create::Created
                }
            }
        })
        .await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Answer<Update> {
        self.change(|rows, table, now| {
            let old = rows.get_mut(&(table, record.key));
            match old.filter(|old| old.is_live(now)) {
                None => Update::Gone,
                Some(old) if old.revision == record.revision => Update::Updated,
                Some(old) if old.revision != expected => Update::Conflict(old.clone()),
                Some(old) => {
                    *old = record.clone();
                    Update::Updated
                }
            }
        })
        .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.change(|rows, table, now| {
            let old = rows.get_mut(&(table, *key));
            match old.filter(|old| old.is_live(now)) {
                None => Touch::Gone,
                Some(old) if old.revision != expected => Touch::Changed,
                Some(old) => {
                    old.expires_at = old.expires_at.max(expires_at);
                    Touch::Touched
                }
            }
        })
        .await
    }

    async fn delete(&self, key: &SessionKey) -> Answer<Delete> {
        self.change(|rows, table, now| {
            let old = rows.remove(&(table, *key));
            match old.filter(|old| old.is_live(now)) {
                Some(_) => Delete::Deleted,
                None => Delete::Gone,
            }
        })
        .await
    }

    async fn delete_expired(&self, limit: usize) -> Answer<usize> {
        self.change(|rows, table, now| {
            let expired = rows
                .iter()
                .filter(|((of, _), record)| *of == table && !record.is_live(now));
            let expired: Vec<_> = expired.map(|(at, _)| *at).take(limit).collect();
            for at in &expired {
                rows.remove(at);
            }
            expired.len()
        })
        .await
    }

    async fn watch(&self, _: &SessionKey) -> Answer<Bell> {
        Ok(self.bell())
    }
}

#[async_trait]
impl SessionIndex for Sound {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        trip().await;
        let listed = self.all_live()?.into_iter().filter(|record| {
            record.subject.as_deref() == Some(subject) && after.is_none_or(|key| record.key > *key)
        });
        Ok(listed.take(limit).collect())
    }

    async fn delete_subject(&self, subject: &str, except: Option<&SessionKey>) -> Answer<usize> {
        self.change(|rows, table, now| {
            let mut ended = 0;
            rows.retain(|(of, key), record| {
                let staying = *of != table
                    || record.subject.as_deref() != Some(subject)
                    || Some(key) == except;
                ended += usize::from(!staying && record.is_live(now));
                staying
            });
            ended
        })
        .await
    }

    async fn scan(&self, after: Option<ScanCursor>, limit: usize) -> Answer<Vec<Record>> {
        trip().await;
        let mut live = self.all_live()?;
        live.retain(|record| after.is_none_or(|at| ScanCursor::from(record) > at));
        live.sort_by_key(|record| ScanCursor::from(record));
        live.truncate(limit);
        Ok(live)
    }

    async fn count(&self) -> Answer<u64> {
        trip().await;
        Ok(self.all_live()?.len() as u64)
    }
}

/// The way to the server or back: somebody else may go first.
pub(crate) async fn trip() {
    tokio::task::yield_now().await;
}

/// The same, for as long as others need for a few calls.
pub(crate) async fn long_trip() {
    for _ in 0..8 {
        trip().await;
    }
}
