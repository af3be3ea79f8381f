//! Sessions in files, one file each.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

pub use self::error::OpenError;
use self::sessions::Sessions;
use crate::{
    Bell, Clock, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey,
    SessionStore, StoreError, SystemClock, Timestamp, Touch, Update,
};

mod directory;
mod error;
mod faults;
mod index;
mod open;
mod sessions;
mod sync;
#[cfg(test)]
mod tests;

/// Sessions in files, one file each: for applications of one process whose sessions are to survive
/// it, without a server and without another dependency.
///
/// What was acknowledged survives the process and, as far as the system's fsync keeps its word, a
/// power cut. A write makes a temporary file durable, renames it over the old one, and makes the
/// rename durable; a removal is made durable as well. A write that fails or is interrupted leaves
/// the old bytes. Clones are the same store. It needs a tokio runtime: the disk is waited for on
/// threads for blocking work, and a call that has begun there ends there, also if its future is
/// dropped.
///
/// # The directory
///
/// It belongs to one store of one process at a time, and to nothing else: it is either missing,
/// empty, or made by a store before. It holds the file `obsession-file-store`, which says so and is
/// locked while the store is open, and for each session a file `<key in hexadecimal>.session` with
/// the bytes of [`Record::to_row`]. On Unix, new directories have the mode 0700 and files 0600.
///
/// All deadlines and subjects are kept in memory, some 200 bytes a session, so opening reads every
/// file, while cleanup takes no longer than what it removes.
///
/// # Failures
///
/// * **A damaged file**, or one under another key's name, is an error for its key and for nothing
///   else: it is not loaded, listed, counted or replaced, and a create of its key fails. An event
///   says so. [`delete`](SessionStore::delete) removes it.
/// * **A failed write or fsync of a file** is *not applied*: the old file is still there.
/// * **A failed fsync of the directory** is *unknown* for everyone who waited for it, and from then
///   on every write is refused until the store is opened again: the system may have dropped what it
///   could not write, and a later fsync that succeeds would not tell. Loads go on.
///
/// ```
/// # use obsession_core::{FileStore, SessionManager};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("sessions");
/// let manager = SessionManager::builder_indexed(FileStore::open(path).await?).build();
/// let session = manager.open(None);
/// session.insert("fruit", "quince")?;
/// session.save().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FileStore {
    sessions: Arc<Sessions>,
}

impl FileStore {
    /// Opens the store in the directory at `path`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it is in use, not ours, or cannot be read or made.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open().await
    }

    /// Configures the store in the directory at `path`.
    pub fn builder(path: impl AsRef<Path>) -> FileStoreBuilder {
        FileStoreBuilder {
            path: path.as_ref().into(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.sessions.path()
    }

    /// Runs a call where it may block; `cut` is the answer should the runtime end before it.
    async fn run<T: Send + 'static>(
        &self,
        cut: StoreError,
        call: impl FnOnce(&Sessions) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let sessions = Arc::clone(&self.sessions);
        match tokio::task::spawn_blocking(move || call(&sessions)).await {
            Ok(answer) => answer,
            Err(ended) => Err(cut.caused_by(ended)),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Sessions) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(StoreError::not_applied(CUT), call).await
    }

    async fn write<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Sessions) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(StoreError::unknown(CUT), call).await
    }
}

const CUT: &str = "the runtime ended during a call of the file store";

#[async_trait]
impl SessionStore for FileStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let key = *key;
        self.read(move |sessions| sessions.load(&key)).await
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        let record = record.clone();
        self.write(move |sessions| sessions.create(&record)).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        let record = record.clone();
        self.write(move |sessions| sessions.update(expected, &record))
            .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let key = *key;
        self.write(move |sessions| sessions.touch(&key, expected, expires_at))
            .await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        let key = *key;
        self.write(move |sessions| sessions.delete(&key)).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.write(move |sessions| sessions.delete_expired(limit))
            .await
    }

    /// It is of one process, whose manager notices by itself what it does.
    async fn watch(&self, _: &SessionKey) -> Result<Bell, StoreError> {
        Ok(Bell::silent())
    }
}

#[async_trait]
impl SessionIndex for FileStore {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (subject, after) = (subject.to_owned(), after.copied());
        self.read(move |sessions| sessions.list(&subject, after, limit))
            .await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let (subject, except) = (subject.to_owned(), except.copied());
        self.write(move |sessions| sessions.delete_subject(&subject, except.as_ref()))
            .await
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.read(move |sessions| sessions.scan(after, limit)).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.sessions.count())
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// Configures a [`FileStore`].
#[derive(Debug)]
#[must_use]
pub struct FileStoreBuilder {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl FileStoreBuilder {
    /// The clock; the operating system's unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the directory is in use, not ours, or cannot be read or made.
    pub async fn open(self) -> Result<FileStore, OpenError> {
        let Self { path, clock } = self;
        let opening = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || Sessions::open(&path, clock))
        };
        let sessions = match opening.await {
            Ok(opened) => opened?,
            Err(ended) => return Err(OpenError::io("opening", &path)(ended.into())),
        };
        Ok(FileStore {
            sessions: Arc::new(sessions),
        })
    }
}
