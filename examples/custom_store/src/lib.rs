//! A session store of your own, complete: sessions in the embedded database [redb].
//!
//! This file decides, `tables.rs` has what is on disk, `transactions.rs` runs both away from the
//! async threads, and `index.rs` finds sessions by whose they are. `tests/conformance.rs` is the
//! suite, `src/main.rs` opens a session. The chapter "Write
//! your own store", `obsession-core/docs/write-your-own-store.md`, walks through it.
//!
//! [redb]: https://docs.rs/redb

mod index;
mod tables;
mod transactions;

use std::path::Path;
use std::sync::Arc;
use std::{fs, path};

use async_trait::async_trait;
use obsession_core::{
    Bell, Clock, Create, Delete, Record, Revision, SessionKey, SessionStore, StoreError, Timestamp,
    Touch, Update,
};
use redb::{Database, ReadTransaction};
use tokio::sync::Mutex;

use crate::tables::{RECORDS, Tables, find};

/// What redb said, whichever of its errors it is, or what is wrong with a row.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How many records a cleanup removes in one transaction. Between two of them others write.
const STEP: usize = 256;

/// Sessions in a redb database. Clones are the same store.
///
/// A write is on disk (`fsync`) before it is acknowledged. One process at a time has the file open.
/// It needs a tokio runtime. Dropping the last clone closes the database, which writes.
#[derive(Clone, Debug)]
pub struct RedbStore {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    /// Whose turn it is to write. redb would let writers wait as well, each on a thread of its own.
    turn: Arc<Mutex<()>>,
}

impl RedbStore {
    /// Opens the database in the file `path`, which is made if it is missing. Blocks.
    ///
    /// # Errors
    ///
    /// The file is open already, is something else or is damaged; or the system refused.
    pub fn open(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self, Cause> {
        let path = path::absolute(path)?;
        let store = Self::new(Database::create(&path)?, clock)?;
        // redb has synced the file, and nobody its name yet. Windows opens no directory as a file.
        if let Some(folder) = path.parent().filter(|_| cfg!(unix)) {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(store)
    }

    /// The same in a database that is open already, beside tables of other names. Blocks.
    ///
    /// # Errors
    ///
    /// The tables cannot be made, or tables of these names hold something else.
    pub fn new(database: Database, clock: impl Clock) -> Result<Self, Cause> {
        let transaction = database.begin_write()?;
        Tables::open(&transaction)?;
        transaction.commit()?;
        Ok(Self {
            database: Arc::new(database),
            clock: Arc::new(clock),
            turn: Arc::default(),
        })
    }
}

#[async_trait]
impl SessionStore for RedbStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let key = *key;
        let ask = move |transaction: &ReadTransaction, now| {
            let found = find(&transaction.open_table(RECORDS)?, &key)?;
            Ok(found.map(|record| (record.is_live(now), record)))
        };
        match self.read(ask).await? {
            Some((true, record)) => Ok(Some(record)),
            // A touch that came in time may be on its way to the disk, and would revive what was
            // absent. It is waited for by asking as a writer asks.
            Some((false, _)) => self.write(move |tables, now| tables.live(&key, now)).await,
            None => Ok(None),
        }
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        let record = record.clone();
        let change = move |tables: &mut Tables<'_>, now| {
            let old = find(&tables.records, &record.key)?;
            match old.as_ref().filter(|old| old.is_live(now)) {
                // The same revision is the same write: somebody has not seen our first answer.
                Some(live) if live.revision != record.revision => return Ok(Create::KeyTaken),
                Some(_) => {}
                None => tables.put(old.as_ref(), &record)?,
            }
            Ok(Create::Created)
        };
        self.write(change).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        let record = record.clone();
        let change = move |tables: &mut Tables<'_>, now| {
            Ok(match tables.live(&record.key, now)? {
                None => Update::Gone,
                Some(old) if old.revision == record.revision => Update::Updated,
                Some(old) if old.revision != expected => Update::Conflict(old),
                Some(old) => {
                    tables.put(Some(&old), &record)?;
                    Update::Updated
                }
            })
        };
        self.write(change).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let key = *key;
        let change = move |tables: &mut Tables<'_>, now| {
            Ok(match tables.live(&key, now)? {
                None => Touch::Gone,
                Some(old) if old.revision != expected => Touch::Changed,
                Some(old) => {
                    if expires_at > old.expires_at {
                        let touched = Record {
                            expires_at,
                            ..old.clone()
                        };
                        tables.put(Some(&old), &touched)?;
                    }
                    Touch::Touched
                }
            })
        };
        self.write(change).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        let key = *key;
        let change = move |tables: &mut Tables<'_>, now| {
            let Some(old) = find(&tables.records, &key)? else {
                return Ok(Delete::Gone);
            };
            tables.remove(&old)?;
            Ok(if old.is_live(now) {
                Delete::Deleted
            } else {
                Delete::Gone
            })
        };
        self.write(change).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        while removed < limit {
            let step = STEP.min(limit - removed);
            let expired = self
                .write(move |tables, now| tables.expire(step, now))
                .await;
            removed += match expired {
                Ok(expired) if expired < step => return Ok(removed + expired),
                Err(error) if removed > 0 => {
                    return Err(StoreError::unknown("a cleanup stopped half way").caused_by(error));
                }
                expired => expired?,
            };
        }
        Ok(removed)
    }

    /// It is of one process, whose manager notices by itself what it does.
    async fn watch(&self, _: &SessionKey) -> Result<Bell, StoreError> {
        Ok(Bell::silent())
    }
}
