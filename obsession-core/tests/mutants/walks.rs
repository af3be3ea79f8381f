//! Scans, counts, and the end of a subject.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use obsession_core::{
    Create, Delete, Record, ScanCursor, SessionIndex, SessionKey, SessionStore, Timestamp,
};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound, long_trip};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<EndsAllOfASubject>(),
        Entry::of::<EndsOnePageOfASubject>(),
        Entry::of::<EndsWhatHasMovedOn>(),
        Entry::of::<EndsAHundred>(),
        Entry::of::<EndsEverybody>(),
        Entry::of::<EndsAndCountsTheExpired>(),
        Entry::of::<ScanIsUnordered>(),
        Entry::of::<ScanSkipsEqualDeadlines>(),
        Entry::of::<ScanByTheFirstDeadline>(),
        Entry::of::<ScanByOffset>(),
        Entry::of::<CountsTheExpired>(),
    ]
}

/// "Log out everywhere else" logs out here too.
#[derive(Debug, Default)]
pub(crate) struct EndsAllOfASubject;

#[async_trait]
impl Bug for EndsAllOfASubject {
    fn caught_by(&self) -> &'static str {
        "index_deletes_all_of_a_subject_but_one"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        _except: Option<&SessionKey>,
    ) -> Answer<usize> {
        at.delete_subject(subject, None).await
    }
}

/// The first page is ended, and the rest forgotten.
#[derive(Debug, Default)]
pub(crate) struct EndsOnePageOfASubject;

#[async_trait]
impl Bug for EndsOnePageOfASubject {
    fn caught_by(&self) -> &'static str {
        "index_deletes_all_of_a_subject_but_one"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        let mut ended = 0;
        for record in at.list(subject, None, 3).await? {
            if Some(&record.key) != except {
                ended += usize::from(at.delete(&record.key).await? == Delete::Deleted);
            }
        }
        Ok(ended)
    }
}

/// The keys are looked up first, and ended whoever they are of by then.
#[derive(Debug, Default)]
pub(crate) struct EndsWhatHasMovedOn;

#[async_trait]
impl Bug for EndsWhatHasMovedOn {
    fn caught_by(&self) -> &'static str {
        "race_of_a_sign_in_and_the_end_of_a_subject"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        let mut ended = 0;
        for record in at.list(subject, None, usize::MAX).await? {
            if Some(&record.key) != except {
                long_trip().await;
                ended += usize::from(at.delete(&record.key).await? == Delete::Deleted);
            }
        }
        Ok(ended)
    }
}

/// One batch is what a call does.
#[derive(Debug, Default)]
pub(crate) struct EndsAHundred;

#[async_trait]
impl Bug for EndsAHundred {
    fn caught_by(&self) -> &'static str {
        "index_of_many_records_is_whole"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        let listed = at.list(subject, None, usize::MAX).await?;
        if listed.len() <= 100 {
            return at.delete_subject(subject, except).await;
        }
        let mut ended = 0;
        for record in listed.iter().filter(|r| Some(&r.key) != except).take(100) {
            ended += usize::from(at.delete(&record.key).await? == Delete::Deleted);
        }
        Ok(ended)
    }
}

/// A condition with an "or" that has no parentheses.
#[derive(Debug, Default)]
pub(crate) struct EndsEverybody;

#[async_trait]
impl Bug for EndsEverybody {
    fn caught_by(&self) -> &'static str {
        "index_delete_of_a_subject_leaves_others_alone"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        for record in at.all_live()? {
            if record.subject.as_deref() != Some(subject) && except.is_some() {
                at.take(&record.key)?;
            }
        }
        at.delete_subject(subject, except).await
    }
}

/// The rows are counted, whatever their deadline.
#[derive(Debug, Default)]
pub(crate) struct EndsAndCountsTheExpired;

#[async_trait]
impl Bug for EndsAndCountsTheExpired {
    fn caught_by(&self) -> &'static str {
        "index_delete_of_a_subject_counts_live_records"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        let before = at.rows()?.len();
        at.delete_subject(subject, except).await?;
        Ok(before - at.rows()?.len())
    }
}

/// The order of the keys.
#[derive(Debug, Default)]
pub(crate) struct ScanIsUnordered;

#[async_trait]
impl Bug for ScanIsUnordered {
    fn caught_by(&self) -> &'static str {
        "index_scans_by_deadline_from_a_cursor"
    }

    async fn scan(
        &self,
        at: &Sound,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut live = at.all_live()?;
        live.retain(|record| after.is_none_or(|after| record.key > after.key));
        live.truncate(limit);
        Ok(live)
    }
}

/// The cursor is a deadline, and of those that share it the rest is left out.
#[derive(Debug, Default)]
pub(crate) struct ScanSkipsEqualDeadlines;

#[async_trait]
impl Bug for ScanSkipsEqualDeadlines {
    fn caught_by(&self) -> &'static str {
        "index_scans_by_deadline_from_a_cursor"
    }

    async fn scan(
        &self,
        at: &Sound,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut all = at.scan(None, usize::MAX).await?;
        all.retain(|record| after.is_none_or(|after| record.expires_at > after.expires_at));
        all.truncate(limit);
        Ok(all)
    }
}

/// The list of deadlines is written once.
#[derive(Debug, Default)]
pub(crate) struct ScanByTheFirstDeadline {
    first: Mutex<HashMap<SessionKey, Timestamp>>,
}

#[async_trait]
impl Bug for ScanByTheFirstDeadline {
    fn caught_by(&self) -> &'static str {
        "index_scan_shows_a_moved_deadline"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.first
            .lock()
            .unwrap()
            .insert(record.key, record.expires_at);
        at.create(record).await
    }

    async fn scan(
        &self,
        at: &Sound,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut scanned = at.scan(after, limit).await?;
        let first = self.first.lock().unwrap();
        for record in &mut scanned {
            if let Some(deadline) = first.get(&record.key) {
                record.expires_at = *deadline;
            }
        }
        Ok(scanned)
    }
}

/// A walk is counted from the start, which moves when a record goes.
#[derive(Debug, Default)]
pub(crate) struct ScanByOffset {
    offsets: Mutex<HashMap<SessionKey, usize>>,
}

#[async_trait]
impl Bug for ScanByOffset {
    fn caught_by(&self) -> &'static str {
        "index_scan_stays_right_when_records_come_and_go"
    }

    async fn scan(
        &self,
        at: &Sound,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let all = at.scan(None, usize::MAX).await?;
        let mut offsets = self.offsets.lock().unwrap();
        let offset = after.map_or(0, |at| offsets.get(&at.key).copied().unwrap_or_default());
        let page: Vec<_> = all.into_iter().skip(offset).take(limit).collect();
        if let Some(last) = page.last() {
            offsets.insert(last.key, offset + page.len());
        }
        Ok(page)
    }
}

/// All rows are counted.
#[derive(Debug, Default)]
pub(crate) struct CountsTheExpired;

#[async_trait]
impl Bug for CountsTheExpired {
    fn caught_by(&self) -> &'static str {
        "index_counts_live_records"
    }

    async fn count(&self, at: &Sound) -> Answer<u64> {
        let rows = at.rows()?;
        let own = rows.keys().filter(|(table, _)| *table == at.table);
        Ok(own.count() as u64)
    }
}
