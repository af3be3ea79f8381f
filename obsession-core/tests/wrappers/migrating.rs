//! A store that moves to another one while it is used: each record at its first write.
//!
//! While a live record is in the old store, the new one has none of its key or the same one. So
//! everything that writes moves the record first, and only then writes it, in the new store alone.
//! A process that ends between the two steps of a move leaves two that are the same, and the next
//! write goes on with the move.

use std::collections::BTreeMap;

use async_trait::async_trait;
use obsession_core::{
    Bell, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update,
};
use tokio::sync::Mutex;

type Answer<T> = Result<T, StoreError>;

/// How many records are moved or looked at in one go.
const PAGE: usize = 100;

/// The new store, and the old one for what has not been written since.
#[derive(Debug)]
pub(crate) struct Migrating<S> {
    pub(crate) old: S,
    pub(crate) new: S,
    /// Held by whoever moves or ends records of the old store: one that was read there before a
    /// delete must not arrive in the new one after it. It is of one process, so only one may move.
    pub(crate) moving: Mutex<()>,
}

impl<S: SessionIndex> Migrating<S> {
    pub(crate) fn new(old: S, new: S) -> Self {
        Self {
            old,
            new,
            moving: Mutex::default(),
        }
    }

    /// Moves the record of `key`, if the old store has it.
    async fn settle(&self, key: &SessionKey) -> Answer<()> {
        if self.old.load(key).await?.is_some() {
            let _moving = self.moving.lock().await;
            if let Some(record) = self.old.load(key).await? {
                self.move_over(&record).await?;
            }
        }
        Ok(())
    }

    /// The new store first: a record may be twice for a moment, but never nowhere.
    async fn move_over(&self, record: &Record) -> Answer<()> {
        // A move changes nothing that anybody sees, so one that fails has applied nothing.
        let failed = |error| StoreError::not_applied("a record was not moved").caused_by(error);
        let _ = self.new.create(record).await.map_err(failed)?;
        let _ = self.old.delete(&record.key).await.map_err(failed)?;
        Ok(())
    }
}

#[async_trait]
impl<S: SessionIndex> SessionStore for Migrating<S> {
    async fn load(&self, key: &SessionKey) -> Answer<Option<Record>> {
        if let Some(record) = self.new.load(key).await? {
            return Ok(Some(record));
        }
        if let Some(record) = self.old.load(key).await? {
            return Ok(Some(record));
        }
        // It may have been moved after the first look and before the second.
        self.new.load(key).await
    }

    async fn create(&self, record: &Record) -> Answer<Create> {
        self.settle(&record.key).await?;
        self.new.create(record).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Answer<Update> {
        self.settle(&record.key).await?;
        self.new.update(expected, record).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.settle(key).await?;
        self.new.touch(key, expected, expires_at).await
    }

    /// The old store first: if it ends in between, what is left is in the new one.
    async fn delete(&self, key: &SessionKey) -> Answer<Delete> {
        let _moving = self.moving.lock().await;
        let in_old = self.old.delete(key).await?;
        let in_new = self.new.delete(key).await.map_err(|error| {
            if in_old == Delete::Gone {
                return error;
            }
            StoreError::unknown("a record was deleted in the old store alone").caused_by(error)
        })?;
        Ok(match (in_old, in_new) {
            (Delete::Gone, Delete::Gone) => Delete::Gone,
            _ => Delete::Deleted,
        })
    }

    async fn delete_expired(&self, limit: usize) -> Answer<usize> {
        let in_old = self.old.delete_expired(limit).await?;
        Ok(in_old
            + self
                .new
                .delete_expired(limit.saturating_sub(in_old))
                .await?)
    }

    async fn watch(&self, key: &SessionKey) -> Answer<Bell> {
        let in_old = self.old.watch(key).await?;
        Ok(in_old.or(self.new.watch(key).await?))
    }
}

#[async_trait]
impl<S: SessionIndex> SessionIndex for Migrating<S> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        // The old store first: what is moved meanwhile is met in the new one.
        let mut records = self.old.list(subject, after, limit).await?;
        records.extend(self.new.list(subject, after, limit).await?);
        let mut records = without_doubles(records);
        records.sort_by_key(|record| record.key);
        records.truncate(limit);
        Ok(records)
    }

    /// All are moved first, so that the new store ends them at one instant.
    async fn delete_subject(&self, subject: &str, except: Option<&SessionKey>) -> Answer<usize> {
        let _moving = self.moving.lock().await;
        loop {
            let page = self.old.list(subject, None, PAGE).await?;
            for record in &page {
                self.move_over(record).await?;
            }
            if page.len() < PAGE {
                return self.new.delete_subject(subject, except).await;
            }
        }
    }

    async fn scan(&self, after: Option<ScanCursor>, limit: usize) -> Answer<Vec<Record>> {
        let mut records = self.old.scan(after, limit).await?;
        records.extend(self.new.scan(after, limit).await?);
        let mut records = without_doubles(records);
        records.sort_by_key(|record| ScanCursor::from(record));
        records.truncate(limit);
        Ok(records)
    }

    /// What was left twice counts once, so the old store is walked over; what moves meanwhile would
    /// not count at all.
    async fn count(&self) -> Answer<u64> {
        let _moving = self.moving.lock().await;
        let mut count = self.new.count().await?;
        let mut after = None;
        loop {
            let page = self.old.scan(after, PAGE).await?;
            for record in &page {
                count += u64::from(self.new.load(&record.key).await?.is_none());
            }
            if page.len() < PAGE {
                return Ok(count);
            }
            after = page.last().map(ScanCursor::from);
        }
    }
}

/// Of two with one key, the later one.
fn without_doubles(records: Vec<Record>) -> Vec<Record> {
    let by_key = records.into_iter().map(|record| (record.key, record));
    let by_key: BTreeMap<_, _> = by_key.collect();
    by_key.into_values().collect()
}
