//! sqlx, as much of it as is the same for all databases.

use std::sync::Arc;

use obsession_core::{Effect, Record, RecordBody, Revision, SessionKey, Timestamp};
use sqlx::error::BoxDynError;
use sqlx::{
    Arguments, AssertSqlSafe, ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Row,
    Type,
};

use crate::FailureKind;
use crate::dialect::{Damaged, Dialect, Seen, State};
use crate::error::Diagnosis;

/// A statement whose text is made of checked names and nothing else from outside.
pub(crate) type Text = Arc<str>;

/// Runs a statement to its end, and gives its rows.
///
/// To its end also where one row is enough: that of a write is its commit, which can fail.
pub(crate) async fn rows<DB>(
    connection: &mut DB::Connection,
    text: &Text,
    arguments: DB::Arguments,
) -> Result<Vec<DB::Row>, sqlx::Error>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let text = AssertSqlSafe(Arc::clone(text));
    sqlx::query_with(text, arguments)
        .fetch_all(connection)
        .await
}

/// Binds a value. What can not be encoded is an error of the statement, before anything is sent.
pub(crate) fn bind<'q, DB, T>(arguments: &mut DB::Arguments, value: T) -> Result<(), sqlx::Error>
where
    DB: Database,
    T: Encode<'q, DB> + Type<DB>,
{
    arguments.add(value).map_err(sqlx::Error::Encode)
}

/// A row of the columns key, revision, subject, `created_at`, `expires_at`, body and state.
pub(crate) fn seen<'r, DB>(row: &'r DB::Row) -> Result<Seen, sqlx::Error>
where
    DB: Database,
    usize: ColumnIndex<DB::Row>,
    &'r str: Decode<'r, DB> + Type<DB>,
    Option<&'r str>: Decode<'r, DB> + Type<DB>,
    &'r [u8]: Decode<'r, DB> + Type<DB>,
    i64: Decode<'r, DB> + Type<DB>,
{
    let body: &[u8] = row.try_get(5)?;
    seen_with::<DB>(row, key::<DB>(row)?, row.try_get(2)?, body.into())
}

/// The same for a database whose texts or bytes are read in a way of its own.
pub(crate) fn seen_with<'r, DB>(
    row: &'r DB::Row,
    key: SessionKey,
    subject: Option<&str>,
    body: RecordBody,
) -> Result<Seen, sqlx::Error>
where
    DB: Database,
    usize: ColumnIndex<DB::Row>,
    i64: Decode<'r, DB> + Type<DB>,
{
    let state: i64 = row.try_get(6)?;
    let (created_at, expires_at): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
    let record = match (time(created_at), time(expires_at)) {
        (Some(created_at), Some(expires_at)) => Ok(Record {
            key,
            revision: revision(row.try_get(1)?),
            subject: subject.map(Arc::from),
            created_at,
            expires_at,
            body,
        }),
        _ => Err(Damaged),
    };
    let state = match state {
        2 => State::Live,
        1 => State::JustExpired,
        _ => State::Expired,
    };
    Ok(Seen { key, record, state })
}

/// The key that a row begins with.
pub(crate) fn key<'r, DB>(row: &'r DB::Row) -> Result<SessionKey, sqlx::Error>
where
    DB: Database,
    usize: ColumnIndex<DB::Row>,
    &'r str: Decode<'r, DB> + Type<DB>,
{
    let key: &str = row.try_get(0)?;
    key.parse().map_err(|error| decode(Box::new(error)))
}

/// A column that is 0 or 1.
pub(crate) fn flag<'r, DB>(row: &'r DB::Row, column: usize) -> Result<bool, sqlx::Error>
where
    DB: Database,
    usize: ColumnIndex<DB::Row>,
    i64: Decode<'r, DB> + Type<DB>,
{
    Ok(row.try_get::<i64, _>(column)? != 0)
}

/// The number that is all of an answer.
pub(crate) fn number_of<'r, DB>(rows: &'r [DB::Row]) -> Result<u64, sqlx::Error>
where
    DB: Database,
    usize: ColumnIndex<DB::Row>,
    i64: Decode<'r, DB> + Type<DB>,
{
    let [row] = rows else {
        return Err(sqlx::Error::RowNotFound);
    };
    let number: i64 = row.try_get(0)?;
    u64::try_from(number).map_err(|error| decode(Box::new(error)))
}

/// The rows that are records. One that is not even under a key is left out.
pub(crate) fn all_seen<DB: Database>(
    rows: &[DB::Row],
    seen: impl Fn(&DB::Row) -> Result<Seen, sqlx::Error>,
) -> Vec<Seen> {
    let read = |row| {
        seen(row)
            .inspect_err(|error| tracing::warn!(%error, "a damaged row was left out"))
            .ok()
    };
    rows.iter().filter_map(read).collect()
}

/// An instant as it is stored. One beyond the range, 292 million years from now, is its end.
pub(crate) fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

/// A revision as it is stored: the same 64 bits.
pub(crate) fn number(revision: Revision) -> i64 {
    revision.as_u64().cast_signed()
}

pub(crate) fn revision(number: i64) -> Revision {
    Revision::from_u64(number.cast_unsigned())
}

fn time(millis: i64) -> Option<Timestamp> {
    match u64::try_from(millis) {
        Ok(_) if millis == i64::MAX => Some(Timestamp::MAX),
        Ok(millis) => Some(Timestamp::from_millis(millis)),
        Err(_) => None,
    }
}

/// What an error means for the statement that it ended.
pub(crate) fn diagnose<D: Dialect>(dialect: &D, error: &sqlx::Error) -> Diagnosis {
    match error {
        sqlx::Error::Database(error) => dialect.diagnose(error.as_ref()),
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => Diagnosis::rejected(),
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => {
            Diagnosis::not_applied(FailureKind::Unreachable)
        }
        sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::TypeNotFound { .. } => Diagnosis {
            effect: Effect::Unknown,
            ..Diagnosis::not_applied(FailureKind::Schema)
        },
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => Diagnosis::lost(FailureKind::Dropped),
        // The protocol is out of step: nothing that comes on this connection is to be believed.
        _ => Diagnosis::lost(FailureKind::Unexpected),
    }
}

pub(crate) fn decode(error: BoxDynError) -> sqlx::Error {
    sqlx::Error::Decode(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        for number in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63] {
            let stored = super::number(Revision::from_u64(number));
            assert_eq!(revision(stored).as_u64(), number);
        }
        for at in [0, 1, 253_402_300_799_999, u64::MAX, i64::MAX as u64 - 1] {
            let stored = millis(Timestamp::from_millis(at));
            assert_eq!(time(stored), Some(Timestamp::from_millis(at)));
        }
        // What lies between has no place of its own: it is the end of time.
        assert_eq!(
            time(millis(Timestamp::from_millis(1 << 63))),
            Some(Timestamp::MAX)
        );
        assert_eq!(time(-1), None);
    }
}
