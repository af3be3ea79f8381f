//! Keys and values, byte by byte.
//!
//! # Keys
//!
//! `P` is the prefix, `T` the tag of one of 64 shards, in braces so that Redis Cluster keeps
//! what has the same tag in one place.
//!
//! | key | type | what |
//! |---|---|---|
//! | `P{T}`*key* | string | a record |
//! | `P{T}aside:`*revision*`-`*number* | string | a large value on its way into a record, for seconds |
//! | `P{T}deadlines` | sorted set | the keys of the shard's records by deadline |
//! | `Psubject{}:`*subject* | sorted set | the keys of the subject's sessions |
//!
//! A deadline above 2^53 - 1 counts as that in a sorted set, whose scores are doubles.
//!
//! In the index of a subject, the score is the instant until which the entry is good; the record
//! does not outlive it. On a Cluster a member is the key and the milliseconds at which it was
//! entered, in decimal, since an entry comes before its record; elsewhere it is the key. The empty
//! braces keep braces in a subject from meaning anything to a Cluster.
//!
//! # Values, format 1
//!
//! | offset | size | what |
//! |---:|---:|---|
//! | 0 | 8 | `expires_at`, milliseconds, big-endian |
//! | 8 | 8 | until when the subject is indexed, milliseconds, big-endian |
//! | 16 | 4 | check: FNV-1a, 32 bits, of the key and the above, big-endian |
//! | 20 | | the record as core's row of format 1; its `expires_at` is that of the last write |
//!
//! The row has a checksum of its own. A touch replaces the first 20 bytes, which its caller can make
//! without the rest.

use std::sync::Arc;
use std::time::Duration;

use obsession_core::{CorruptRow, Record, Revision, SessionKey, Timestamp};

use crate::scripts::cmd;

/// How long a key is kept at most: some 31,000 years. Redis adds it to its own time, and Lua's
/// numbers hold it.
const MAX_TTL: u64 = 1_000_000_000_000_000;
/// The largest score that every smaller one can be told from.
const MAX_SCORE: u64 = (1 << 53) - 1;
const HEAD: usize = 20;
/// No two values of a key have the same first bytes: a touch changes the head, a write the revision.
pub(crate) const IDENTITY: usize = 29;
/// Where a value has the length of its subject plus 1.
const SUBJECT: usize = 45;
/// Index entries are made good for this much longer than needed at least.
const MARGIN: u64 = 60_000;

/// Numbers whose hash slots lie in different 64ths of all slots, in order. The sixty-four shards are
/// spread evenly over any Cluster that cuts the slots into equal ranges.
pub(crate) const TAGS: [&str; 64] = [
    "10", "18", "113", "342", "29", "21", "3", "122", "69", "61", "72", "162", "50", "58", "153",
    "43", "11", "19", "112", "343", "28", "20", "2", "123", "68", "60", "73", "163", "51", "59",
    "152", "42", "12", "102", "111", "119", "133", "23", "1", "9", "173", "63", "70", "78", "52",
    "142", "49", "41", "13", "103", "110", "118", "132", "22", "0", "8", "172", "62", "71", "79",
    "53", "143", "48", "40",
];

/// Makes keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) prefix: Arc<str>,
    /// What the index of a subject is called before its name.
    pub(crate) subjects: Arc<str>,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            subjects: format!("{prefix}subject{{}}:").into(),
        }
    }

    pub(crate) fn record(&self, key: &SessionKey) -> Vec<u8> {
        self.join(tag(key), key.as_bytes())
    }

    /// A key in the place of a record's.
    pub(crate) fn beside(&self, key: &SessionKey, name: &str) -> Vec<u8> {
        self.join(tag(key), name.as_bytes())
    }

    pub(crate) fn deadlines(&self, tag: &str) -> Vec<u8> {
        self.join(tag, b"deadlines")
    }

    /// What the keys of a shard begin with.
    pub(crate) fn shard(&self, tag: &str) -> Vec<u8> {
        self.join(tag, b"")
    }

    pub(crate) fn subject(&self, subject: &str) -> Vec<u8> {
        [self.subjects.as_bytes(), subject.as_bytes()].concat()
    }

    fn join(&self, tag: &str, rest: &[u8]) -> Vec<u8> {
        [self.prefix.as_bytes(), b"{", tag.as_bytes(), b"}", rest].concat()
    }
}

/// The tag of a key's shard.
pub(crate) fn tag(key: &SessionKey) -> &'static str {
    TAGS[shard(key)]
}

/// The number of a key's shard.
pub(crate) fn shard(key: &SessionKey) -> usize {
    let [.., last] = *key.as_bytes();
    let symbol = match last {
        b'A'..=b'Z' => last - b'A',
        b'a'..=b'z' => last - b'a' + 26,
        b'0'..=b'9' => last - b'0' + 52,
        b'.' => 62,
        _ => 63,
    };
    usize::from(symbol)
}

/// The instants of a write, in the forms that scripts take.
pub(crate) struct Times {
    pub(crate) now: [u8; 8],
    pub(crate) score: String,
    pub(crate) ttl: String,
    pub(crate) indexed: Timestamp,
    /// How long an index is to be kept at least.
    pub(crate) index_ttl: String,
}

impl Times {
    pub(crate) fn new(deadline: Timestamp, now: Timestamp) -> Self {
        let left = ttl(deadline, now);
        let indexed = indexed_until(deadline, left);
        Self {
            now: big_endian(now),
            score: score(deadline),
            ttl: left.to_string(),
            indexed,
            index_ttl: ttl(indexed, now).to_string(),
        }
    }
}

pub(crate) fn big_endian(at: Timestamp) -> [u8; 8] {
    at.as_millis().to_be_bytes()
}

/// A revision as core's row has it.
pub(crate) fn revision(revision: Revision) -> [u8; 8] {
    revision.as_u64().to_le_bytes()
}

pub(crate) fn score(at: Timestamp) -> String {
    at.as_millis().min(MAX_SCORE).to_string()
}

/// How long a key with this deadline is to be kept, by the caller's clock. Nothing if it is over.
pub(crate) fn ttl(deadline: Timestamp, now: Timestamp) -> u64 {
    let left: Duration = deadline.saturating_since(now);
    u64::try_from(left.as_millis()).map_or(MAX_TTL, |millis| millis.min(MAX_TTL))
}

/// Until when an index entry is to be good, for a record that has `ttl` left.
///
/// Later by an eighth to a half of that at least, and for a while the same for later deadlines, so
/// that an index is written to now and then, and not with every record.
fn indexed_until(deadline: Timestamp, ttl: u64) -> Timestamp {
    let step = (ttl / 4).max(MARGIN).next_power_of_two();
    let millis = deadline.as_millis();
    let rounded = (millis / step).saturating_add(2).saturating_mul(step);
    Timestamp::from_millis(rounded)
}

/// The first bytes of a value, which a touch replaces.
pub(crate) fn head(key: SessionKey, deadline: Timestamp, indexed: Timestamp) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&big_endian(deadline));
    head[8..16].copy_from_slice(&big_endian(indexed));
    let covered = key.as_bytes().iter().chain(&head[..16]);
    let check = covered.fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    head[16..].copy_from_slice(&check.to_be_bytes());
    head
}

/// Reads a record on a master: a replica refuses this command, which is one of those that write,
/// though without options it does not. `GET` would be answered by a server that was a master once.
pub(crate) fn read(name: &[u8]) -> redis::Cmd {
    cmd(&[b"GETEX", name])
}

pub(crate) fn encode(record: &Record, indexed: Timestamp) -> Vec<u8> {
    let head = head(record.key, record.expires_at, indexed);
    [&head[..], &record.to_row()].concat()
}

/// The value of `record` if it takes the place of `old` and differs from it in nothing that an index
/// has. The entries of indexes stay good for as long as they were.
pub(crate) fn successor(old: &[u8], expected: Revision, record: &Record) -> Option<Vec<u8>> {
    let head = old.get(..HEAD)?;
    let same = old[..8] == big_endian(record.expires_at)
        && old.get(HEAD + 1..IDENTITY)? == revision(expected)
        && is_of(old, record.subject.as_deref());
    (same && record.revision != expected).then(|| [head, &record.to_row()].concat())
}

/// Whether the index of its subject has an entry for `old` that is as good for `record`, or needs none.
pub(crate) fn is_indexed(old: &[u8], record: &Record, times: &Times) -> bool {
    let subject = record.subject.as_deref();
    let long_enough = old.get(8..16) >= Some(&big_endian(times.indexed)[..]);
    subject.is_none() || is_of(old, subject) && long_enough
}

/// What of a value those two need.
pub(crate) fn beginning(value: &[u8]) -> &[u8] {
    let rest = value.get(SUBJECT..).and_then(<[u8]>::split_first_chunk);
    let length = rest.map_or(0, |(length, _)| usize::from(u16::from_le_bytes(*length)));
    value.get(..SUBJECT + 2 + length).unwrap_or(value)
}

fn is_of(value: &[u8], subject: Option<&str>) -> bool {
    let (length, name) = subject.map_or((0, ""), |subject| (subject.len() + 1, subject));
    let stored = value.get(SUBJECT..).and_then(<[u8]>::split_first_chunk);
    stored.is_some_and(|(stored, rest)| {
        usize::from(u16::from_le_bytes(*stored)) == length && rest.starts_with(name.as_bytes())
    })
}

pub(crate) fn decode(key: SessionKey, value: &[u8]) -> Result<Record, CorruptRow> {
    let (found, row) = value.split_first_chunk::<HEAD>().ok_or(CorruptRow)?;
    let (numbers, _) = found.as_chunks::<8>();
    let [deadline, indexed] = numbers else {
        return Err(CorruptRow);
    };
    let deadline = Timestamp::from_millis(u64::from_be_bytes(*deadline));
    let indexed = Timestamp::from_millis(u64::from_be_bytes(*indexed));
    let mut record = Record::from_row(key, row)?;
    if head(key, deadline, indexed) != *found || deadline < record.expires_at {
        return Err(CorruptRow);
    }
    record.expires_at = deadline;
    Ok(record)
}

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
    fn the_golden_value_of_format_1() {
        let indexed = Timestamp::from_millis(0x1234);
        let golden = [
            0, 0, 0, 0, 0, 0, 7, 0xd0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x44, 0x2a, 0x91, 0x59, 1, 8,
            7, 6, 5, 4, 3, 2, 1, 0xe8, 3, 0, 0, 0, 0, 0, 0, 0xd0, 7, 0, 0, 0, 0, 0, 0, 5, 0, b'z',
            b'o', 0xc3, 0xab, 0xa4, 0xd3, 0x8c, 0x58, b'b', b'o', b'd', b'y',
        ];
        assert_eq!(encode(&record(), indexed), golden);
        assert_eq!(decode(record().key, &golden), Ok(record()));
    }

    #[test]
    fn a_touched_value_has_the_later_deadline() {
        let mut value = encode(&record(), Timestamp::from_millis(0));
        let later = Timestamp::MAX;
        value[..HEAD].copy_from_slice(&head(record().key, later, later));
        let touched = Record {
            expires_at: later,
            ..record()
        };
        assert_eq!(decode(record().key, &value), Ok(touched));
        let earlier = Timestamp::from_millis(1_999);
        value[..HEAD].copy_from_slice(&head(record().key, earlier, later));
        assert_eq!(decode(record().key, &value), Err(CorruptRow));
    }

    #[test]
    fn a_flipped_bit_or_a_cut_or_another_key_is_an_error() {
        let value = encode(&record(), Timestamp::from_millis(77));
        let body = value.len() - record().body.len();
        for bit in 0..body * 8 {
            let mut value = value.clone();
            value[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(record().key, &value), Err(CorruptRow), "bit {bit}");
        }
        for len in 0..body {
            assert_eq!(decode(record().key, &value[..len]), Err(CorruptRow));
        }
        let other = "BAAAAAAAAAAAAAA.".parse().unwrap();
        assert_eq!(decode(other, &value), Err(CorruptRow));
    }

    #[test]
    fn every_shard_has_its_64th_of_the_slots_and_one_character_of_the_keys() {
        for (shard, tag) in TAGS.iter().enumerate() {
            assert_eq!(usize::from(slot(tag)) / 256, shard, "{tag}");
        }
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
        let mut tags: Vec<_> = alphabet
            .chars()
            .map(|c| tag(&format!("AAAAAAAAAAAAAAA{c}").parse().unwrap()))
            .collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 64);
    }

    /// The hash slot of a tag, as the Redis Cluster specification has it: CRC-16/XMODEM.
    fn slot(tag: &str) -> u16 {
        let step = |crc: u16| (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 };
        let crc = tag.bytes().fold(0, |crc: u16, byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| step(crc))
        });
        crc % 16_384
    }

    #[test]
    fn keys_are_kept_no_longer_than_redis_can_count() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let year_9999 = Timestamp::from_millis(253_402_300_799_000);
        assert_eq!(ttl(year_9999, now), 251_602_300_799_000);
        assert_eq!(ttl(Timestamp::MAX, now), MAX_TTL);
        assert_eq!(ttl(now, now), 0);
        assert_eq!(ttl(Timestamp::from_millis(0), now), 0);
        assert_eq!(score(Timestamp::MAX), "9007199254740991");
    }

    #[test]
    fn an_index_is_written_to_now_and_then_and_always_ahead_of_its_records() {
        let day = 24 * 3600 * 1000;
        let ttl = 14 * day;
        let mut indexed = Timestamp::from_millis(0);
        let mut written = 0;
        for hour in 0..100 * 24 {
            let deadline = Timestamp::from_millis(1_800_000_000_000 + hour * day / 24 + ttl);
            let next = indexed_until(deadline, ttl);
            assert!(next > deadline);
            if next > indexed {
                (indexed, written) = (next, written + 1);
            }
        }
        assert!((10..=20).contains(&written), "{written} times in 100 days");
        assert_eq!(indexed_until(Timestamp::MAX, MAX_TTL), Timestamp::MAX);
    }
}
