//! A record as bytes, for stores that keep one value a key.
//!
//! # Format 1
//!
//! Integers are little-endian. The key is not in the row: the store has it.
//!
//! | offset | size | what |
//! |---:|---:|---|
//! | 0 | 1 | the format: 1 |
//! | 1 | 8 | revision |
//! | 9 | 8 | `created_at`, milliseconds |
//! | 17 | 8 | `expires_at`, milliseconds |
//! | 25 | 2 | 0 without a subject, else its length *n* plus 1 |
//! | 27 | *n* | subject, UTF-8 |
//! | 27 + *n* | 4 | CRC-32 of the key and all of the above |
//! | 31 + *n* | | body, to the end; it has a checksum of its own |
//!
//! A touch changes bytes 17 to 24 and the checksum, so it does not look at the body.

use std::fmt;
use std::sync::Arc;

use crate::{Record, Revision, SessionKey, Timestamp};

const FORMAT: u8 = 1;
const FIXED: usize = 27;
const CHECKSUM: usize = 4;

/// Of the key and the row up to there: CRC-32 as in ISO 3309 and IEEE 802.3.
fn crc32(key: &SessionKey, row: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key.as_bytes());
    sum.update(row);
    sum.finalize()
}

impl Record {
    /// The record without its key, as one string of bytes.
    ///
    /// [`Record::from_row`] reads it again.
    #[must_use]
    pub fn to_row(&self) -> Vec<u8> {
        let subject = self.subject.as_deref().map_or(&[][..], str::as_bytes);
        let mut row = Vec::with_capacity(FIXED + subject.len() + CHECKSUM + self.body.len());
        row.push(FORMAT);
        row.extend(self.revision.as_u64().to_le_bytes());
        row.extend(self.created_at.as_millis().to_le_bytes());
        row.extend(self.expires_at.as_millis().to_le_bytes());
        // Core takes no subject above 1 KiB; a longer one would not survive the round trip, and
        // `from_row` says so.
        let length = self.subject.as_ref().map_or(0, |s| s.len() + 1);
        row.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        row.extend_from_slice(subject);
        row.extend(crc32(&self.key, &row).to_le_bytes());
        row.extend_from_slice(&self.body);
        row
    }

    /// Reads what [`Record::to_row`] wrote for this key.
    ///
    /// # Errors
    ///
    /// [`CorruptRow`] if it is another format, another key's row, cut short or damaged.
    pub fn from_row(key: SessionKey, row: &[u8]) -> Result<Self, CorruptRow> {
        let (fixed, rest) = row.split_first_chunk::<FIXED>().ok_or(CorruptRow)?;
        let [format, numbers @ .., s0, s1] = fixed;
        let subject_len = u16::from_le_bytes([*s0, *s1]);
        let subject_bytes = usize::from(subject_len.saturating_sub(1));
        let (subject, rest) = rest.split_at_checked(subject_bytes).ok_or(CorruptRow)?;
        let (checksum, body) = rest.split_first_chunk::<CHECKSUM>().ok_or(CorruptRow)?;
        let sum = crc32(&key, &row[..FIXED + subject_bytes]);
        if *format != FORMAT || sum.to_le_bytes() != *checksum {
            return Err(CorruptRow);
        }
        let (numbers, _) = numbers.as_chunks::<8>();
        let [revision, created_at, expires_at] = numbers else {
            return Err(CorruptRow);
        };
        let subject = match subject_len {
            0 => None,
            _ => Some(Arc::from(str::from_utf8(subject).map_err(|_| CorruptRow)?)),
        };
        Ok(Self {
            key,
            revision: Revision::from_u64(u64::from_le_bytes(*revision)),
            subject,
            created_at: Timestamp::from_millis(u64::from_le_bytes(*created_at)),
            expires_at: Timestamp::from_millis(u64::from_le_bytes(*expires_at)),
            body: body.into(),
        })
    }
}

/// The bytes are no row of format 1 of this key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CorruptRow;

impl fmt::Display for CorruptRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored row is damaged, of another key or of an unknown format")
    }
}

impl std::error::Error for CorruptRow {}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            key: "AAAAAAAAAAAAAAA.".parse().unwrap(),
            revision: Revision::from_u64(0x0102_0304_0506_0708),
            subject: Some(Arc::from("zoë")),
            created_at: Timestamp::from_millis(1_000),
            expires_at: Timestamp::from_millis(2_000),
            body: b"body".into(),
        }
    }

    #[test]
    fn the_golden_row_of_format_1() {
        let golden = [
            1, 8, 7, 6, 5, 4, 3, 2, 1, 0xe8, 3, 0, 0, 0, 0, 0, 0, 0xd0, 7, 0, 0, 0, 0, 0, 0, 5, 0,
            b'z', b'o', 0xc3, 0xab, 0xa4, 0xd3, 0x8c, 0x58, b'b', b'o', b'd', b'y',
        ];
        assert_eq!(record().to_row(), golden);
        assert_eq!(Record::from_row(record().key, &golden), Ok(record()));
    }

    #[test]
    fn an_empty_subject_is_not_no_subject() {
        for subject in [None, Some(Arc::from("")), Some(Arc::from("s".repeat(1024)))] {
            let record = Record {
                subject,
                ..record()
            };
            assert_eq!(Record::from_row(record.key, &record.to_row()), Ok(record));
        }
    }

    #[test]
    fn a_flipped_bit_before_the_body_or_a_cut_row_or_another_key_is_an_error() {
        let row = record().to_row();
        let header = row.len() - record().body.len();
        for bit in 0..header * 8 {
            let mut row = row.clone();
            row[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                Record::from_row(record().key, &row),
                Err(CorruptRow),
                "bit {bit}"
            );
        }
        for len in 0..header {
            assert_eq!(
                Record::from_row(record().key, &row[..len]),
                Err(CorruptRow),
                "{len} bytes"
            );
        }
        let other = "BAAAAAAAAAAAAAA.".parse().unwrap();
        assert_eq!(Record::from_row(other, &row), Err(CorruptRow));
    }
}
