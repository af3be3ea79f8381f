//! The store and its builder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use obsession_core::{
    Bell, Clock, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey,
    SessionStore, StoreError, SystemClock, Timestamp, Touch, Update,
};
use tokio::task::spawn_blocking;

use crate::OpenError;
use crate::error::Trouble;
use crate::layout::Trees;
use crate::open::Database;
use crate::operations::{CreateRecord, DeleteRecord, End, Expire, TouchRecord, UpdateRecord};
use crate::shared::Shared;
use crate::writer::Queue;

/// The largest record. Every piece of a record is a write, and a batch waits for all of its
/// pieces.
const MAX_BODY: usize = 16 << 20;
/// How many records cleanup and the end of a subject remove at once. Between two steps others
/// write.
const STEP: usize = 64;

/// Sessions in an embedded sled database. See [the crate](crate).
///
/// Clones are the same store. When the last is dropped, what was acknowledged is on disk and the
/// database is closed a moment later; [`close`](Self::close) says when. It needs a tokio runtime.
#[derive(Clone)]
pub struct SledStore {
    // Before the queue: the writer is then the last to have it, and closes the database on its
    // own thread.
    shared: Arc<Shared>,
    queue: Queue,
}

impl SledStore {
    /// Opens the store in the directory `path`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// As for [`SledStoreBuilder::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open().await
    }

    /// Configures a store in the directory `path`.
    pub fn builder(path: impl AsRef<Path>) -> SledStoreBuilder {
        SledStoreBuilder {
            path: path.as_ref().to_owned(),
            cache_capacity: 64 << 20,
            clock: Arc::new(SystemClock),
            early: false,
        }
    }

    /// Closes the store, for its clones too. When this returns, all that was acknowledged is on
    /// disk, the writer's thread has nothing left to do, and the directory is free for others.
    ///
    /// Calls that are under way end as they would have; later ones are an error. Closing again
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// The store had failed. It is closed all the same.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.queue.close().await;
        if self.shared.has_failed() {
            return Err(self.shared.refusal());
        }
        Ok(())
    }

    /// How often batches of writes have been put on disk. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.shared.flushes()
    }

    /// Reads off the async threads: sled may have to go to the disk, and blocks when it does.
    async fn read<T: Send + 'static>(
        &self,
        key: Option<SessionKey>,
        ask: impl FnOnce(&Shared, &Trees, Timestamp) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let read = move || shared.read(key.as_ref(), |trees, now| ask(&shared, trees, now));
        let seen = spawn_blocking(read).await.map_err(|error| {
            StoreError::not_applied("reading from sled panicked").caused_by(error)
        })??;
        self.shared.settled(seen).await
    }
}

#[async_trait]
impl SessionStore for SledStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let key = *key;
        self.read(Some(key), move |_, trees, now| {
            Ok(trees.find(&key)?.filter(|record| record.is_live(now)))
        })
        .await
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        check(record)?;
        self.queue.call(CreateRecord(record.clone())).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        check(record)?;
        let record = record.clone();
        self.queue.call(UpdateRecord { expected, record }).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let touch = TouchRecord {
            key: *key,
            expected,
            expires_at,
        };
        self.queue.call(touch).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.queue.call(DeleteRecord(*key)).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let (mut removed, mut after) = (0, None);
        while removed < limit {
            let step = STEP.min(limit - removed);
            let from = after;
            let due = self
                .read(None, move |_, trees, now| trees.due(from, step, now))
                .await
                .map_err(|error| after_some(removed, error))?;
            let (found, last) = (due.len(), due.last().copied());
            if last.is_some() {
                let step = self.queue.call(Expire(due)).await;
                removed += step.map_err(|error| after_some(removed, error))?;
                after = last;
            }
            if found < step {
                break;
            }
        }
        Ok(removed)
    }

    /// It is of one process, whose manager notices by itself what it does.
    async fn watch(&self, _: &SessionKey) -> Result<Bell, StoreError> {
        Ok(Bell::silent())
    }
}

#[async_trait]
impl SessionIndex for SledStore {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (subject, after) = (subject.to_owned(), after.copied());
        self.read(None, move |_, trees, now| {
            trees.of_subject(&subject, after.as_ref(), limit, now)
        })
        .await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let subject: Arc<str> = subject.into();
        let mut keys = {
            let subject = Arc::clone(&subject);
            self.read(None, move |_, trees, _| {
                trees.keys_of(&subject, None).collect::<Result<Vec<_>, _>>()
            })
            .await?
        };
        keys.retain(|key| Some(key) != except);
        let mut ended = 0;
        for keys in keys.chunks(STEP) {
            let (subject, keys) = (Arc::clone(&subject), keys.to_vec());
            let step = self.queue.call(End { subject, keys }).await;
            ended += step.map_err(|error| after_some(ended, error))?;
        }
        Ok(ended)
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.read(None, move |_, trees, now| {
            trees.by_deadline(after, limit, now)
        })
        .await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.read(None, Shared::count).await
    }
}

/// A later step has failed: the call as a whole is no longer one that changed nothing.
fn after_some(done: usize, error: StoreError) -> StoreError {
    if done == 0 {
        return error;
    }
    StoreError::unknown("some records were removed before sled failed").caused_by(error)
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

/// Configures a [`SledStore`].
#[derive(Debug)]
#[must_use]
pub struct SledStoreBuilder {
    path: PathBuf,
    cache_capacity: u64,
    clock: Arc<dyn Clock>,
    early: bool,
}

impl SledStoreBuilder {
    /// The clock; the operating system's unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How much of the database sled may keep in memory, in bytes; 64 MiB unless set.
    pub fn cache_capacity(mut self, bytes: u64) -> Self {
        self.cache_capacity = bytes;
        self
    }

    /// Answers before anything is on disk. For showing that the kill harness would notice.
    #[doc(hidden)]
    pub fn answer_before_the_flush(mut self) -> Self {
        self.early = true;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotOurs`] if there is something else in the directory, [`OpenError::InUse`] if
    /// another process has it open or this one has already; else what the operating system or sled
    /// could not do.
    pub async fn open(self) -> Result<SledStore, OpenError> {
        let path = self.path.clone();
        let opened = spawn_blocking(move || self.open_blocking()).await;
        opened
            .unwrap_or_else(|error| Err(OpenError::io("open", &path)(std::io::Error::other(error))))
    }

    fn open_blocking(self) -> Result<SledStore, OpenError> {
        let database = Database::open(&self.path, self.cache_capacity)?;
        let path = self.path;
        let shared = Arc::new(Shared::new(database, self.clock, path.clone()));
        let started = Queue::start(Arc::clone(&shared));
        let queue = started.map_err(OpenError::io("start a writer for", &path))?;
        if self.early {
            queue.answer_early();
        }
        tracing::debug!(path = %path.display(), "sled store opened");
        Ok(SledStore { shared, queue })
    }
}

/// Refuses what cannot be stored as it is.
fn check(record: &Record) -> Result<(), StoreError> {
    let subject = record.subject.as_deref().unwrap_or_default();
    // It ends the subject in the index.
    if subject.contains('\0') {
        return Err(StoreError::not_applied("the subject has a NUL"));
    }
    if subject.len() > Record::MAX_SUBJECT {
        return Err(StoreError::not_applied("the subject is too long"));
    }
    if record.body.len() > MAX_BODY {
        return Err(StoreError::not_applied("the record has more than 16 MiB"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use obsession_core::{Effect, SessionId};

    use super::*;

    fn record() -> Record {
        // A valid key is all that is needed; each test has one record.
        let id: SessionId = "A".repeat(40).parse().unwrap();
        Record {
            key: id.key(),
            revision: Revision::from_u64(1),
            subject: None,
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::MAX,
            body: b"body".into(),
        }
    }

    fn store_with(
        path: &Path,
        sync: fn(&std::fs::File) -> io::Result<()>,
    ) -> Result<SledStore, OpenError> {
        let mut database = Database::open(path, 1 << 20)?;
        database.sync_with(sync);
        let shared = Shared::new(database, Arc::new(SystemClock), path.to_owned());
        let shared = Arc::new(shared);
        let queue = Queue::start(Arc::clone(&shared)).unwrap();
        Ok(SledStore { shared, queue })
    }

    #[tokio::test]
    async fn after_a_failed_sync_the_outcome_is_unknown_and_everything_else_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let store = store_with(path, |_| Err(io::Error::other("the disk is gone"))).unwrap();
        let record = record();
        let (first, second) = tokio::join!(store.create(&record), store.delete(&record.key));
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert_eq!(error.effect(), Effect::Unknown);
            assert_eq!(error.source().unwrap().to_string(), "the disk is gone");
        }
        let refusals = [
            store.load(&record.key).await.unwrap_err(),
            store
                .touch(&record.key, record.revision, Timestamp::MAX)
                .await
                .unwrap_err(),
            store.count().await.unwrap_err(),
            store.close().await.unwrap_err(),
            store.create(&record).await.unwrap_err(),
        ];
        for error in refusals {
            assert_eq!(error.effect(), Effect::NotApplied);
            assert!(error.to_string().contains("failed"), "{error}");
        }
        // Opened again, it serves.
        let store = SledStore::open(path).await.unwrap();
        store.load(&record.key).await.unwrap();
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_of_the_writer_is_an_unknown_outcome_and_not_a_hang() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let store = store_with(path, |_| panic!("on purpose")).unwrap();
        let record = record();
        let (first, second) = tokio::join!(store.create(&record), store.delete(&record.key));
        assert_eq!(first.unwrap_err().effect(), Effect::Unknown);
        assert_eq!(second.unwrap_err().effect(), Effect::Unknown);
        assert!(store.load(&record.key).await.is_err());
        assert!(store.create(&record).await.is_err());
        assert!(store.close().await.is_err());
        SledStore::open(path).await.unwrap().close().await.unwrap();
    }

    #[tokio::test]
    async fn a_load_does_not_show_what_may_never_reach_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = store_with(folder.path(), |_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            Err(io::Error::other("the disk is gone"))
        })
        .unwrap();
        let (other, key) = (store.clone(), record().key);
        let creating = tokio::spawn(async move { other.create(&record()).await });
        // Until the batch is applied a load sees nothing; from then on it must wait, and then fail.
        loop {
            let loaded = store.load(&key);
            let in_time = tokio::time::timeout(std::time::Duration::from_secs(10), loaded);
            match in_time.await.expect("an answer") {
                Ok(None) => tokio::task::yield_now().await,
                Ok(Some(_)) => panic!("it was never on disk"),
                Err(_) => break,
            }
        }
        assert!(creating.await.unwrap().is_err());
    }

    #[test]
    fn what_fails_after_some_were_removed_is_not_said_to_have_changed_nothing() {
        let refused = || StoreError::not_applied("refused");
        assert_eq!(after_some(0, refused()).effect(), Effect::NotApplied);
        let partial = after_some(1, refused());
        assert_eq!(partial.effect(), Effect::Unknown);
        assert_eq!(partial.source().unwrap().to_string(), "refused");
    }
}
