//! The store: sessions one by one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use obsession_core::{
    Bell, Create, Delete, Record, Revision, SessionKey, SessionStore, StoreError, Timestamp, Touch,
    Update,
};
use tokio::time::Instant;

use crate::answers::Found;
use crate::builder::Source;
use crate::dialect::{Dialect, Look, Role};
use crate::error::Failure;
use crate::lane::{Base, Lanes};
use crate::write::{Outcome, Write};
use crate::{ConnectError, FailureKind, SqlStoreBuilder};

/// How many expired records are removed at once. Others are served in between.
const STEP: usize = 64;

/// Sessions in a SQL database. See [the crate](crate).
///
/// Clones are the same store. When the last is dropped, what was queued is still carried out, and the
/// connections are closed; [`close`](Self::close) says when. It needs a tokio runtime: that of
/// whoever connects runs the tasks that hold the connections.
pub struct SqlStore<D: Dialect> {
    pub(crate) shared: Arc<Shared<D>>,
}

pub(crate) struct Shared<D: Dialect> {
    pub(crate) base: Arc<Base<D>>,
    pub(crate) lanes: Lanes<D>,
}

impl<D: Dialect> SqlStore<D> {
    /// Connects to the database of this URL, whose tables have been migrated.
    ///
    /// # Errors
    ///
    /// As for [`SqlStoreBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Configures a store on a URL or on options of sqlx.
    pub fn builder(source: impl Into<Source<D>>) -> SqlStoreBuilder<D> {
        SqlStoreBuilder::new(source.into())
    }

    /// Closes the store, for its clones too. When this returns, what was queued has been answered and
    /// the connections are closed.
    ///
    /// Later calls are an error. Closing again changes nothing.
    pub async fn close(&self) {
        self.shared.lanes.close().await;
    }

    /// How many statements have been sent for calls. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.shared.base.statements.load(Ordering::Relaxed)
    }

    /// The instant by which a call that begins now has ended.
    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.shared.base.deadline
    }

    async fn write(&self, write: Write) -> Result<Outcome, StoreError> {
        let written = self.shared.lanes.write(write, self.until()).await;
        written.map_err(Failure::of_write)
    }
}

#[async_trait]
impl<D: Dialect> SessionStore for SqlStore<D> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let until = self.until();
        let mut look = Look::Now;
        loop {
            let seen = self.shared.lanes.load(key, look, until).await;
            let Some(seen) = seen.map_err(Failure::of_read)? else {
                return Ok(None);
            };
            match seen.settle() {
                Ok(Found::Live(record)) => return Ok(Some(record)),
                // It was expired when this looked, and a touch that came in time may not be seen yet.
                // Absent now and live in a moment would be two answers.
                Ok(Found::AskAgain) if look == Look::Now => look = Look::Settled,
                Ok(Found::AskAgain | Found::Nothing) => return Ok(None),
                Err(_) => return Err(Failure::not_applied(FailureKind::Damaged).of_read()),
            }
        }
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        check(record)?;
        match self.write(Write::Create(record.clone())).await? {
            Outcome::Done => Ok(Create::Created),
            Outcome::Other(_) => Ok(Create::KeyTaken),
            Outcome::Gone => Err(Failure::unknown(FailureKind::Unexpected).of_write()),
        }
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        check(record)?;
        let record = record.clone();
        Ok(
            match self.write(Write::Update { expected, record }).await? {
                Outcome::Done => Update::Updated,
                Outcome::Other(current) => Update::Conflict(current),
                Outcome::Gone => Update::Gone,
            },
        )
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let touch = Write::Touch {
            key: *key,
            expected,
            expires_at,
        };
        Ok(match self.write(touch).await? {
            Outcome::Done => Touch::Touched,
            Outcome::Other(_) => Touch::Changed,
            Outcome::Gone => Touch::Gone,
        })
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        Ok(match self.write(Write::Delete(*key)).await? {
            Outcome::Done | Outcome::Other(_) => Delete::Deleted,
            Outcome::Gone => Delete::Gone,
        })
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let until = self.until();
        let mut removed = 0;
        while removed < limit {
            let step = STEP.min(limit - removed);
            let lanes = &self.shared.lanes;
            let expired = lanes.alone(Role::Writes, until, move |dialect, connection, at| {
                Box::pin(dialect.expire(connection, step, at))
            });
            let expired = expired
                .await
                .map_err(|failure| after_some(removed, failure))?;
            removed += expired;
            if expired < step {
                break;
            }
        }
        Ok(removed)
    }

    /// Only Postgres could tell, by `NOTIFY`, and every writer would wait for it.
    async fn watch(&self, _: &SessionKey) -> Result<Bell, StoreError> {
        Ok(Bell::silent())
    }
}

/// A later step has failed: the call as a whole is no longer one that changed nothing.
pub(crate) fn after_some(done: usize, failure: Failure) -> StoreError {
    if done == 0 {
        return failure.of_write();
    }
    StoreError::unknown("some records were removed before the database failed")
        .caused_by(failure.of_write())
}

/// Refuses what would not come back as it is.
fn check(record: &Record) -> Result<(), StoreError> {
    let subject = record.subject.as_deref().unwrap_or_default();
    if subject.len() > Record::MAX_SUBJECT {
        return Err(StoreError::not_applied("the subject is too long"));
    }
    Ok(())
}

impl<D: Dialect> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &D::NAME)
            .field("table", &self.shared.base.names.table)
            .finish_non_exhaustive()
    }
}
