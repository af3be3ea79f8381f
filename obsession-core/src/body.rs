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

use std::cmp::Ordering;
use std::ops::Range;
use std::time::Duration;

use crate::clock::millis;
use crate::id::TokenHash;
use crate::scratch;
use crate::serializer::{Raw, Value};
use crate::{Lifetime, Record, RecordBody, Serializer, SessionKey, Timestamp};

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

/// A body that has been checked from end to end, or written here.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) head: Head,
    bytes: RecordBody,
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
        if !record.body.is_own() && crc32fast::hash(content).to_le_bytes() != *checksum {
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
        if !record.body.is_own() {
            reader.check_entries()?;
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
            bytes: record.body.clone(),
            entries,
        })
    }

    /// The body of a record with this key and creation time, whose entries take about as much `room`
    /// in bytes.
    pub(crate) fn encode(
        key: &SessionKey,
        created_at: Timestamp,
        head: Head,
        room: usize,
        write: impl FnOnce(&mut Writer),
    ) -> Self {
        let mut bytes = scratch::take(room);
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
        let entries = bytes.len();
        let mut writer = Writer(bytes);
        write(&mut writer);
        let mut bytes = writer.0;
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        let body = Self {
            head,
            bytes: RecordBody::own(&bytes),
            entries,
        };
        scratch::give_back(bytes);
        body
    }

    pub(crate) fn bytes(&self) -> &RecordBody {
        &self.bytes
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let (_, found) = self.walk().up_to(name.as_bytes());
        found.map(|(format, range)| Value::part(format, self.bytes.shared(), range))
    }

    /// The entries by ascending name, which is UTF-8.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], Raw<'_>)> {
        let Walk(mut reader) = self.walk();
        std::iter::from_fn(move || reader.entry().ok().flatten())
            .map(|(name, format, range)| (name, self.raw(format, range)))
    }

    pub(crate) fn raw(&self, format: Serializer, range: Range<usize>) -> Raw<'_> {
        let bytes = self.bytes.get(range).unwrap_or_default();
        Raw { format, bytes }
    }

    pub(crate) fn walk(&self) -> Walk<'_> {
        let end = self.bytes.len().saturating_sub(CHECKSUM);
        Walk(Reader {
            bytes: self.bytes.get(..end).unwrap_or_default(),
            at: self.entries,
        })
    }
}

/// Adds entries to a body, by ascending name.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn entry(&mut self, name: &[u8], value: Raw<'_>) {
        put_number(&mut self.0, name.len() as u64);
        self.0.extend_from_slice(name);
        let format = match value.format {
            Serializer::Json => 0,
            Serializer::Postcard => 1,
        };
        put_number(&mut self.0, (value.bytes.len() as u64) << 2 | format);
        self.0.extend_from_slice(value.bytes);
    }

    /// Entries as they stand in another body.
    pub(crate) fn run(&mut self, entries: &[u8]) {
        self.0.extend_from_slice(entries);
    }
}

/// A way through the entries of a body from name to name, which are asked for in ascending order.
pub(crate) struct Walk<'a>(Reader<'a>);

impl<'a> Walk<'a> {
    /// Walks up to `name` and over it if it is there: the entries before it, and its format and place.
    pub(crate) fn up_to(&mut self, name: &[u8]) -> (&'a [u8], Option<(Serializer, Range<usize>)>) {
        let Self(reader) = self;
        let from = reader.at;
        loop {
            let here = reader.at;
            let before = || reader.bytes.get(from..here).unwrap_or_default();
            // All entries were read once without an error.
            let Some((found, format, range)) = reader.entry().ok().flatten() else {
                reader.at = here;
                return (before(), None);
            };
            match found.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return (before(), Some((format, range))),
                Ordering::Greater => {
                    reader.at = here;
                    return (before(), None);
                }
            }
        }
    }

    /// The entries that are left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0.bytes.get(self.0.at..).unwrap_or_default()
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

type Entry<'a> = (&'a [u8], Serializer, Range<usize>);

impl<'a> Reader<'a> {
    /// Reads all entries that are left.
    fn check_entries(&mut self) -> Result<(), &'static str> {
        let mut previous = None;
        while let Some((name, ..)) = self.entry()? {
            if previous.is_some_and(|previous| previous >= name) {
                return Err("its names are out of order");
            }
            if str::from_utf8(name).is_err() {
                return Err("a name is not UTF-8");
            }
            previous = Some(name);
        }
        Ok(())
    }

    #[inline]
    fn entry(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
        if let Some(usual) = self.usual_entry() {
            return Ok(Some(usual));
        }
        self.any_entry()
    }

    /// An entry with lengths of one byte, or of two for its value, as nearly all have. Nothing is read if it
    /// is not one.
    #[inline]
    fn usual_entry(&mut self) -> Option<Entry<'a>> {
        let (length @ ..0x80, rest) = self.bytes.get(self.at..)?.split_first()? else {
            return None;
        };
        let (name, rest) = rest.split_at_checked((*length).into())?;
        let (header, width) = match rest {
            [header @ ..0x80, ..] => (usize::from(*header), 1),
            [low, high @ 1..0x80, ..] => (usize::from(low & 0x7f) | usize::from(*high) << 7, 2),
            _ => return None,
        };
        let format = match header & 3 {
            0 => Serializer::Json,
            1 => Serializer::Postcard,
            _ => return None,
        };
        let from = self.at + 1 + name.len() + width;
        let to = from + (header >> 2);
        if to > self.bytes.len() {
            return None;
        }
        self.at = to;
        Some((name, format, from..to))
    }

    fn any_entry(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
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

    #[inline]
    fn number(&mut self) -> Result<u64, &'static str> {
        // As nearly all are.
        if let Some(byte @ ..0x80) = self.bytes.get(self.at) {
            self.at += 1;
            return Ok((*byte).into());
        }
        self.long_number()
    }

    fn long_number(&mut self) -> Result<u64, &'static str> {
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

    fn slice(&mut self, length: u64) -> Result<Range<usize>, &'static str> {
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
