//! A store that loads each record before it updates it, as a session does.

use async_trait::async_trait;
use obsession_core::{
    Bell, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update,
};
use obsession_redis::RedisStore;

/// The suite updates what it has created. A session updates what it has loaded, which the store
/// does in another way.
#[derive(Debug)]
pub struct LoadsFirst(pub RedisStore);

#[async_trait]
impl SessionStore for LoadsFirst {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.0.load(key).await
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        self.0.create(record).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        // Whatever it finds: the update is to tell.
        let _ = self.0.load(&record.key).await;
        self.0.update(expected, record).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        self.0.touch(key, expected, expires_at).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.0.delete(key).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.0.delete_expired(limit).await
    }

    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        self.0.watch(key).await
    }
}

#[async_trait]
impl SessionIndex for LoadsFirst {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.0.list(subject, after, limit).await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        self.0.delete_subject(subject, except).await
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.0.scan(after, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.0.count().await
    }
}
