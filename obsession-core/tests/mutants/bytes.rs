//! What does not come back as it was given.

use std::sync::Arc;

use async_trait::async_trait;
use obsession_core::{Create, Record, Revision, SessionKey, SessionStore, Timestamp, Update};

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<Changed<TextOnlyBodies>>(),
        Entry::of::<Changed<CutsAt64KiB>>(),
        Entry::of::<Changed<CutsAMegabyte>>(),
        Entry::of::<Changed<PadsBodies>>(),
        Entry::of::<Changed<EmptySubjectIsNone>>(),
        Entry::of::<Changed<TrimsSubjects>>(),
        Entry::of::<Changed<NormalisesSubjects>>(),
        Entry::of::<Changed<CutsSubjects>>(),
        Entry::of::<Changed<BasicPlaneOnly>>(),
        Entry::of::<Changed<NulEndsSubjects>>(),
        Entry::of::<Changed<RevisionIsADouble>>(),
        Entry::of::<Changed<RevisionIsSigned>>(),
        Entry::of::<Changed<DeadlineInSeconds>>(),
        Entry::of::<Changed<CreatedNow>>(),
        Entry::of::<Changed<CreatedIn32Bits>>(),
        Entry::of::<Changed<FarDeadlineIsTooFar>>(),
        Entry::of::<KeysFoldCase>(),
        Entry::of::<KeysAreCutShort>(),
        Entry::of::<BodiesAreSharedByRevision>(),
    ]
}

/// What is stored instead of a record.
pub(crate) trait Change: std::fmt::Debug + Default + Send + Sync + 'static {
    const CAUGHT_BY: &'static str;

    fn changed(record: Record, now: Timestamp) -> Record;
}

/// A store that keeps every record in another form than it was given.
#[derive(Debug, Default)]
pub(crate) struct Changed<C>(C);

#[async_trait]
impl<C: Change> Bug for Changed<C> {
    fn caught_by(&self) -> &'static str {
        C::CAUGHT_BY
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        at.create(&C::changed(record.clone(), at.now())).await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let record = C::changed(record.clone(), at.now());
        at.update(expected, &record).await
    }
}

/// A column of text, where what is no UTF-8 is replaced.
#[derive(Debug, Default)]
pub(crate) struct TextOnlyBodies;

impl Change for TextOnlyBodies {
    const CAUGHT_BY: &'static str = "load_gives_back_every_byte";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        record.body = String::from_utf8_lossy(&record.body).as_bytes().into();
        record
    }
}

/// A length of 16 bits.
#[derive(Debug, Default)]
pub(crate) struct CutsAt64KiB;

impl Change for CutsAt64KiB {
    const CAUGHT_BY: &'static str = "load_gives_back_a_body_of_every_length";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        let length = record.body.len().min(65_535);
        record.body = record.body[..length].into();
        record
    }
}

/// A packet of at most half a megabyte, cut without a word.
#[derive(Debug, Default)]
pub(crate) struct CutsAMegabyte;

impl Change for CutsAMegabyte {
    const CAUGHT_BY: &'static str = "load_gives_back_a_large_body";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        let length = record.body.len().min(1 << 19);
        record.body = record.body[..length].into();
        record
    }
}

/// A column of fixed width, filled with zeros.
#[derive(Debug, Default)]
pub(crate) struct PadsBodies;

impl Change for PadsBodies {
    const CAUGHT_BY: &'static str = "load_gives_back_every_byte";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        let mut body = record.body.to_vec();
        body.resize(body.len().max(16), 0);
        record.body = body.into();
        record
    }
}

fn with_subject(mut record: Record, change: impl FnOnce(&str) -> Option<String>) -> Record {
    record.subject = record
        .subject
        .and_then(|subject| change(&subject))
        .map(Arc::from);
    record
}

/// An empty text is no text.
#[derive(Debug, Default)]
pub(crate) struct EmptySubjectIsNone;

impl Change for EmptySubjectIsNone {
    const CAUGHT_BY: &'static str = "load_gives_back_odd_subjects";

    fn changed(record: Record, _now: Timestamp) -> Record {
        with_subject(record, |subject| {
            (!subject.is_empty()).then(|| subject.to_owned())
        })
    }
}

/// A column that drops trailing spaces.
#[derive(Debug, Default)]
pub(crate) struct TrimsSubjects;

impl Change for TrimsSubjects {
    const CAUGHT_BY: &'static str = "load_gives_back_odd_subjects";

    fn changed(record: Record, _now: Timestamp) -> Record {
        with_subject(record, |subject| Some(subject.trim_end().to_owned()))
    }
}

/// Text is brought into its composed form.
#[derive(Debug, Default)]
pub(crate) struct NormalisesSubjects;

impl Change for NormalisesSubjects {
    const CAUGHT_BY: &'static str = "load_gives_back_odd_subjects";

    fn changed(record: Record, _now: Timestamp) -> Record {
        with_subject(record, |subject| Some(subject.replace("e\u{301}", "é")))
    }
}

/// A column of 255 characters.
#[derive(Debug, Default)]
pub(crate) struct CutsSubjects;

impl Change for CutsSubjects {
    const CAUGHT_BY: &'static str = "load_gives_back_text_of_every_plane";

    fn changed(record: Record, _now: Timestamp) -> Record {
        with_subject(record, |subject| Some(subject.chars().take(255).collect()))
    }
}

/// A character set of three bytes a character.
#[derive(Debug, Default)]
pub(crate) struct BasicPlaneOnly;

impl Change for BasicPlaneOnly {
    const CAUGHT_BY: &'static str = "load_gives_back_text_of_every_plane";

    fn changed(record: Record, _now: Timestamp) -> Record {
        let basic = |letter| if letter > '\u{ffff}' { '?' } else { letter };
        with_subject(record, |subject| Some(subject.chars().map(basic).collect()))
    }
}

/// A text that ends at a NUL.
#[derive(Debug, Default)]
pub(crate) struct NulEndsSubjects;

impl Change for NulEndsSubjects {
    const CAUGHT_BY: &'static str = "load_of_a_subject_with_a_nul_is_whole_or_refused";

    fn changed(record: Record, _now: Timestamp) -> Record {
        with_subject(record, |subject| {
            Some(subject.split('\0').next().unwrap_or_default().to_owned())
        })
    }
}

/// A script language whose numbers are doubles.
#[derive(Debug, Default)]
pub(crate) struct RevisionIsADouble;

impl Change for RevisionIsADouble {
    const CAUGHT_BY: &'static str = "load_gives_back_every_kind_of_revision";

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "this is the bug"
    )]
    fn changed(mut record: Record, _now: Timestamp) -> Record {
        record.revision = Revision::from_u64(record.revision.as_u64() as f64 as u64);
        record
    }
}

/// A column of signed numbers, to which others are cut.
#[derive(Debug, Default)]
pub(crate) struct RevisionIsSigned;

impl Change for RevisionIsSigned {
    const CAUGHT_BY: &'static str = "load_gives_back_every_kind_of_revision";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        record.revision = Revision::from_u64(record.revision.as_u64().min(u64::MAX / 2));
        record
    }
}

/// A time to live in seconds.
#[derive(Debug, Default)]
pub(crate) struct DeadlineInSeconds;

impl Change for DeadlineInSeconds {
    const CAUGHT_BY: &'static str = "load_before_the_deadline_but_not_at_it";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        let seconds = record.expires_at.as_millis().div_ceil(1000);
        record.expires_at = Timestamp::from_millis(seconds.saturating_mul(1000));
        record
    }
}

/// The database says when a row began.
#[derive(Debug, Default)]
pub(crate) struct CreatedNow;

impl Change for CreatedNow {
    const CAUGHT_BY: &'static str = "load_gives_back_every_field";

    fn changed(mut record: Record, now: Timestamp) -> Record {
        record.created_at = now;
        record
    }
}

/// Seconds in 32 bits with a sign.
#[derive(Debug, Default)]
pub(crate) struct CreatedIn32Bits;

impl Change for CreatedIn32Bits {
    const CAUGHT_BY: &'static str = "load_gives_back_every_kind_of_time";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        let most = u64::from(i32::MAX.unsigned_abs()) * 1000;
        record.created_at = record.created_at.min(Timestamp::from_millis(most));
        record
    }
}

/// A date that ends with the year 2262, as nanoseconds in 64 bits do.
#[derive(Debug, Default)]
pub(crate) struct FarDeadlineIsTooFar;

impl Change for FarDeadlineIsTooFar {
    const CAUGHT_BY: &'static str = "load_of_a_far_deadline";

    fn changed(mut record: Record, _now: Timestamp) -> Record {
        let most = Timestamp::from_millis(i64::MAX.unsigned_abs() / 1_000_000);
        record.expires_at = record.expires_at.min(most);
        record
    }
}

/// A collation in which A is a.
#[derive(Debug, Default)]
pub(crate) struct KeysFoldCase;

#[async_trait]
impl Bug for KeysFoldCase {
    fn caught_by(&self) -> &'static str {
        "load_keeps_keys_apart_that_differ_in_one_character"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let mut all = at.all_live()?.into_iter();
        Ok(all.find(|record| record.key.as_str().eq_ignore_ascii_case(key.as_str())))
    }
}

/// An index over the first characters of the key alone.
#[derive(Debug, Default)]
pub(crate) struct KeysAreCutShort;

#[async_trait]
impl Bug for KeysAreCutShort {
    fn caught_by(&self) -> &'static str {
        "load_keeps_keys_apart_that_differ_in_one_character"
    }

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let mut all = at.all_live()?.into_iter();
        Ok(all.find(|record| record.key.as_bytes()[..15] == key.as_bytes()[..15]))
    }
}

/// Bodies are kept apart, by revision: equal revisions, one body.
#[derive(Debug, Default)]
pub(crate) struct BodiesAreSharedByRevision;

#[async_trait]
impl Bug for BodiesAreSharedByRevision {
    fn caught_by(&self) -> &'static str {
        "load_keeps_apart_what_differs_in_the_key_alone"
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        let answer = at.update(expected, record).await?;
        if answer == Update::Updated {
            for mut other in at.all_live()? {
                if other.revision == expected {
                    other.body = record.body.clone();
                    at.put(&other)?;
                }
            }
        }
        Ok(answer)
    }
}
