//! How a store is configured and opened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use obsession_core::Clock;
use sqlx::Connection;
use tokio::time::timeout;

use crate::dialect::{Dialect, Options, Role};
use crate::lane::{Base, Lanes};
use crate::names::Names;
use crate::store::Shared;
use crate::{ConnectError, SqlStore, migrate, worker};

/// Where the database is: a URL, or options of sqlx.
#[must_use]
pub struct Source<D: Dialect>(Result<Options<D>, Arc<sqlx::Error>>);

impl<D: Dialect> From<&str> for Source<D> {
    fn from(url: &str) -> Self {
        Self(url.parse().map_err(Arc::new))
    }
}

impl<D: Dialect> From<String> for Source<D> {
    fn from(url: String) -> Self {
        Self::from(&*url)
    }
}

/// Configures a [`SqlStore`].
#[must_use]
pub struct SqlStoreBuilder<D: Dialect> {
    source: Source<D>,
    schema: Option<String>,
    table: String,
    deadline: Duration,
    readers: usize,
    writers: usize,
    clock: Option<Arc<dyn Clock>>,
    pub(crate) settings: D::Settings,
}

impl<D: Dialect> SqlStoreBuilder<D> {
    pub(crate) fn new(source: Source<D>) -> Self {
        Self {
            source,
            schema: None,
            table: "obsession_sessions".to_owned(),
            deadline: Duration::from_secs(1),
            readers: D::READERS,
            writers: D::WRITERS,
            clock: None,
            settings: D::Settings::default(),
        }
    }

    /// The table, after which its indexes are named as well; `obsession_sessions` unless set.
    ///
    /// At most 48 of a to z, 0 to 9 and the underscore, beginning with no digit. Several stores may
    /// share a database.
    pub fn table(mut self, table: &str) -> Self {
        table.clone_into(&mut self.table);
        self
    }

    #[cfg(feature = "postgres")]
    #[allow(dead_code, reason = "only databases that have schemas use it")]
    pub(crate) fn in_schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.to_owned());
        self
    }

    /// How long a call may take, with everything that it sends, and how long connecting may take;
    /// 1 second unless set. It should be shorter than the manager's, which is 2 seconds unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many connections are held for reading.
    pub fn readers(mut self, connections: usize) -> Self {
        self.readers = connections;
        self
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    #[allow(dead_code, reason = "only databases with several writers use it")]
    pub(crate) fn write_with(mut self, connections: usize) -> Self {
        self.writers = connections;
        self
    }

    /// The clock that decides what has expired; the database's own unless set.
    ///
    /// A clock from outside is for tests. It is read before a statement is sent, and a statement may
    /// have to wait for others: then a touch that was in time can bring back a session that others
    /// have seen expire.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Makes the table, or brings it up to date, and gives the builder back.
    ///
    /// It may be called at every start, by many processes at once. If there is nothing to do, nothing
    /// is written or locked, and no more rights are needed than for using the store. It may take
    /// longer than the deadline.
    ///
    /// # Errors
    ///
    /// Why the table could not be made, or that there is one that this crate has not made or does not
    /// know yet.
    pub async fn migrate(self) -> Result<Self, ConnectError> {
        let base = self.base()?;
        let mut connection = worker::connect(&base, Role::Migrates).await?;
        let migrated = migrate::run(&base.dialect, &base.names, &mut connection).await;
        // Closed also after a failure: what it has begun is rolled back by that.
        drop(connection.close().await);
        migrated.map_err(|error| error.explained(&base.dialect))?;
        Ok(self)
    }

    /// What [`migrate`](Self::migrate) would do to a table of version `from`, 0 for none, as SQL.
    ///
    /// # Errors
    ///
    /// The name of the table or of the schema will not do.
    pub fn migration_sql(&self, from: u32) -> Result<String, ConnectError> {
        let names = Names::new(self.schema.as_deref(), &self.table)?;
        Ok(migrate::script(&D::new(&names, &self.settings), from))
    }

    /// Connects, and looks whether the table is there and as it should be.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL, the names or the table, or why there is no connection.
    pub async fn connect(self) -> Result<SqlStore<D>, ConnectError> {
        let base = Arc::new(self.base()?);
        let first = async {
            let mut connection = worker::connect(&base, Role::Checks).await?;
            let checked = migrate::check(&base.dialect, &base.names, &mut connection).await;
            drop(connection.close().await);
            checked.map_err(|error| error.explained(&base.dialect))
        };
        let in_time = timeout(self.deadline, first).await;
        in_time.unwrap_or(Err(ConnectError::Late))?;
        let lanes = Lanes::start(&base, self.readers, self.writers);
        tracing::debug!(database = D::NAME, table = base.names.table, "connected");
        Ok(SqlStore {
            shared: Arc::new(Shared { base, lanes }),
        })
    }

    fn base(&self) -> Result<Base<D>, ConnectError> {
        let names = Names::new(self.schema.as_deref(), &self.table)?;
        let options = match &self.source.0 {
            Ok(options) => options.clone(),
            Err(error) => return Err(ConnectError::Url(Arc::clone(error))),
        };
        Ok(Base {
            dialect: D::new(&names, &self.settings),
            names,
            options,
            deadline: self.deadline,
            clock: self.clock.clone(),
            losses: AtomicU64::new(0),
            statements: AtomicU64::new(0),
        })
    }
}

impl<D: Dialect> Source<D> {
    pub(crate) fn of(options: Options<D>) -> Self {
        Self(Ok(options))
    }
}

impl<D: Dialect> fmt::Debug for Source<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Options may have a password in them.
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl<D: Dialect> fmt::Debug for SqlStoreBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStoreBuilder")
            .field("database", &D::NAME)
            .field("table", &self.table)
            .field("deadline", &self.deadline)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
