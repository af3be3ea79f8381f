//! An index that is kept apart from the records, and left behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use obsession_core::{Create, Delete, Record, Revision, SessionKey, SessionStore, Update};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound, long_trip, trip};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<ListByTheFirstSubject>(),
        Entry::of::<ListRemembersTheDeleted>(),
        Entry::of::<ListRemembersTheExpired>(),
        Entry::of::<IndexIsWrittenAfterwards>(),
    ]
}

/// The entries of an index that is kept apart: of each subject, the keys.
#[derive(Debug, Default)]
struct Entries(Mutex<BTreeMap<Arc<str>, BTreeSet<SessionKey>>>);

impl Entries {
    fn add(&self, record: &Record) {
        if let Some(subject) = &record.subject {
            let mut entries = self.0.lock().unwrap();
            entries
                .entry(Arc::clone(subject))
                .or_default()
                .insert(record.key);
        }
    }

    fn drop_all_of(&self, key: &SessionKey) {
        for keys in self.0.lock().unwrap().values_mut() {
            keys.remove(key);
        }
    }

    fn replace(&self, record: &Record) {
        self.drop_all_of(&record.key);
        self.add(record);
    }

    /// A create that leaves the entries that its key had.
    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let answer = at.create(record).await?;
        if answer == Create::Created {
            self.add(record);
        }
        Ok(answer)
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let answer = at.update(expected, record).await?;
        if answer == Update::Updated {
            self.replace(record);
        }
        Ok(answer)
    }

    /// The live records that the entries lead to, whoever they are of.
    fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let keys = self.0.lock().unwrap().get(subject).cloned();
        let keys = keys.into_iter().flatten();
        let mut listed = Vec::new();
        for key in keys.filter(|key| after.is_none_or(|after| key > after)) {
            listed.extend(at.live(&key)?);
        }
        listed.truncate(limit);
        Ok(listed)
    }
}

async fn any_trip(revision: Revision) {
    for _ in 0..revision.as_u64() % 32 {
        trip().await;
    }
}

/// The index has the subject with which a session began.
#[derive(Debug, Default)]
pub(crate) struct ListByTheFirstSubject {
    first: Mutex<HashMap<SessionKey, Option<Arc<str>>>>,
}

#[async_trait]
impl Bug for ListByTheFirstSubject {
    fn caught_by(&self) -> &'static str {
        "index_follows_a_changed_subject"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.first
            .lock()
            .unwrap()
            .insert(record.key, record.subject.clone());
        at.create(record).await
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let first = self.first.lock().unwrap().clone();
        let wanted = |record: &Record| {
            let of = first.get(&record.key).and_then(|of| of.as_deref());
            of == Some(subject) && after.is_none_or(|key| record.key > *key)
        };
        let all = at.all_live()?.into_iter();
        Ok(all.filter(wanted).take(limit).collect())
    }
}

/// A delete leaves the entry, and the next session of the key is the old user's.
#[derive(Debug, Default)]
pub(crate) struct ListRemembersTheDeleted(Entries);

#[async_trait]
impl Bug for ListRemembersTheDeleted {
    fn caught_by(&self) -> &'static str {
        "index_forgets_a_deleted_record"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.0.create(at, record).await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        self.0.update(at, expected, record).await
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        self.0.list(at, subject, after, limit)
    }
}

/// A create over an expired record leaves the entry of that.
#[derive(Debug, Default)]
pub(crate) struct ListRemembersTheExpired(Entries);

#[async_trait]
impl Bug for ListRemembersTheExpired {
    fn caught_by(&self) -> &'static str {
        "index_forgets_a_replaced_expired_record"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.0.create(at, record).await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        self.0.update(at, expected, record).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        self.0.drop_all_of(key);
        at.delete(key).await
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        self.0.list(at, subject, after, limit)
    }
}

/// The record first, then its entry: of two writers the one may be last here and first there.
#[derive(Debug, Default)]
pub(crate) struct IndexIsWrittenAfterwards(Entries);

#[async_trait]
impl Bug for IndexIsWrittenAfterwards {
    fn caught_by(&self) -> &'static str {
        "index_agrees_with_the_records_after_a_storm"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        let answer = at.create(record).await?;
        if answer == Create::Created {
            any_trip(record.revision).await;
            self.0.replace(record);
        }
        Ok(answer)
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let answer = at.update(expected, record).await?;
        if answer == Update::Updated {
            any_trip(record.revision).await;
            self.0.replace(record);
        }
        Ok(answer)
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        let answer = at.delete(key).await?;
        long_trip().await;
        self.0.drop_all_of(key);
        Ok(answer)
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        self.0.list(at, subject, after, limit)
    }
}
