//! What is in a record's body.
//!
//! # Format 1
//!
//! Times are milliseconds after the record's `created_at`. A *number* is an unsigned LEB128 of at
//! most 64 bits in its shortest form.
//!
//! | size | what |
//! |---|---|
//! | 1 | the format: 1 |
//! | 1 | flags: bit 0, a lifetime of its own follows; bit 1, only with bit 0, that lifetime is persistent; the others are 0 |
//! | 16 | the record's key, so that a record under a wrong key is noticed |
//! | 32 | `SHA-256(domain separator, realm, key, secret)` of the current token |
//! | number | when the current secret was made |
//! | number | when the client was last sent the token |
//! | number | when this body was written |
//! | number, number | with flag bit 0: idle timeout and absolute lifetime in milliseconds |
//! | | the entries, by strictly ascending name (bytewise) |
//! | 4 | CRC-32 of all of the above, little-endian |
//!
//! An entry is
//!
//! | size | what |
//! |---|---|
//! | number | the length *n* of the name |
//! | *n* | the name, UTF-8 |
//! | number | the length *m* of the value times 4, plus its format: 0 JSON, 1 postcard |
//! | *m* | the value |
//!
//! Everything else is an error: another format, unknown flags or value formats, another key, names
//! out of order, bytes left over, a wrong checksum.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::millis;
use crate::crc32::crc32;
use crate::id::TokenHash;
use crate::serializer::{Raw, Value};
use crate::{Lifetime, Record, Serializer, SessionKey, Timestamp};

const FORMAT: u8 = 1;
const OWN_LIFETIME: u8 = 1;
const PERSISTENT: u8 = 2;
const CHECKSUM: usize = 4;

/// All of a body but its entries.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) hash: TokenHash,
    pub(crate) cycled_at: Timestamp,
    pub(crate) issued_at: Timestamp,
    pub(crate) written_at: Timestamp,
    pub(crate) lifetime: Option<Lifetime>,
}

/// A body that has been checked from end to end.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) head: Head,
    bytes: Arc<[u8]>,
    entries: usize,
}

impl Body {
    /// Reads the body of `record`, or says what is wrong with it.
    pub(crate) fn decode(record: &Record) -> Result<Self, &'static str> {
        let end = record
            .body
            .len()
            .checked_sub(CHECKSUM)
            .ok_or("it is too short")?;
        let (content, checksum) = record.body.split_at(end);
        if content.first() != Some(&FORMAT) {
            return Err("it is of an unknown format");
        }
        if crc32(&[content]).to_le_bytes() != *checksum {
            return Err("its checksum is wrong");
        }
        let mut reader = Reader {
            bytes: content,
            at: 1,
        };
        let [flags] = reader.array()?;
        if flags & !(OWN_LIFETIME | PERSISTENT) != 0 || flags == PERSISTENT {
            return Err("it has unknown flags");
        }
        if reader.array::<{ SessionKey::LEN }>()? != *record.key.as_bytes() {
            return Err("it belongs to another key");
        }
        let hash = TokenHash::from_bytes(reader.array()?);
        let cycled_at = reader.time(record.created_at)?;
        let issued_at = reader.time(record.created_at)?;
        let written_at = reader.time(record.created_at)?;
        let lifetime = if flags & OWN_LIFETIME == 0 {
            None
        } else {
            let idle = Duration::from_millis(reader.number()?);
            let lifetime = Lifetime::new(idle, Duration::from_millis(reader.number()?));
            Some(if flags & PERSISTENT == 0 {
                lifetime
            } else {
                lifetime.persistent()
            })
        };
        let entries = reader.at;
        let mut previous = None;
        while let Some((name, ..)) = reader.entry()? {
            if previous.is_some_and(|previous| previous >= name) {
                return Err("its names are out of order");
            }
            if !name.is_ascii() && str::from_utf8(name).is_err() {
                return Err("a name is not UTF-8");
            }
            previous = Some(name);
        }
        let head = Head {
            hash,
            cycled_at,
            issued_at,
            written_at,
            lifetime,
        };
        Ok(Self {
            head,
            bytes: Arc::clone(&record.body),
            entries,
        })
    }

    /// The body of a record with this key and creation time; entries by strictly ascending name, which
    /// take about as much `room` in bytes.
    pub(crate) fn encode<'a>(
        key: &SessionKey,
        created_at: Timestamp,
        head: Head,
        entries: impl Iterator<Item = (&'a [u8], Raw<'a>)>,
        room: usize,
    ) -> Self {
        let mut bytes = Vec::with_capacity(room);
        bytes.push(FORMAT);
        bytes.push(match head.lifetime {
            None => 0,
            Some(own) if own.is_persistent() => OWN_LIFETIME | PERSISTENT,
            Some(_) => OWN_LIFETIME,
        });
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(head.hash.as_bytes());
        for time in [head.cycled_at, head.issued_at, head.written_at] {
            put_number(&mut bytes, millis(time.saturating_since(created_at)));
        }
        if let Some(own) = head.lifetime {
            put_number(&mut bytes, millis(own.idle()));
            put_number(&mut bytes, millis(own.absolute()));
        }
        let start = bytes.len();
        for (name, value) in entries {
            put_number(&mut bytes, name.len() as u64);
            bytes.extend_from_slice(name);
            let format = match value.format {
                Serializer::Json => 0,
                Serializer::Postcard => 1,
            };
            put_number(&mut bytes, (value.bytes.len() as u64) << 2 | format);
            bytes.extend_from_slice(value.bytes);
        }
        bytes.extend(crc32(&[&bytes]).to_le_bytes());
        Self {
            head,
            bytes: bytes.into(),
            entries: start,
        }
    }

    pub(crate) fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let mut reader = self.reader();
        while let Some((here, format, range)) = reader.entry().ok().flatten() {
            // The names are in order, so a look stops where the name would stand.
            if here >= name.as_bytes() {
                return (here == name.as_bytes()).then(|| Value::part(format, &self.bytes, range));
            }
        }
        None
    }

    /// The entries by ascending name, which is UTF-8.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], Raw<'_>)> {
        let mut reader = self.reader();
        // `decode` has walked over them once without an error.
        std::iter::from_fn(move || reader.entry().ok().flatten()).map(|(name, format, range)| {
            let bytes = self.bytes.get(range).unwrap_or_default();
            (name, Raw { format, bytes })
        })
    }

    fn reader(&self) -> Reader<'_> {
        let end = self.bytes.len().saturating_sub(CHECKSUM);
        Reader {
            bytes: self.bytes.get(..end).unwrap_or_default(),
            at: self.entries,
        }
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    #[allow(clippy::cast_possible_truncation, reason = "seven bits are left")]
    bytes.push(number as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Entry<'a> = (&'a [u8], Serializer, std::ops::Range<usize>);

impl<'a> Reader<'a> {
    fn entry(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let length = self.number()?;
        let name = self.slice(length)?;
        let name = self.bytes.get(name).unwrap_or_default();
        let header = self.number()?;
        let format = match header & 3 {
            0 => Serializer::Json,
            1 => Serializer::Postcard,
            _ => return Err("a value is of an unknown format"),
        };
        Ok(Some((name, format, self.slice(header >> 2)?)))
    }

    fn time(&mut self, since: Timestamp) -> Result<Timestamp, &'static str> {
        Ok(since.saturating_add(Duration::from_millis(self.number()?)))
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        // As nearly all are.
        if let Some(byte @ ..0x80) = self.bytes.get(self.at) {
            self.at += 1;
            return Ok((*byte).into());
        }
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err("a number is not in its shortest form");
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number is not in its shortest form")
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = *rest.first_chunk().ok_or("it is cut short")?;
        self.at += N;
        Ok(array)
    }

    fn slice(&mut self, length: u64) -> Result<std::ops::Range<usize>, &'static str> {
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length));
        let end = end
            .filter(|end| *end <= self.bytes.len())
            .ok_or("it is cut short")?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }
}

#[cfg(test)]
mod tests;
