//! Why a file store could not be opened.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// A [`FileStore`](crate::FileStore) could not be opened. Nothing that was stored was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another store has it open, in this process or in another one.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is something in it, and no file store put it there. It was not touched.
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// A file store of another version made it, or its marker is damaged. It was not touched.
    UnknownFormat {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.into(),
            source,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(f, "{} is in use by another store", path.display()),
            Self::Foreign { path } => {
                write!(f, "{} is not empty and is no session store", path.display())
            }
            Self::UnknownFormat { path } => write!(
                f,
                "{} is a session store of an unknown format",
                path.display()
            ),
            Self::Io { doing, path, .. } => write!(f, "{doing} failed: {}", path.display()),
        }
    }
}

impl StdError for OpenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
