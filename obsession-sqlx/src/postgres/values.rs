//! What goes into the statements, beside them or in their text.

use std::fmt::Write as _;

use sqlx::postgres::PgArguments;

use crate::driver;

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Number(Option<i64>),
    Text(&'a str),
    Numbers(Vec<i64>),
    Texts(Vec<Option<&'a str>>),
    Bytes(Vec<&'a [u8]>),
}

/// The parameters as they go beside a statement that has been prepared.
pub(super) fn bound(values: &[Value<'_>]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for value in values {
        let arguments = &mut arguments;
        match value {
            Value::Number(number) => driver::bind::<sqlx::Postgres, _>(arguments, *number),
            Value::Text(text) => driver::bind::<sqlx::Postgres, _>(arguments, *text),
            Value::Numbers(numbers) => driver::bind::<sqlx::Postgres, _>(arguments, &numbers[..]),
            Value::Texts(texts) => driver::bind::<sqlx::Postgres, _>(arguments, &texts[..]),
            Value::Bytes(bytes) => driver::bind::<sqlx::Postgres, _>(arguments, &bytes[..]),
        }?;
    }
    Ok(arguments)
}

/// The statement with its parameters in its text.
///
/// Text and bytes are in hexadecimal, so nothing in them is ever read as SQL, whatever the settings of
/// the server.
pub(super) fn written(text: &str, values: &[Value<'_>], out: &mut String) {
    let mut parts = text.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        let value = number
            .parse::<usize>()
            .ok()
            .and_then(|n| values.get(n.wrapping_sub(1)));
        if let Some(value) = value {
            literal(value, out);
        } else {
            // It is no parameter.
            out.push('$');
            out.push_str(number);
        }
        out.push_str(rest);
    }
}

fn literal(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Number(Some(number)) => integer(*number, out),
        Value::Number(None) => out.push_str("NULL"),
        Value::Text(text) => string(text, out),
        Value::Numbers(numbers) => {
            array(numbers, "bigint", out, |number, out| integer(*number, out));
        }
        Value::Texts(texts) => array(texts, "text", out, |text, out| match text {
            Some(text) => string(text, out),
            None => out.push_str("NULL"),
        }),
        Value::Bytes(all) => array(all, "bytea", out, |bytes, out| hexadecimal(bytes, out)),
    }
}

fn array<T>(values: &[T], kind: &str, out: &mut String, one: impl Fn(&T, &mut String)) {
    out.push_str("ARRAY[");
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        one(value, out);
    }
    out.push_str("]::");
    out.push_str(kind);
    out.push_str("[]");
}

/// In quotes, since the least one is no number to Postgres but the negative of one that is too large.
fn integer(number: i64, out: &mut String) {
    // Writing to a string does not fail.
    write!(out, "'{number}'::bigint").unwrap_or_default();
}

fn string(text: &str, out: &mut String) {
    out.push_str("convert_from(");
    hexadecimal(text.as_bytes(), out);
    out.push_str(",'UTF8')");
}

fn hexadecimal(bytes: &[u8], out: &mut String) {
    out.push_str("decode('");
    for byte in bytes {
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
    out.push_str("','hex')");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_value_is_sql() {
        let mut out = String::new();
        let values = [
            Value::Number(None),
            Value::Text("'; DROP --\\"),
            Value::Texts(vec![Some("$1"), None]),
            Value::Bytes(vec![&[0, 0xff]]),
            Value::Numbers(vec![i64::MIN]),
        ];
        written("a $1 b $2 c $3::text[] $4 $5 DO $$ $9", &values, &mut out);
        assert_eq!(
            out,
            "a NULL b convert_from(decode('273b2044524f50202d2d5c','hex'),'UTF8') \
             c ARRAY[convert_from(decode('2431','hex'),'UTF8'),NULL]::text[]::text[] \
             ARRAY[decode('00ff','hex')]::bytea[] ARRAY['-9223372036854775808'::bigint]::bigint[] \
             DO $$ $9"
        );
    }
}
