//! From Cookie lines to what the client presented.
//!
//! Bytes, not text: a neighbour that is not UTF-8 hides nothing. Nothing is decoded, unquoted or
//! folded, and only spaces and tabs are trimmed, so no other spelling of a name is taken for ours:
//! that is what makes the name's prefix worth something.

use http::HeaderValue;
use obsession_core::{Presented, SessionId};

use crate::cookie::trim;

/// Of all lines together. A browser sends at most a few kilobytes; beyond this nothing is read,
/// as what is further on could contradict what was found.
const MAX_BYTES: usize = 64 * 1024;

/// What the cookies of this name in `lines` (the values of all Cookie headers) present.
///
/// Two different values are one too many: with the prefix `__Host-` a browser can not hold two, so
/// somebody has planted one, and the order says nothing about which (RFC 6265bis 4.2.2).
pub(crate) fn read<'a>(
    name: &str,
    lines: impl Iterator<Item = &'a HeaderValue> + Clone,
) -> Presented {
    let bytes: usize = lines.clone().map(HeaderValue::len).sum();
    if bytes > MAX_BYTES {
        tracing::info!(bytes, "the cookies are too long to be read");
        return Presented::Malformed;
    }
    let mut found: Option<&[u8]> = None;
    for value in lines.flat_map(|line| values(name, line.as_bytes())) {
        match found {
            Some(other) if other != value => return Presented::Ambiguous,
            _ => found = Some(value),
        }
    }
    match found.map(SessionId::parse) {
        None => Presented::Nothing,
        Some(Ok(id)) => Presented::Id(id),
        Some(Err(_)) => Presented::Malformed,
    }
}

/// The values of all pairs of this name in one line. A pair without `=` has no name.
fn values<'a>(name: &str, line: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    line.split(|b| *b == b';').filter_map(move |pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        (trim(&pair[..equals]) == name.as_bytes()).then(|| trim(&pair[equals + 1..]))
    })
}
