//! The four trees inside one transaction.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use obsession_core::{Record, SessionKey, Timestamp};
use sled::transaction::TransactionalTree;

use crate::error::Trouble;
use crate::layout::{Head, deadline_key, piece_key, pieces, subject_key};

/// What an operation sees and changes: everything that the operations before it in the batch did.
pub(crate) struct View<'a> {
    pub(crate) records: &'a TransactionalTree,
    pub(crate) overflow: &'a TransactionalTree,
    pub(crate) deadlines: &'a TransactionalTree,
    pub(crate) subjects: &'a TransactionalTree,
    pub(crate) now: Timestamp,
    /// What was changed so far.
    pub(crate) changes: Changes,
}

#[derive(Default)]
pub(crate) struct Changes {
    /// Whose records differ from what is on disk.
    pub(crate) keys: RefCell<HashSet<SessionKey>>,
    /// How many entries `deadlines` has won; negative when it lost some.
    pub(crate) entries: Cell<i64>,
    /// Whether anything was written, be it only an index entry.
    pub(crate) any: Cell<bool>,
}

impl View<'_> {
    /// What is stored of `key`, live or not.
    pub(crate) fn head(&self, key: &SessionKey) -> Result<Option<Head>, Trouble> {
        let value = self.records.get(key.as_bytes())?;
        Ok(value.map(|value| Head::decode(*key, &value)).transpose()?)
    }

    pub(crate) fn whole(&self, head: Head) -> Result<Record, Trouble> {
        head.whole(|piece| Ok(self.overflow.get(piece)?))
    }

    /// Puts `record` in the place of `old`, or where there is nothing.
    pub(crate) fn put(&self, old: Option<&Head>, record: &Record) -> Result<(), Trouble> {
        let key = &record.key;
        let row = record.to_row();
        let (first, count, rest) = pieces(&row);
        self.records
            .insert(key.as_bytes(), Head::encode(count, first))?;
        for (n, piece) in rest {
            self.overflow.insert(&piece_key(key, n)[..], piece)?;
        }
        if let Some(Head {
            record: old,
            pieces,
        }) = old
        {
            for n in count..*pieces {
                self.overflow.remove(&piece_key(key, n + 1)[..])?;
            }
            if old.expires_at != record.expires_at {
                self.forget_deadline(old.expires_at, key)?;
            }
            if let Some(subject) = &old.subject
                && old.subject != record.subject
            {
                self.subjects.remove(subject_key(subject, key))?;
            }
        }
        self.note_deadline(record.expires_at, key)?;
        if let Some(subject) = &record.subject {
            self.subjects.insert(subject_key(subject, key), &[])?;
        }
        self.changed(key);
        Ok(())
    }

    /// Moves the deadline and leaves the rest of the row as it is, a long body unread.
    pub(crate) fn touch(&self, head: Head, expires_at: Timestamp) -> Result<(), Trouble> {
        let Head { mut record, pieces } = head;
        self.forget_deadline(record.expires_at, &record.key)?;
        record.expires_at = expires_at;
        let value = Head::encode(pieces, &record.to_row());
        self.records.insert(record.key.as_bytes(), value)?;
        self.note_deadline(expires_at, &record.key)?;
        self.changed(&record.key);
        Ok(())
    }

    pub(crate) fn remove(&self, head: &Head) -> Result<(), Trouble> {
        let key = &head.record.key;
        self.records.remove(key.as_bytes())?;
        for n in 1..=head.pieces {
            self.overflow.remove(&piece_key(key, n)[..])?;
        }
        self.forget_deadline(head.record.expires_at, key)?;
        if let Some(subject) = &head.record.subject {
            self.subjects.remove(subject_key(subject, key))?;
        }
        self.changed(key);
        Ok(())
    }

    /// Removes a row that says neither how long it is nor what the indexes have of it. Their
    /// entries lead nowhere then, and go when they are met.
    pub(crate) fn remove_damaged(&self, key: &SessionKey) -> Result<(), Trouble> {
        self.records.remove(key.as_bytes())?;
        for n in 1..=u16::MAX {
            if self.overflow.remove(&piece_key(key, n)[..])?.is_none() {
                break;
            }
        }
        self.changed(key);
        Ok(())
    }

    pub(crate) fn forget_deadline(&self, at: Timestamp, key: &SessionKey) -> Result<(), Trouble> {
        let old = self.deadlines.remove(&deadline_key(at, key)[..])?;
        self.count(-i64::from(old.is_some()));
        Ok(())
    }

    pub(crate) fn forget_subject(&self, subject: &str, key: &SessionKey) -> Result<(), Trouble> {
        self.subjects.remove(subject_key(subject, key))?;
        self.changes.any.set(true);
        Ok(())
    }

    fn note_deadline(&self, at: Timestamp, key: &SessionKey) -> Result<(), Trouble> {
        let old = self.deadlines.insert(&deadline_key(at, key)[..], &[])?;
        self.count(i64::from(old.is_none()));
        Ok(())
    }

    fn count(&self, won: i64) {
        let Changes { entries, any, .. } = &self.changes;
        entries.set(entries.get() + won);
        any.set(any.get() || won != 0);
    }

    fn changed(&self, key: &SessionKey) {
        self.changes.keys.borrow_mut().insert(*key);
        self.changes.any.set(true);
    }
}
