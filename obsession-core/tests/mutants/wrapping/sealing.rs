//! Bodies that are sealed on the way in and not opened on each way out, or sealed for too much or
//! too little.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use obsession_core::{
    Create, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore, Update,
};

use crate::around::Inner;
use crate::bug::{Bug, Entry, mutant, run};
use crate::forged::{Rows, two_rows_whose_bodies_are_swapped_are_refused};
use crate::sealed::{Sealed, with};
use crate::sound::Answer;

type Sealing = Arc<Sealed<Inner>>;

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::around::<Sealing, ConflictStaysSealed>(),
        Entry::around::<Sealing, ListStaysSealed>(),
        Entry::around::<Sealing, ScanStaysSealed>(),
        Entry::around::<Sealing, SealedFor<SealedForItsDeadline>>(),
        Entry::around::<Sealing, SealedFor<SealedForNoRecord>>()
            .own(swapped::<SealedFor<SealedForNoRecord>>),
        Entry::around::<Sealing, DamageIsNoSession>().own(swapped::<DamageIsNoSession>),
    ]
}

fn swapped<B: Bug<Sealing> + Default>() {
    let rows = Rows::new(mutant::<Sealing, B>);
    run(two_rows_whose_bodies_are_swapped_are_refused(rows));
}

/// A load is what opens bodies, and a conflict is none.
#[derive(Debug, Default)]
struct ConflictStaysSealed;

#[async_trait]
impl Bug<Sealing> for ConflictStaysSealed {
    fn caught_by(&self) -> &'static str {
        "update_of_another_revision_is_a_conflict_with_the_current_record"
    }

    async fn update(&self, at: &Sealing, expected: Revision, record: &Record) -> Answer<Update> {
        at.store.update(expected, &at.cipher.seal(record)?).await
    }
}

/// A list is handed through.
#[derive(Debug, Default)]
struct ListStaysSealed;

#[async_trait]
impl Bug<Sealing> for ListStaysSealed {
    fn caught_by(&self) -> &'static str {
        "index_lists_the_sessions_of_a_subject_by_key"
    }

    async fn list(
        &self,
        at: &Sealing,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        at.store.list(subject, after, limit).await
    }
}

/// A scan is handed through.
#[derive(Debug, Default)]
struct ScanStaysSealed;

#[async_trait]
impl Bug<Sealing> for ScanStaysSealed {
    fn caught_by(&self) -> &'static str {
        "index_scans_by_deadline_from_a_cursor"
    }

    async fn scan(
        &self,
        at: &Sealing,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        at.store.scan(after, limit).await
    }
}

/// A row that does not open is skipped.
#[derive(Debug, Default)]
struct DamageIsNoSession;

#[async_trait]
impl Bug<Sealing> for DamageIsNoSession {
    fn caught_by(&self) -> &'static str {
        "two_rows_whose_bodies_are_swapped_are_refused"
    }

    async fn load(&self, at: &Sealing, key: &SessionKey) -> Answer<Option<Record>> {
        let found = at.store.load(key).await?;
        Ok(found.and_then(|record| at.cipher.open(&record).ok()))
    }
}

/// A body is bound to something else than its key and its revision.
#[derive(Debug, Default)]
struct SealedFor<T>(PhantomData<T>);

trait Tie: Debug + Default + Send + Sync + 'static {
    const CAUGHT_BY: &'static str;

    /// A key and a revision that stand for what a body is bound to.
    fn tie(record: &Record) -> (SessionKey, Revision);

    fn seal(at: &Sealing, record: &Record) -> Answer<Record> {
        let sealed = at.cipher.seal(&Self::tied(record))?;
        Ok(with(record, &sealed.body))
    }

    fn open(at: &Sealing, record: &Record) -> Answer<Record> {
        let opened = at.cipher.open(&Self::tied(record))?;
        Ok(with(record, &opened.body))
    }

    fn tied(record: &Record) -> Record {
        let (key, revision) = Self::tie(record);
        Record {
            key,
            revision,
            ..record.clone()
        }
    }
}

/// To nothing: "the key is in the other column."
#[derive(Debug, Default)]
struct SealedForNoRecord;

impl Tie for SealedForNoRecord {
    const CAUGHT_BY: &'static str = "two_rows_whose_bodies_are_swapped_are_refused";

    fn tie(_: &Record) -> (SessionKey, Revision) {
        let nobody = [b'-'; SessionKey::LEN];
        let nobody = SessionKey::try_from(&nobody[..]).unwrap();
        (nobody, Revision::from_u64(0))
    }
}

/// To the whole row as it was, which a touch changes.
#[derive(Debug, Default)]
struct SealedForItsDeadline;

impl Tie for SealedForItsDeadline {
    const CAUGHT_BY: &'static str = "touch_moves_the_deadline_and_nothing_else";

    fn tie(record: &Record) -> (SessionKey, Revision) {
        let deadline = record.expires_at.as_millis();
        (record.key, Revision::from_u64(deadline))
    }
}

#[async_trait]
impl<T: Tie> Bug<Sealing> for SealedFor<T> {
    fn caught_by(&self) -> &'static str {
        T::CAUGHT_BY
    }

    async fn load(&self, at: &Sealing, key: &SessionKey) -> Answer<Option<Record>> {
        let found = at.store.load(key).await?;
        found.map(|record| T::open(at, &record)).transpose()
    }

    async fn create(&self, at: &Sealing, record: &Record) -> Answer<Create> {
        at.store.create(&T::seal(at, record)?).await
    }

    async fn update(&self, at: &Sealing, expected: Revision, record: &Record) -> Answer<Update> {
        let sealed = T::seal(at, record)?;
        Ok(match at.store.update(expected, &sealed).await? {
            Update::Conflict(current) => Update::Conflict(T::open(at, &current)?),
            answer => answer,
        })
    }

    async fn list(
        &self,
        at: &Sealing,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let sealed = at.store.list(subject, after, limit).await?;
        sealed.iter().map(|record| T::open(at, record)).collect()
    }

    async fn scan(
        &self,
        at: &Sealing,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        let sealed = at.store.scan(after, limit).await?;
        sealed.iter().map(|record| T::open(at, record)).collect()
    }
}
