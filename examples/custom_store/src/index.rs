//! Finding sessions by whose they are, and walking over all.

use std::ops::Bound::{Excluded, Included, Unbounded};

use async_trait::async_trait;
use obsession_core::{Record, ScanCursor, SessionIndex, SessionKey, StoreError};
use redb::{ReadableTable, ReadableTableMetadata};

use crate::RedbStore;
use crate::tables::{DEADLINES, FIRST, LAST, RECORDS, SUBJECTS, find};

#[async_trait]
impl SessionIndex for RedbStore {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (subject, after) = (subject.to_owned(), after.copied());
        self.read(move |transaction, now| {
            let records = transaction.open_table(RECORDS)?;
            let subjects = transaction.open_table(SUBJECTS)?;
            let after = after.map_or(FIRST, |key| *key.as_bytes());
            let first = Excluded((&*subject, &after));
            let mut found = Vec::new();
            for entry in subjects.range((first, Included((&*subject, &LAST))))? {
                if found.len() == limit {
                    break;
                }
                let key = SessionKey::try_from(&entry?.0.value().1[..])?;
                found.extend(find(&records, &key)?.filter(|record| record.is_live(now)));
            }
            Ok(found)
        })
        .await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let (subject, except) = (subject.to_owned(), except.copied());
        self.write(move |tables, now| {
            let of_subject = (&*subject, &FIRST)..=(&*subject, &LAST);
            let keys = tables.subjects.range(of_subject)?;
            let keys = keys.map(|entry| entry.map(|(entry, _)| *entry.value().1));
            let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
            let mut ended = 0;
            for key in keys {
                let key = SessionKey::try_from(&key[..])?;
                if Some(key) == except {
                    continue;
                }
                // Nobody can load a damaged row; it must not keep the user's others alive.
                if let Ok(Some(old)) = find(&tables.records, &key) {
                    tables.remove(&old)?;
                    ended += usize::from(old.is_live(now));
                }
            }
            Ok(ended)
        })
        .await
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.read(move |transaction, now| {
            let records = transaction.open_table(RECORDS)?;
            let deadlines = transaction.open_table(DEADLINES)?;
            let after = after.map(|at| (at.expires_at.as_millis(), *at.key.as_bytes()));
            let (at, key) = after.unwrap_or_default().max((now.as_millis(), LAST));
            let mut found = Vec::new();
            for entry in deadlines
                .range((Excluded((at, &key)), Unbounded))?
                .take(limit)
            {
                let key = SessionKey::try_from(&entry?.0.value().1[..])?;
                found.extend(find(&records, &key)?);
            }
            Ok(found)
        })
        .await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.read(move |transaction, now| {
            let deadlines = transaction.open_table(DEADLINES)?;
            let mut expired = 0;
            for entry in deadlines.range(..=(now.as_millis(), &LAST))? {
                entry?;
                expired += 1;
            }
            Ok(deadlines.len()?.saturating_sub(expired))
        })
        .await
    }
}
