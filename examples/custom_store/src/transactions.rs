//! Transactions away from the async threads, and what their failures mean.

use obsession_core::{StoreError, Timestamp};
use redb::{ReadTransaction, ReadableDatabase};
use tokio::task::spawn_blocking;

use crate::tables::Tables;
use crate::{Cause, RedbStore};

impl RedbStore {
    /// Runs `ask` on what is on disk, away from the async threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&ReadTransaction, Timestamp) -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Self {
            database, clock, ..
        } = self.clone();
        let failed = |cause| StoreError::not_applied("redb could not read").caused_by(cause);
        let answer = spawn_blocking(move || {
            // The clock first: what is there afterwards and live at this instant is both at once.
            let now = clock.now();
            ask(&database.begin_read()?, now)
        });
        answer.await.map_err(Cause::from).flatten().map_err(failed)
    }

    /// Runs `change` in a transaction of its own, away from the async threads, and answers when it
    /// is on disk. A caller who does not wait for that changes nothing about it.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tables<'_>, Timestamp) -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Self {
            database,
            clock,
            turn,
        } = self.clone();
        let turn = turn.lock_owned().await;
        let answer = spawn_blocking(move || {
            let _turn = turn;
            let decide = || {
                let transaction = database.begin_write()?;
                let mut tables = Tables::open(&transaction)?;
                let answer = change(&mut tables, clock.now())?;
                let changed = tables.changed;
                drop(tables);
                Ok((transaction, changed, answer))
            };
            // A transaction that is dropped has changed nothing.
            let (transaction, changed, answer) = decide().map_err(|cause: Cause| {
                StoreError::not_applied("redb could not write").caused_by(cause)
            })?;
            if changed {
                transaction.commit().map_err(|cause| {
                    StoreError::unknown("redb could not commit").caused_by(cause)
                })?;
            }
            Ok(answer)
        });
        let stopped = |cause| Err(StoreError::unknown("a write to redb stopped").caused_by(cause));
        answer.await.unwrap_or_else(stopped)
    }
}
