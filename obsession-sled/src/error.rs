//! What can go wrong with the directory, and inside it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use obsession_core::{CorruptRow, StoreError};
use sled::transaction::UnabortableTransactionError;

/// A store could not be opened. The directory is as it was, but for files that sled itself would
/// have removed or written anew.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory has files in it and was not made by this crate; nothing in it was touched.
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the store open, or this one has already opened it.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Another version of this crate wrote the directory in a format that this one does not know.
    UnknownVersion {
        /// The directory.
        path: PathBuf,
        /// The version that its marker file names.
        found: String,
    },
    /// The directory is ours, but the database is not in it any more. An empty one in its place
    /// would log everybody out without a word.
    Incomplete {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused something.
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// sled could not open its database.
    Sled {
        /// The directory.
        path: PathBuf,
        /// What it said.
        source: sled::Error,
    },
}

impl OpenError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    pub(crate) fn sled(path: &Path) -> impl FnOnce(sled::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Sled { path, source }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs { path } => write!(
                f,
                "{} is not empty and not a session store; it was left alone",
                path.display()
            ),
            Self::InUse { path } => write!(
                f,
                "the session store in {} is in use by another process, or opened twice in this one",
                path.display()
            ),
            Self::UnknownVersion { path, found } => write!(
                f,
                "the session store in {} has the format {found:?}, which this version does not know",
                path.display()
            ),
            Self::Incomplete { path } => write!(
                f,
                "the database of the session store in {} is missing",
                path.display()
            ),
            Self::Io { doing, path, .. } => write!(f, "could not {doing} {}", path.display()),
            Self::Sled { path, .. } => {
                write!(f, "sled could not open its database in {}", path.display())
            }
        }
    }
}

impl StdError for OpenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Sled { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why one operation could not be carried out.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A row does not decode. That concerns nobody but who asked for it.
    Damaged(CorruptRow),
    /// sled failed.
    Sled(UnabortableTransactionError),
}

impl Trouble {
    /// The answer to a call that changed nothing.
    pub(crate) fn refusal(self) -> StoreError {
        match self {
            Self::Damaged(source) => {
                StoreError::not_applied("the stored record is damaged").caused_by(source)
            }
            Self::Sled(source) => {
                StoreError::not_applied("sled could not read its database").caused_by(source)
            }
        }
    }
}

impl From<CorruptRow> for Trouble {
    fn from(source: CorruptRow) -> Self {
        Self::Damaged(source)
    }
}

impl From<UnabortableTransactionError> for Trouble {
    fn from(source: UnabortableTransactionError) -> Self {
        Self::Sled(source)
    }
}

impl From<sled::Error> for Trouble {
    fn from(source: sled::Error) -> Self {
        Self::Sled(UnabortableTransactionError::Storage(source))
    }
}

/// Why a batch is not known to be on disk; all its callers share it.
#[derive(Clone, Debug)]
pub(crate) struct WriteFailed(Arc<dyn StdError + Send + Sync>);

impl WriteFailed {
    pub(crate) fn new(source: impl StdError + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }
}

impl fmt::Display for WriteFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for WriteFailed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
