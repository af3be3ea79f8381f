//! A store that keeps bodies encrypted, in another store that does not know it.
//!
//! The cipher is a toy that stands for an AEAD and is not one: a keystream and a tag of SHA-256.

use async_trait::async_trait;
use obsession_core::{
    Bell, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update,
};
use sha2::{Digest, Sha256};

type Answer<T> = Result<T, StoreError>;

const NONCE: usize = 16;
const TAG: usize = 32;

/// Bodies are sealed on their way in, and opened on every way out: in a load, a conflict, a list and
/// a scan. The subject stays as it is, or nothing could be found by it.
#[derive(Debug)]
pub(crate) struct Sealed<S> {
    pub(crate) store: S,
    pub(crate) cipher: Cipher,
}

/// A secret, and what is done with it.
#[derive(Clone)]
pub(crate) struct Cipher([u8; 32]);

impl Cipher {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The nonce, the body, and a tag over both and over the record that they belong to.
    pub(crate) fn seal(&self, record: &Record) -> Answer<Record> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| {
            StoreError::not_applied("a body could not be sealed").caused_by(error)
        })?;
        let mut body = nonce.to_vec();
        body.extend(self.stream(&nonce, &record.body));
        body.extend(self.tag(record, &body));
        Ok(with(record, &body))
    }

    /// The record as it was before it was sealed. What is cut, changed or another's is an error.
    pub(crate) fn open(&self, record: &Record) -> Answer<Record> {
        let whole = record.body.split_last_chunk::<TAG>();
        let sealed = whole.filter(|(sealed, tag)| self.tag(record, sealed) == **tag);
        let parts = sealed.and_then(|(sealed, _)| sealed.split_first_chunk::<NONCE>());
        let Some((nonce, hidden)) = parts else {
            let message = "a body was not sealed for its record";
            return Err(StoreError::not_applied(message));
        };
        Ok(with(record, &self.stream(nonce, hidden)))
    }

    fn open_all(&self, records: &[Record]) -> Answer<Vec<Record>> {
        records.iter().map(|record| self.open(record)).collect()
    }

    fn stream(&self, nonce: &[u8; NONCE], body: &[u8]) -> Vec<u8> {
        let blocks = (0_u64..).flat_map(|n| self.hash(&[b"stream", nonce, &n.to_be_bytes()]));
        body.iter().zip(blocks).map(|(a, b)| a ^ b).collect()
    }

    /// The key and the revision are in it, so that no row can be given the body of another or of
    /// its own past. The deadline is not: a touch moves it without the body.
    fn tag(&self, record: &Record, sealed: &[u8]) -> [u8; TAG] {
        let revision = record.revision.as_u64().to_be_bytes();
        self.hash(&[b"tag", record.key.as_bytes(), &revision, sealed])
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(self.0);
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

pub(crate) fn with(record: &Record, body: &[u8]) -> Record {
    Record {
        body: body.into(),
        ..record.clone()
    }
}

#[async_trait]
impl<S: SessionIndex> SessionStore for Sealed<S> {
    async fn load(&self, key: &SessionKey) -> Answer<Option<Record>> {
        let found = self.store.load(key).await?;
        found.map(|record| self.cipher.open(&record)).transpose()
    }

    async fn create(&self, record: &Record) -> Answer<Create> {
        self.store.create(&self.cipher.seal(record)?).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Answer<Update> {
        let sealed = self.cipher.seal(record)?;
        Ok(match self.store.update(expected, &sealed).await? {
            Update::Conflict(current) => Update::Conflict(self.cipher.open(&current)?),
            answer => answer,
        })
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        self.store.touch(key, expected, expires_at).await
    }

    async fn delete(&self, key: &SessionKey) -> Answer<Delete> {
        self.store.delete(key).await
    }

    async fn delete_expired(&self, limit: usize) -> Answer<usize> {
        self.store.delete_expired(limit).await
    }

    async fn watch(&self, key: &SessionKey) -> Answer<Bell> {
        self.store.watch(key).await
    }
}

#[async_trait]
impl<S: SessionIndex> SessionIndex for Sealed<S> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let sealed = self.store.list(subject, after, limit).await?;
        self.cipher.open_all(&sealed)
    }

    async fn delete_subject(&self, subject: &str, except: Option<&SessionKey>) -> Answer<usize> {
        self.store.delete_subject(subject, except).await
    }

    async fn scan(&self, after: Option<ScanCursor>, limit: usize) -> Answer<Vec<Record>> {
        let sealed = self.store.scan(after, limit).await?;
        self.cipher.open_all(&sealed)
    }

    async fn count(&self) -> Answer<u64> {
        self.store.count().await
    }
}
