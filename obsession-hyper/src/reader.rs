//! From the lines of a request to what the client presented.
//!
//! Bytes, not text: a neighbour that is not UTF-8 hides nothing. Nothing is decoded, unquoted or
//! folded, and only spaces and tabs are trimmed, so no other spelling of a name is taken for ours:
//! that is what makes the name's prefix worth something.

use std::mem;

use http::HeaderValue;
use memchr::memchr_iter;
use obsession_core::{Presented, SessionId};

use crate::cookie::{trim, trim_start};
use crate::transport::Way;

/// Of all lines together. A browser sends at most a few kilobytes; beyond this nothing is read,
/// as what is further on could contradict what was found.
const MAX_BYTES: usize = 64 * 1024;
/// Of cookies in all lines. Browsers keep fewer than 200 for a site.
const MAX_PAIRS: usize = 1024;

/// What is presented by `way` in `lines`, the values of all headers of the name that it reads.
///
/// Two different values are one too many, unless the cookie allows some: with the prefix `__Host-` a
/// browser can not hold two, so somebody has planted one, and the order says nothing about which
/// (RFC 6265bis 4.2.2).
pub(crate) fn read<'a>(
    way: &Way,
    lines: impl Iterator<Item = &'a HeaderValue> + Clone,
) -> Presented {
    let bytes: usize = lines.clone().map(HeaderValue::len).sum();
    if bytes > MAX_BYTES {
        tracing::info!(bytes, "the lines with session ids are too long to be read");
        return Presented::Malformed;
    }
    let lines = lines.map(HeaderValue::as_bytes);
    match way {
        Way::Cookie(cookie) => one_of(cookies(cookie.name(), lines), cookie.lookups()),
        Way::Bearer => one_of(lines.filter_map(bearer).map(Ok), 0),
        Way::Header(_) => one_of(lines.map(trim).map(Ok), 0),
        // It reads by itself.
        Way::Custom(_) => Presented::Nothing,
    }
}

struct TooMany;

/// The one id in `values`, or the first `lookups` of several different ones.
fn one_of<'a>(
    values: impl Iterator<Item = Result<&'a [u8], TooMany>>,
    lookups: usize,
) -> Presented {
    let mut found: Option<&[u8]> = None;
    let mut several: Option<Vec<SessionId>> = None;
    for value in values {
        let Ok(value) = value else {
            tracing::info!("the cookies are too many to be read");
            return Presented::Malformed;
        };
        let first = *found.get_or_insert(value);
        if first == value {
            continue;
        }
        if several.is_none() {
            tracing::warn!(lookups, "different session ids were presented");
        }
        if lookups == 0 {
            return Presented::Ambiguous;
        }
        let several = several.get_or_insert_with(|| SessionId::parse(first).into_iter().collect());
        if let (true, Ok(id)) = (several.len() < lookups, SessionId::parse(value))
            && !several.contains(&id)
        {
            several.push(id);
        }
    }
    match (several, found.map(SessionId::parse)) {
        (Some(ids), _) if ids.is_empty() => Presented::Malformed,
        (Some(ids), _) => Presented::Several(ids),
        (None, None) => Presented::Nothing,
        (None, Some(Ok(id))) => Presented::Id(id),
        (None, Some(Err(_))) => Presented::Malformed,
    }
}

/// The values of all pairs of this name. A pair without `=` has no name.
fn cookies<'a>(
    name: &str,
    lines: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Result<&'a [u8], TooMany>> {
    let pairs = lines.flat_map(pairs).enumerate();
    pairs.filter_map(move |(n, pair)| {
        if n >= MAX_PAIRS {
            return Some(Err(TooMany));
        }
        // A name is a token, which has no `=` and no space in it.
        let rest = trim_start(pair).strip_prefix(name.as_bytes())?;
        let value = trim_start(rest).strip_prefix(b"=")?;
        Some(Ok(trim(value)))
    })
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b';', line).chain([line.len()]);
    let mut from = 0;
    ends.map(move |end| &line[mem::replace(&mut from, end + 1)..end])
}

/// The token of a line of this scheme, whose name has no case (RFC 9110 11.1).
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = trim(line).split_at_checked("Bearer".len())?;
    let ours = scheme.eq_ignore_ascii_case(b"Bearer");
    (ours && token.first().is_none_or(|b| *b == b' ')).then(|| trim(token))
}
