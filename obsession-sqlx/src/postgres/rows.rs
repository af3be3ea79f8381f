//! Writes and keys as parameters, and rows as answers.

use std::collections::HashSet;

use obsession_core::{Record, SessionKey};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{Row, ValueRef};

use super::values::Value;
use crate::dialect::{Acted, At, Seen};
use crate::driver::{self, millis, number};
use crate::write::{Kind, Write};

/// The parameters of writes of one kind.
pub(super) fn values_of<'a>(kind: Kind, writes: &[&'a Write], at: At) -> Vec<Value<'a>> {
    let mut values = vec![time(at), texts_of(writes.iter().map(|write| write.key()))];
    let records = || writes.iter().filter_map(|write| write.record());
    let expected = writes.iter().filter_map(|write| match write {
        Write::Update { expected, .. } | Write::Touch { expected, .. } => Some(number(*expected)),
        Write::Create(_) | Write::Delete(_) => None,
    });
    let expected = Value::Numbers(expected.collect());
    match kind {
        Kind::Create | Kind::Update => {
            let numbers = |of: fn(&Record) -> i64| Value::Numbers(records().map(of).collect());
            values.push(numbers(|record| number(record.revision)));
            values.push(Value::Texts(
                records().map(|r| r.subject.as_deref()).collect(),
            ));
            values.push(numbers(|record| millis(record.created_at)));
            values.push(numbers(|record| millis(record.expires_at)));
            values.push(Value::Bytes(
                records().map(|record| &record.body[..]).collect(),
            ));
            if kind == Kind::Update {
                values.push(expected);
            }
        }
        Kind::Touch => {
            let deadlines = writes.iter().filter_map(|write| match write {
                Write::Touch { expires_at, .. } => Some(millis(*expires_at)),
                _ => None,
            });
            values.extend([expected, Value::Numbers(deadlines.collect())]);
        }
        Kind::Delete => {}
    }
    values
}

/// What came of creates: the keys of those that were made are in the answer.
pub(super) fn created(writes: &[&Write], rows: &[PgRow]) -> Result<Vec<Acted>, sqlx::Error> {
    let keys = rows.iter().map(driver::key::<sqlx::Postgres>);
    let keys = keys.collect::<Result<HashSet<_>, _>>()?;
    let acted = |write: &&Write| {
        if keys.contains(write.key()) {
            Acted::Done
        } else {
            Acted::Missed
        }
    };
    Ok(writes.iter().map(acted).collect())
}

/// What came of updates or touches: a row for each, with its number and whether it was made.
pub(super) fn written(count: usize, rows: &[PgRow]) -> Result<Vec<Acted>, sqlx::Error> {
    let mut acted: Vec<_> = (0..count).map(|_| Acted::Missed).collect();
    for row in rows {
        let answer = if driver::flag::<sqlx::Postgres>(row, 8)? {
            Acted::Done
        } else if row.try_get_raw(0)?.is_null() {
            Acted::Met(None)
        } else {
            Acted::Met(Some(seen(row)?))
        };
        *place(&mut acted, row.try_get(7)?)? = answer;
    }
    Ok(acted)
}

/// What came of deletes: a row for each that there was, with whether it was live.
pub(super) fn deleted(count: usize, rows: &[PgRow]) -> Result<Vec<Acted>, sqlx::Error> {
    let mut acted: Vec<_> = (0..count).map(|_| Acted::Met(None)).collect();
    for row in rows {
        if driver::flag::<sqlx::Postgres>(row, 1)? {
            *place(&mut acted, row.try_get(0)?)? = Acted::Done;
        }
    }
    Ok(acted)
}

/// Where the answer with this number, from 1 on, belongs.
fn place(acted: &mut [Acted], number: i64) -> Result<&mut Acted, sqlx::Error> {
    let place = usize::try_from(number - 1).ok();
    place
        .and_then(|place| acted.get_mut(place))
        .ok_or(sqlx::Error::RowNotFound)
}

pub(super) fn seen(row: &PgRow) -> Result<Seen, sqlx::Error> {
    // In the answers of statements that were not prepared, bytes are written in hexadecimal.
    let body = match row.try_get_raw(5)?.format() {
        PgValueFormat::Binary => row.try_get::<&[u8], _>(5)?.into(),
        PgValueFormat::Text => row.try_get::<Vec<u8>, _>(5)?.into(),
    };
    let key = driver::key::<sqlx::Postgres>(row)?;
    driver::seen_with::<sqlx::Postgres>(row, key, row.try_get(2)?, body)
}

pub(super) fn time(at: At) -> Value<'static> {
    Value::Number(at.map(millis))
}

pub(super) fn texts_of<'a>(keys: impl Iterator<Item = &'a SessionKey>) -> Value<'a> {
    Value::Texts(keys.map(|key| Some(key.as_str())).collect())
}

pub(super) fn limited(limit: usize) -> Value<'static> {
    Value::Number(Some(i64::try_from(limit).unwrap_or(i64::MAX)))
}
