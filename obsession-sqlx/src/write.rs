//! The writes of single records, and what is to be said of them.

use obsession_core::{Record, Revision, SessionKey, Timestamp};

use crate::dialect::{Seen, State};

/// A write of one record.
#[derive(Clone, Debug)]
pub enum Write {
    Create(Record),
    Update {
        expected: Revision,
        record: Record,
    },
    Touch {
        key: SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    },
    Delete(SessionKey),
}

/// Writes of one kind share a statement.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Create,
    Update,
    Touch,
    Delete,
}

/// What became of a write.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done,
    /// There is another live record of this key, or another revision.
    Other(Record),
    /// There is no live record of this key.
    Gone,
}

impl Write {
    pub fn key(&self) -> &SessionKey {
        match self {
            Self::Create(record) | Self::Update { record, .. } => &record.key,
            Self::Touch { key, .. } | Self::Delete(key) => key,
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Create(_) => Kind::Create,
            Self::Update { .. } => Kind::Update,
            Self::Touch { .. } => Kind::Touch,
            Self::Delete(_) => Kind::Delete,
        }
    }

    /// The record that it leaves.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Create(record) | Self::Update { record, .. } => Some(record),
            Self::Touch { .. } | Self::Delete(_) => None,
        }
    }

    /// About how much it sends.
    pub fn bytes(&self) -> usize {
        self.record().map_or(0, |record| record.body.len()) + 200
    }

    /// What to answer if the write was not made and this is what it met; nothing if it should be tried
    /// again, since what it met is no reason.
    ///
    /// A live record with the revision that is being written is this write, made before.
    pub fn judge(&self, met: Option<Seen>) -> Option<Result<Outcome, crate::dialect::Damaged>> {
        let live = met.filter(|seen| seen.state == State::Live);
        let current = match live.map(|seen| seen.record) {
            Some(Ok(record)) => Some(record),
            Some(Err(damaged)) => return Some(Err(damaged)),
            None => None,
        };
        match (self, current) {
            // Whoever had the key has gone meanwhile; and a delete takes what is there.
            (Self::Create(_), None) | (Self::Delete(_), Some(_)) => None,
            (_, None) => Some(Ok(Outcome::Gone)),
            (Self::Create(record) | Self::Update { record, .. }, Some(current))
                if current.revision == record.revision =>
            {
                Some(Ok(Outcome::Done))
            }
            (Self::Update { expected, .. }, Some(current)) if current.revision == *expected => None,
            (
                Self::Touch {
                    expected,
                    expires_at,
                    ..
                },
                Some(current),
            ) if current.revision == *expected => {
                (current.expires_at >= *expires_at).then_some(Ok(Outcome::Done))
            }
            (_, Some(current)) => Some(Ok(Outcome::Other(current))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(revision: u64, expires_at: u64) -> Record {
        Record {
            key: "AAAAAAAAAAAAAAA.".parse().unwrap(),
            revision: Revision::from_u64(revision),
            subject: None,
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(expires_at),
            body: b"body"[..].into(),
        }
    }

    fn seen(revision: u64, state: State) -> Seen {
        let record = record(revision, 100);
        let key = record.key;
        let record = Ok(record);
        Seen { key, record, state }
    }

    /// What is said of a write that met this: `d`one, `o`ther, `g`one, or that it is tried `a`gain.
    fn said(write: &Write, met: Option<Seen>) -> char {
        match write.judge(met) {
            Some(Ok(Outcome::Done)) => 'd',
            Some(Ok(Outcome::Other(_))) => 'o',
            Some(Ok(Outcome::Gone)) => 'g',
            Some(Err(_)) => 'e',
            None => 'a',
        }
    }

    #[test]
    fn what_a_write_met_decides_what_is_said() {
        let expected = Revision::from_u64(1);
        let touch = |at| Write::Touch {
            key: record(1, 0).key,
            expected,
            expires_at: Timestamp::from_millis(at),
        };
        let writes = [
            Write::Create(record(2, 100)),
            Write::Update {
                expected,
                record: record(2, 100),
            },
            touch(100),
            touch(101),
            Write::Delete(record(1, 0).key),
        ];
        // Nothing, an expired one, the expected revision, the one that is written, and another.
        let table = ["aaodo", "ggado", "ggdoo", "ggaoo", "ggaaa"];
        for (write, expected) in writes.iter().zip(table) {
            let said: String = [
                None,
                Some(seen(2, State::Expired)),
                Some(seen(1, State::Live)),
                Some(seen(2, State::Live)),
                Some(seen(3, State::Live)),
            ]
            .map(|met| said(write, met))
            .iter()
            .collect();
            assert_eq!(said, expected, "{write:?}");
        }
    }
}
