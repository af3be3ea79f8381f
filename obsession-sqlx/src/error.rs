//! What can go wrong with a database, and what may have happened when it did.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use obsession_core::{Effect, StoreError};

use crate::dialect::Dialect;
use crate::driver;

/// A store could not be opened, or its tables not be migrated.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name of a table or of a schema will not do.
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The table is missing: [`migrate`](crate::SqlStoreBuilder::migrate) has not been run.
    NoTable {
        /// Its name.
        table: String,
    },
    /// There is a table of this name that this crate did not make. It was left alone.
    Foreign {
        /// Its name.
        table: String,
    },
    /// The table has another version than this crate works with.
    Version {
        /// Its name.
        table: String,
        /// The version that it has.
        found: i64,
        /// The version that this crate works with. If it is the higher one,
        /// [`migrate`](crate::SqlStoreBuilder::migrate) helps; else this crate is too old.
        known: i64,
    },
    /// The table says that it is ours and of the right version, and its columns are not.
    Columns {
        /// Its name.
        table: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The URL does not say where the database is.
    Url(Arc<sqlx::Error>),
    /// The database is not one that this crate can keep its promises on.
    Unfit {
        /// Why.
        reason: &'static str,
        /// What was found instead, if there is more to say.
        found: String,
    },
    /// There was no connection, or no answer, before the deadline.
    Late,
    /// The database could not be reached or opened, or it refused.
    Sql {
        /// What kind of failure it was.
        kind: FailureKind,
        /// What sqlx said.
        source: sqlx::Error,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, reason } => write!(f, "{name:?} is no name for a table: {reason}"),
            Self::NoTable { table } => {
                write!(f, "there is no table {table:?}; migrate the database first")
            }
            Self::Foreign { table } => write!(
                f,
                "the table {table:?} was not made by obsession-sqlx; it was left alone"
            ),
            Self::Version {
                table,
                found,
                known,
            } if found < known => write!(
                f,
                "the table {table:?} has version {found}; migrate it to version {known}"
            ),
            Self::Version {
                table,
                found,
                known,
            } => write!(
                f,
                "the table {table:?} has version {found}, and this crate knows {known} at most"
            ),
            Self::Columns { table, .. } => {
                write!(
                    f,
                    "the columns of the table {table:?} are not those of its version"
                )
            }
            Self::Unfit { reason, found } if found.is_empty() => f.write_str(reason),
            Self::Unfit { reason, found } => write!(f, "{reason}: {found}"),
            Self::Url(_) => f.write_str("not a URL of this database"),
            Self::Late => f.write_str("the database did not answer in time"),
            Self::Sql { kind, .. } => f.write_str(kind.message()),
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Sql { source, .. } | Self::Columns { source, .. } => Some(source),
            Self::Url(source) => Some(source),
            _ => None,
        }
    }
}

/// What kind of failure it is, only the dialect knows.
impl From<sqlx::Error> for ConnectError {
    fn from(source: sqlx::Error) -> Self {
        Self::Sql {
            kind: FailureKind::Unexpected,
            source,
        }
    }
}

impl ConnectError {
    /// The same, with the kind of failure that the dialect takes it for.
    pub(crate) fn explained<D: Dialect>(self, dialect: &D) -> Self {
        let Self::Sql { source, .. } = self else {
            return self;
        };
        let kind = match driver::diagnose(dialect, &source).kind {
            FailureKind::Dropped | FailureKind::Unexpected => FailureKind::Unreachable,
            kind => kind,
        };
        Self::Sql { kind, source }
    }
}

/// Why a call failed: the source of the [`StoreError`]s of this crate.
#[derive(Debug)]
pub struct CallError {
    kind: FailureKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl CallError {
    /// What kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            // Its own words are those of the `StoreError` above it.
            Some(source) => source.fmt(f),
            None => f.write_str(self.kind.message()),
        }
    }
}

impl StdError for CallError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().and_then(StdError::source)
    }
}

/// Kinds of failures that an operator treats differently.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FailureKind {
    /// No answer came before the deadline, or all connections were busy until then.
    Late,
    /// No connection could be made.
    Unreachable,
    /// The connection was lost while the call was under way.
    Dropped,
    /// The credentials are wrong, or do not allow this.
    Refused,
    /// The server takes no more connections.
    TooMany,
    /// The server is starting, stopping or recovering.
    NotReady,
    /// The database can only be read: a replica, a file without the right to write.
    ReadOnly,
    /// The disk or the quota of the database is full.
    Full,
    /// Others hold a lock for too long.
    Busy,
    /// The table is not there any more, or not as it was.
    Schema,
    /// The database can not open, read or write its files.
    Storage,
    /// The file is not a database.
    NotADatabase,
    /// The database took the call for invalid: a limit of its own, or a trigger of the application's.
    Rejected,
    /// The stored row holds what no store of ours writes.
    Damaged,
    /// The store has been closed.
    Closed,
    /// Anything else.
    Unexpected,
}

impl FailureKind {
    const fn message(self) -> &'static str {
        match self {
            Self::Late => "the database did not answer in time",
            Self::Unreachable => "the database could not be reached",
            Self::Dropped => "the connection to the database was lost",
            Self::Refused => "the database refused the credentials or the statement",
            Self::TooMany => "the database takes no more connections",
            Self::NotReady => "the database is starting, stopping or recovering",
            Self::ReadOnly => "the database is read-only",
            Self::Full => "the database is full",
            Self::Busy => "the database is locked by others",
            Self::Schema => "the tables of the sessions are not as they were",
            Self::Storage => "the database can not open, read or write its files",
            Self::NotADatabase => "the file is not a database",
            Self::Rejected => "the database rejected the record",
            Self::Damaged => "the stored record is damaged",
            Self::Closed => "the store is closed",
            Self::Unexpected => "the database answered with something unexpected",
        }
    }
}

/// What an error of the database means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Diagnosis {
    pub kind: FailureKind,
    /// Whether the statement may have been carried out all the same.
    pub effect: Effect,
    /// Whether the connection is of no use any more.
    pub lost: bool,
    /// Whether it may be the fault of one row of a statement with many.
    pub one_row: bool,
}

impl Diagnosis {
    /// The statement was not carried out, and would not be with fewer rows either.
    pub const fn not_applied(kind: FailureKind) -> Self {
        Self {
            kind,
            effect: Effect::NotApplied,
            lost: false,
            one_row: false,
        }
    }

    /// Nobody knows, and the connection is gone.
    pub const fn lost(kind: FailureKind) -> Self {
        Self {
            kind,
            effect: Effect::Unknown,
            lost: true,
            one_row: false,
        }
    }

    /// The statement was not carried out, and one of its rows may be the reason.
    pub const fn rejected() -> Self {
        Self {
            one_row: true,
            ..Self::not_applied(FailureKind::Rejected)
        }
    }
}

/// A call that failed. All calls of one statement share it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) effect: Effect,
    pub(crate) source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(crate) const fn new(kind: FailureKind, effect: Effect) -> Self {
        Self {
            kind,
            effect,
            source: None,
        }
    }

    pub(crate) const fn not_applied(kind: FailureKind) -> Self {
        Self::new(kind, Effect::NotApplied)
    }

    pub(crate) const fn unknown(kind: FailureKind) -> Self {
        Self::new(kind, Effect::Unknown)
    }

    pub(crate) fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// For a call that changes nothing.
    pub(crate) fn of_read(self) -> StoreError {
        Self {
            effect: Effect::NotApplied,
            ..self
        }
        .of_write()
    }

    /// For a call that may have changed something.
    pub(crate) fn of_write(self) -> StoreError {
        let error = match self.effect {
            Effect::NotApplied => StoreError::not_applied(self.kind.message()),
            Effect::Unknown => StoreError::unknown(self.kind.message()),
        };
        error.caused_by(CallError {
            kind: self.kind,
            source: self.source,
        })
    }
}
