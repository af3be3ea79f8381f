//! What is on disk.
//!
//! | table | key | value |
//! |---|---|---|
//! | `records` | the session's key | [`Record::to_row`] |
//! | `deadlines` | `expires_at` in milliseconds, the session's key | nothing |
//! | `subjects` | subject, the session's key | nothing |
//!
//! The three change together, in one transaction.

use obsession_core::{Record, SessionKey, Timestamp};
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::Cause;

type Key = [u8; SessionKey::LEN];

pub(crate) const RECORDS: TableDefinition<'_, &Key, &[u8]> = TableDefinition::new("records");
pub(crate) const DEADLINES: TableDefinition<'_, (u64, &Key), ()> =
    TableDefinition::new("deadlines");
pub(crate) const SUBJECTS: TableDefinition<'_, (&str, &Key), ()> = TableDefinition::new("subjects");

/// No key of a session is below the one or above the other.
pub(crate) const FIRST: Key = [0; SessionKey::LEN];
pub(crate) const LAST: Key = [0xff; SessionKey::LEN];

/// The tables inside one write transaction.
pub(crate) struct Tables<'t> {
    pub(crate) records: Table<'t, &'static Key, &'static [u8]>,
    deadlines: Table<'t, (u64, &'static Key), ()>,
    pub(crate) subjects: Table<'t, (&'static str, &'static Key), ()>,
    /// Whether there is anything to commit.
    pub(crate) changed: bool,
}

impl<'t> Tables<'t> {
    /// Opens them, and makes those that are missing.
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self, Cause> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            deadlines: transaction.open_table(DEADLINES)?,
            subjects: transaction.open_table(SUBJECTS)?,
            changed: false,
        })
    }

    pub(crate) fn live(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Record>, Cause> {
        Ok(find(&self.records, key)?.filter(|record| record.is_live(now)))
    }

    /// Puts `record` in the place of `old`, or where there is nothing.
    pub(crate) fn put(&mut self, old: Option<&Record>, record: &Record) -> Result<(), Cause> {
        if let Some(old) = old {
            self.remove(old)?;
        }
        let (key, at) = (record.key.as_bytes(), record.expires_at.as_millis());
        if let Some(subject) = record.subject.as_deref() {
            if subject.len() > Record::MAX_SUBJECT {
                return Err("the subject is too long".into());
            }
            self.subjects.insert((subject, key), ())?;
        }
        self.records.insert(key, &*record.to_row())?;
        self.deadlines.insert((at, key), ())?;
        self.changed = true;
        Ok(())
    }

    pub(crate) fn remove(&mut self, old: &Record) -> Result<(), Cause> {
        let (key, at) = (old.key.as_bytes(), old.expires_at.as_millis());
        if let Some(subject) = old.subject.as_deref() {
            self.subjects.remove((subject, key))?;
        }
        self.records.remove(key)?;
        self.deadlines.remove((at, key))?;
        self.changed = true;
        Ok(())
    }

    /// Removes at most `limit` records that have expired, the oldest first, and says how many.
    pub(crate) fn expire(&mut self, limit: usize, now: Timestamp) -> Result<usize, Cause> {
        let due = self
            .deadlines
            .range(..=(now.as_millis(), &LAST))?
            .take(limit);
        let due = due.map(|entry| entry.map(|(entry, _)| (entry.value().0, *entry.value().1)));
        let due: Vec<_> = due.collect::<Result<_, _>>()?;
        for (at, key) in &due {
            let found = find(&self.records, &SessionKey::try_from(&key[..])?);
            if let Ok(Some(old)) = found {
                self.remove(&old)?;
                continue;
            }
            // A damaged row is of no use to anybody, and must not keep the others from being
            // cleaned up. Its entry of `subjects` stays, and leads nowhere.
            self.records.remove(key)?;
            self.deadlines.remove((*at, key))?;
            self.changed = true;
        }
        Ok(due.len())
    }
}

/// The record of `key`, live or not. A row that is damaged is an error, never nothing.
pub(crate) fn find(
    records: &impl ReadableTable<&'static Key, &'static [u8]>,
    key: &SessionKey,
) -> Result<Option<Record>, Cause> {
    let row = records.get(key.as_bytes())?;
    Ok(row
        .map(|row| Record::from_row(*key, row.value()))
        .transpose()?)
}
