//! What is on disk, byte by byte, and how it is read.
//!
//! # Format 1
//!
//! The directory holds `obsession-sled`, the marker: the text `obsession-sled 1` and a line feed.
//! Everything else in it is sled's own. The database has four trees:
//!
//! | tree | key | value |
//! |---|---|---|
//! | `records` | the session's key, 16 bytes | number of further pieces *n*, 2 bytes little-endian; the first 3,072 bytes of the row |
//! | `overflow` | session key; piece number from 1 to *n*, 2 bytes big-endian | the next 3,072 bytes of the row; fewer in the last |
//! | `deadlines` | `expires_at`, 8 bytes big-endian; session key | nothing |
//! | `subjects` | the subject's first 256 bytes; a zero byte; session key | nothing |
//!
//! The row is that of [`Record::to_row`]. All four change together in one transaction.
//!
//! # Why pieces
//!
//! sled keeps up to 17 records in one page, writes a page as one item of its log, and puts an item
//! above a quarter of a log segment (131,020 bytes) into a file of its own in `blobs/`. It syncs
//! neither that file nor its directory, so after a power cut the log may name a file that is
//! empty, and all 17 are lost, whenever they were acknowledged. Sessions of 8 KB would already be
//! enough. With pieces of 3 KiB a page stays below 64 KB; an index page has up to 256 keys, so keys
//! have a bound as well. `blobs/` stays empty; the test `large_bodies` watches it.

use obsession_core::{CorruptRow, Record, ScanCursor, SessionKey, Timestamp};
use sled::{IVec, Tree};

use crate::error::Trouble;

/// How much of a row one entry of a tree holds.
const PIECE: usize = 3072;
/// How much of a subject is in the index. Those that begin alike are told apart by their records.
const INDEXED_SUBJECT: usize = 256;
const KEY: usize = SessionKey::LEN;

pub(crate) struct Trees {
    pub(crate) records: Tree,
    pub(crate) overflow: Tree,
    pub(crate) deadlines: Tree,
    pub(crate) subjects: Tree,
}

impl Trees {
    pub(crate) fn open(db: &sled::Db) -> sled::Result<Self> {
        Ok(Self {
            records: db.open_tree("records")?,
            overflow: db.open_tree("overflow")?,
            deadlines: db.open_tree("deadlines")?,
            subjects: db.open_tree("subjects")?,
        })
    }

    /// The record of `key`, live or not.
    pub(crate) fn find(&self, key: &SessionKey) -> Result<Option<Record>, Trouble> {
        let Some(value) = self.records.get(key.as_bytes())? else {
            return Ok(None);
        };
        let head = Head::decode(*key, &value)?;
        head.whole(|piece| Ok(self.overflow.get(piece)?)).map(Some)
    }

    /// The live records of `subject` by ascending key.
    pub(crate) fn of_subject(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, Trouble> {
        let mut found = Vec::new();
        for key in self.keys_of(subject, after) {
            if found.len() == limit {
                break;
            }
            let record = self.listed(&key?)?;
            found
                .extend(record.filter(|r| r.is_live(now) && r.subject.as_deref() == Some(subject)));
        }
        Ok(found)
    }

    /// The keys that the index has for `subject`, and perhaps for others that begin alike.
    pub(crate) fn keys_of(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
    ) -> impl Iterator<Item = Result<SessionKey, Trouble>> {
        let prefix = subject_prefix(subject);
        let mut first = prefix.clone();
        let mut past = prefix;
        first.extend(after.into_iter().flat_map(SessionKey::as_bytes));
        // No character of a key is above it.
        past.push(0xff);
        let skip = after.copied();
        self.subjects
            .range(first..past)
            .keys()
            .map(|entry| {
                let entry = entry?;
                let key = entry.len().checked_sub(KEY).map(|at| &entry[at..]);
                Ok(session_key(key.unwrap_or_default())?)
            })
            .filter(move |key| !matches!(key, Ok(key) if Some(key) == skip.as_ref()))
    }

    /// The live records after `after`, the first deadline first.
    pub(crate) fn by_deadline(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Record>, Trouble> {
        let mut found = Vec::new();
        let first = after.map_or([0; 24], |at| deadline_key(at.expires_at, &at.key));
        for entry in self.deadlines.range(first.max(first_after(now))..).keys() {
            if found.len() == limit {
                break;
            }
            let at = cursor(&entry?)?;
            let record = self.listed(&at.key)?;
            found.extend(record.filter(|r| Some(at) != after && r.expires_at == at.expires_at));
        }
        Ok(found)
    }

    /// At most `limit` entries of the index after `after` whose deadline has come.
    pub(crate) fn due(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<ScanCursor>, Trouble> {
        let first = after.map_or([0; 24], |at| deadline_key(at.expires_at, &at.key));
        self.deadlines
            .range(first..first_after(now).max(first))
            .keys()
            .map(|entry| Ok(cursor(&entry?)?))
            .filter(|at| !matches!(at, Ok(at) if Some(*at) == after))
            .take(limit)
            .collect()
    }

    /// How many entries of the index have a deadline that has come.
    pub(crate) fn count_due(&self, now: Timestamp) -> Result<u64, Trouble> {
        count(self.deadlines.range(..first_after(now)))
    }

    /// How many entries the index has.
    pub(crate) fn count_all(&self) -> Result<u64, Trouble> {
        count(self.deadlines.iter())
    }

    /// A record for a list. One that is damaged is no reason to show none of the others.
    fn listed(&self, key: &SessionKey) -> Result<Option<Record>, Trouble> {
        match self.find(key) {
            Err(Trouble::Damaged(_)) => {
                tracing::warn!(%key, "a damaged record was left out of a list");
                Ok(None)
            }
            found => found,
        }
    }
}

/// What the entry in `records` says: all but the rest of a long body.
pub(crate) struct Head {
    /// The body may be cut.
    pub(crate) record: Record,
    /// How many pieces follow in `overflow`.
    pub(crate) pieces: u16,
}

impl Head {
    pub(crate) fn decode(key: SessionKey, value: &[u8]) -> Result<Self, CorruptRow> {
        let (pieces, row) = value.split_first_chunk::<2>().ok_or(CorruptRow)?;
        let record = Record::from_row(key, row)?;
        Ok(Self {
            record,
            pieces: u16::from_le_bytes(*pieces),
        })
    }

    /// The value for `records`.
    pub(crate) fn encode(pieces: u16, row: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(2 + row.len());
        value.extend(pieces.to_le_bytes());
        value.extend_from_slice(row);
        value
    }

    /// The whole record, with what `piece` finds in `overflow`.
    pub(crate) fn whole(
        self,
        piece: impl Fn(&[u8]) -> Result<Option<IVec>, Trouble>,
    ) -> Result<Record, Trouble> {
        let Self { mut record, pieces } = self;
        if pieces > 0 {
            let mut body = record.body.to_vec();
            for n in 1..=pieces {
                let next = piece(&piece_key(&record.key, n))?;
                body.extend_from_slice(&next.ok_or(CorruptRow)?);
            }
            record.body = body.into();
        }
        Ok(record)
    }
}

/// A row in pieces: the first, how many follow, and those.
pub(crate) fn pieces(row: &[u8]) -> (&[u8], u16, impl Iterator<Item = (u16, &[u8])>) {
    let (first, rest) = row.split_at(row.len().min(PIECE));
    // The store takes no record that would need more.
    let count = u16::try_from(rest.len().div_ceil(PIECE)).unwrap_or(u16::MAX);
    (first, count, (1..=count).zip(rest.chunks(PIECE)))
}

pub(crate) fn piece_key(key: &SessionKey, n: u16) -> [u8; KEY + 2] {
    let mut piece = [0; KEY + 2];
    piece[..KEY].copy_from_slice(key.as_bytes());
    piece[KEY..].copy_from_slice(&n.to_be_bytes());
    piece
}

pub(crate) fn deadline_key(expires_at: Timestamp, key: &SessionKey) -> [u8; KEY + 8] {
    let mut entry = [0; KEY + 8];
    entry[..8].copy_from_slice(&expires_at.as_millis().to_be_bytes());
    entry[8..].copy_from_slice(key.as_bytes());
    entry
}

pub(crate) fn subject_key(subject: &str, key: &SessionKey) -> Vec<u8> {
    let mut entry = subject_prefix(subject);
    entry.extend_from_slice(key.as_bytes());
    entry
}

fn subject_prefix(subject: &str) -> Vec<u8> {
    let indexed = &subject.as_bytes()[..subject.len().min(INDEXED_SUBJECT)];
    let mut prefix = Vec::with_capacity(indexed.len() + 1 + KEY + 1);
    prefix.extend_from_slice(indexed);
    prefix.push(0);
    prefix
}

/// Before every entry whose deadline is later than `now`, and after all others.
fn first_after(now: Timestamp) -> [u8; KEY + 8] {
    let mut entry = [0; KEY + 8];
    match now.as_millis().checked_add(1) {
        Some(next) => entry[..8].copy_from_slice(&next.to_be_bytes()),
        None => entry = [0xff; KEY + 8],
    }
    entry
}

fn count(entries: sled::Iter) -> Result<u64, Trouble> {
    let mut count = 0;
    for entry in entries {
        entry?;
        count += 1;
    }
    Ok(count)
}

fn cursor(entry: &[u8]) -> Result<ScanCursor, CorruptRow> {
    let (expires_at, key) = entry.split_first_chunk::<8>().ok_or(CorruptRow)?;
    Ok(ScanCursor {
        expires_at: Timestamp::from_millis(u64::from_be_bytes(*expires_at)),
        key: session_key(key)?,
    })
}

fn session_key(bytes: &[u8]) -> Result<SessionKey, CorruptRow> {
    SessionKey::try_from(bytes).map_err(|_| CorruptRow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_keys_of_format_1() {
        let key: SessionKey = "AAAAAAAAAAAAAAA.".parse().unwrap();
        assert_eq!(piece_key(&key, 258), *b"AAAAAAAAAAAAAAA.\x01\x02");
        let deadline = deadline_key(Timestamp::from_millis(0x0102), &key);
        assert_eq!(deadline, *b"\0\0\0\0\0\0\x01\x02AAAAAAAAAAAAAAA.");
        assert_eq!(subject_key("zo", &key), b"zo\0AAAAAAAAAAAAAAA.");
        let long = subject_key(&"s".repeat(1024), &key);
        assert_eq!(long.len(), 256 + 1 + 16);
    }

    #[test]
    fn a_row_is_cut_into_pieces_and_none_is_empty() {
        for (len, count) in [(0, 0), (1, 0), (3072, 0), (3073, 1), (6144, 1), (6145, 2)] {
            let row = vec![7; len];
            let (first, said, rest) = pieces(&row);
            let rest: Vec<_> = rest.collect();
            assert_eq!((said, rest.len()), (count, usize::from(count)), "{len}");
            assert!(rest.iter().all(|(_, piece)| !piece.is_empty()));
            let sum: usize = rest.iter().map(|(_, piece)| piece.len()).sum();
            assert_eq!(first.len() + sum, len);
        }
    }
}
