//! Which sessions there are, and whose, and until when: what the files say, without reading them.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use crate::{Record, ScanCursor, SessionKey, Timestamp};

/// Made from the files when the store is opened, and changed with each of them under the turn of
/// its key. Whoever holds that turn finds here what the file says.
#[derive(Default)]
pub(super) struct Index {
    entries: HashMap<SessionKey, Entry>,
    deadlines: BTreeSet<(Timestamp, SessionKey)>,
    subjects: HashMap<Arc<str>, BTreeSet<SessionKey>>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) expires_at: Timestamp,
    pub(super) subject: Option<Arc<str>>,
}

impl From<&Record> for Entry {
    fn from(record: &Record) -> Self {
        Self {
            expires_at: record.expires_at,
            subject: record.subject.clone(),
        }
    }
}

impl Index {
    pub(super) fn get(&self, key: &SessionKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn insert(&mut self, key: SessionKey, entry: Entry) {
        self.remove(&key);
        self.deadlines.insert((entry.expires_at, key));
        if let Some(subject) = &entry.subject {
            let keys = self.subjects.entry(Arc::clone(subject)).or_default();
            keys.insert(key);
        }
        self.entries.insert(key, entry);
    }

    pub(super) fn remove(&mut self, key: &SessionKey) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        self.deadlines.remove(&(entry.expires_at, *key));
        let Some(subject) = entry.subject else { return };
        if let Some(keys) = self.subjects.get_mut(&subject) {
            keys.remove(key);
            if keys.is_empty() {
                self.subjects.remove(&subject);
            }
        }
    }

    /// At most `limit` keys of `subject`, in order, from after `after` on.
    pub(super) fn keys_of(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Vec<SessionKey> {
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let keys = self.subjects.get(subject).map(|keys| keys.range(range));
        keys.into_iter().flatten().take(limit).copied().collect()
    }

    /// The first at or before `now`, from after `after` on.
    pub(super) fn next_expired(
        &self,
        after: Option<ScanCursor>,
        now: Timestamp,
    ) -> Option<ScanCursor> {
        self.ahead(after).next().filter(|at| at.expires_at <= now)
    }

    /// At most `limit` that end after `now`, the first deadline first, from after `after` on.
    pub(super) fn live_ahead(
        &self,
        after: Option<ScanCursor>,
        now: Timestamp,
        limit: usize,
    ) -> Vec<ScanCursor> {
        let live = self.ahead(after).skip_while(|at| at.expires_at <= now);
        live.take(limit).collect()
    }

    pub(super) fn live(&self, now: Timestamp) -> usize {
        let expired = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        self.entries.len() - expired.count()
    }

    fn ahead(&self, after: Option<ScanCursor>) -> impl Iterator<Item = ScanCursor> {
        let from = after.map_or(Unbounded, |at| Excluded((at.expires_at, at.key)));
        let ahead = self.deadlines.range((from, Unbounded));
        ahead.map(|&(expires_at, key)| ScanCursor { expires_at, key })
    }
}
