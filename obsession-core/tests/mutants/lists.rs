//! Lists of a subject that show others, or not all, or in another order.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use obsession_core::{Create, Record, SessionIndex, SessionKey, SessionStore, Timestamp};

use crate::bug::{Bug, Entry};
use crate::cleanups::narrow;
use crate::sound::{Answer, Sound};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<ListIsUnordered>(),
        Entry::of::<ListIsByPrefix>(),
        Entry::of::<ListFoldsCase>(),
        Entry::of::<ListShowsExpired>(),
        Entry::of::<ListRepeatsTheCursor>(),
        Entry::of::<ListSkipsOne>(),
        Entry::of::<ListByOffset>(),
        Entry::of::<ListNeedsItsCursor>(),
        Entry::of::<ListLimitIsOf32Bits>(),
        Entry::of::<ListEndsWithTheFirstDeadline>(),
        Entry::of::<ListEndsSubjectsAtANul>(),
    ]
}

fn list_where(
    at: &Sound,
    after: Option<&SessionKey>,
    limit: usize,
    is: impl Fn(&str) -> bool,
) -> Answer<Vec<Record>> {
    let wanted = |record: &Record| {
        record.subject.as_deref().is_some_and(&is) && after.is_none_or(|key| record.key > *key)
    };
    let all = at.all_live()?.into_iter();
    Ok(all.filter(wanted).take(limit).collect())
}

/// The order of the deadlines, or whatever comes.
#[derive(Debug, Default)]
pub(crate) struct ListIsUnordered;

#[async_trait]
impl Bug for ListIsUnordered {
    fn caught_by(&self) -> &'static str {
        "index_lists_the_sessions_of_a_subject_by_key"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut listed = at.list(subject, after, limit).await?;
        listed.reverse();
        Ok(listed)
    }
}

/// `subject LIKE 'zo%'`.
#[derive(Debug, Default)]
pub(crate) struct ListIsByPrefix;

#[async_trait]
impl Bug for ListIsByPrefix {
    fn caught_by(&self) -> &'static str {
        "index_lists_nothing_of_others"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        list_where(at, after, limit, |of| of.starts_with(subject))
    }
}

/// A collation in which A is a.
#[derive(Debug, Default)]
pub(crate) struct ListFoldsCase;

#[async_trait]
impl Bug for ListFoldsCase {
    fn caught_by(&self) -> &'static str {
        "index_keeps_odd_subjects_apart"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        list_where(at, after, limit, |of| of.eq_ignore_ascii_case(subject))
    }
}

/// Until cleanup has run, it is listed.
#[derive(Debug, Default)]
pub(crate) struct ListShowsExpired;

#[async_trait]
impl Bug for ListShowsExpired {
    fn caught_by(&self) -> &'static str {
        "index_lists_no_expired_record"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let rows = at.rows()?;
        let own = rows.iter().filter(|((table, _), _)| *table == at.table);
        let wanted = own.map(|(_, record)| record).filter(|record| {
            record.subject.as_deref() == Some(subject) && after.is_none_or(|key| record.key > *key)
        });
        Ok(wanted.take(limit).cloned().collect())
    }
}

/// A page begins with the last of the one before.
#[derive(Debug, Default)]
pub(crate) struct ListRepeatsTheCursor;

#[async_trait]
impl Bug for ListRepeatsTheCursor {
    fn caught_by(&self) -> &'static str {
        "index_pages_meet_every_record_once"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut listed = at.list(subject, None, usize::MAX).await?;
        listed.retain(|record| after.is_none_or(|key| record.key >= *key));
        listed.truncate(limit);
        Ok(listed)
    }
}

/// The one that told whether there is another page is on none.
#[derive(Debug, Default)]
pub(crate) struct ListSkipsOne;

#[async_trait]
impl Bug for ListSkipsOne {
    fn caught_by(&self) -> &'static str {
        "index_pages_meet_every_record_once"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let mut listed = at.list(subject, after, limit.saturating_add(1)).await?;
        if after.is_some() && listed.len() > 1 {
            listed.remove(0);
        }
        listed.truncate(limit);
        Ok(listed)
    }
}

/// A page is counted from the start, which moves when a record goes.
#[derive(Debug, Default)]
pub(crate) struct ListByOffset {
    offsets: Mutex<HashMap<SessionKey, usize>>,
}

#[async_trait]
impl Bug for ListByOffset {
    fn caught_by(&self) -> &'static str {
        "index_pages_stay_right_when_records_come_and_go"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let all = at.list(subject, None, usize::MAX).await?;
        let mut offsets = self.offsets.lock().unwrap();
        let offset = after.map_or(0, |key| offsets.get(key).copied().unwrap_or_default());
        let page: Vec<_> = all.into_iter().skip(offset).take(limit).collect();
        if let Some(last) = page.last() {
            offsets.insert(last.key, offset + page.len());
        }
        Ok(page)
    }
}

/// A cursor that was deleted is looked for in vain, and the walk begins again.
#[derive(Debug, Default)]
pub(crate) struct ListNeedsItsCursor;

#[async_trait]
impl Bug for ListNeedsItsCursor {
    fn caught_by(&self) -> &'static str {
        "index_lists_from_after_a_key_that_is_gone"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let known = match after {
            Some(key) => at.live(key)?.is_some(),
            None => true,
        };
        at.list(subject, after.filter(|_| known), limit).await
    }
}

/// The limit as the database has it, in which a large one is negative.
#[derive(Debug, Default)]
pub(crate) struct ListLimitIsOf32Bits;

#[async_trait]
impl Bug for ListLimitIsOf32Bits {
    fn caught_by(&self) -> &'static str {
        "index_takes_any_limit"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let limit = usize::try_from(narrow(limit)).unwrap_or(0);
        at.list(subject, after, limit).await
    }
}

/// The index expires with the session's first deadline, and a touch does not reach it.
#[derive(Debug, Default)]
pub(crate) struct ListEndsWithTheFirstDeadline {
    first: Mutex<HashMap<SessionKey, Timestamp>>,
}

#[async_trait]
impl Bug for ListEndsWithTheFirstDeadline {
    fn caught_by(&self) -> &'static str {
        "index_lists_a_record_whose_deadline_moved"
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        self.first
            .lock()
            .unwrap()
            .insert(record.key, record.expires_at);
        at.create(record).await
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let (now, mut listed) = (at.now(), at.list(subject, after, limit).await?);
        let first = self.first.lock().unwrap();
        listed.retain(|record| first.get(&record.key).is_none_or(|end| now < *end));
        Ok(listed)
    }
}

/// Subject and key are one text with a NUL between them.
#[derive(Debug, Default)]
pub(crate) struct ListEndsSubjectsAtANul;

#[async_trait]
impl Bug for ListEndsSubjectsAtANul {
    fn caught_by(&self) -> &'static str {
        "index_of_a_subject_with_a_nul_is_not_its_beginnings"
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let start = format!("{subject}\0");
        list_where(at, after, limit, |of| {
            of == subject || of.starts_with(&start)
        })
    }
}
