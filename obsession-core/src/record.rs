//! What a store keeps: one record a session.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{SessionKey, Timestamp};

/// One session as a store sees it: one row, whose body is opaque.
///
/// Cloning is cheap: the body and the subject are shared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The primary key, for the session's whole life.
    pub key: SessionKey,
    /// Which write made this state of the record.
    pub revision: Revision,
    /// Whose session it is, if somebody has signed in: at most [`Record::MAX_SUBJECT`] bytes.
    pub subject: Option<Arc<str>>,
    /// When the session began or its user signed in; the absolute lifetime counts from here.
    pub created_at: Timestamp,
    /// The record is live before this instant and absent at and after it.
    pub expires_at: Timestamp,
    /// What core wrote and only core reads.
    pub body: RecordBody,
}

impl Record {
    /// The longest subject that a session takes, in bytes.
    pub const MAX_SUBJECT: usize = 1024;

    /// Whether the record is to be served at `now`: only before its deadline.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// The bytes of a record that core writes and only core reads.
///
/// A store keeps them as they are; they dereference to a slice, and are made of one with `From`.
/// Cloning is cheap: the bytes are shared.
#[derive(Clone, Default)]
pub struct RecordBody {
    bytes: Arc<[u8]>,
    /// Core made them in this process and nobody has had a chance to change them, so there is nothing
    /// that a checksum could find. This is lost where a store makes a body of bytes.
    own: bool,
}

impl RecordBody {
    /// What core has just written.
    pub(crate) fn own(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            own: true,
        }
    }

    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    pub(crate) fn shared(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

impl Deref for RecordBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for RecordBody {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for RecordBody {}

impl From<Arc<[u8]>> for RecordBody {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self { bytes, own: false }
    }
}

impl From<Vec<u8>> for RecordBody {
    fn from(bytes: Vec<u8>) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl From<&[u8]> for RecordBody {
    fn from(bytes: &[u8]) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl<const N: usize> From<&[u8; N]> for RecordBody {
    fn from(bytes: &[u8; N]) -> Self {
        bytes[..].into()
    }
}

impl<const N: usize> From<[u8; N]> for RecordBody {
    fn from(bytes: [u8; N]) -> Self {
        bytes[..].into()
    }
}

/// They hold what the application stored and the hash of the secret, so only their length shows.
impl fmt::Debug for RecordBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// The name of one write of one record, chosen by the writer and never used again.
///
/// A writer that finds the revision it was writing already in the store knows that its write was
/// applied: a retry is recognised instead of being taken for a conflict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

/// In hexadecimal: it is a name, and no count.
impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({:x})", self.0)
    }
}

impl Revision {
    /// A revision that no other write has.
    ///
    /// # Errors
    ///
    /// The operating system's generator failed; it is asked once a process.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        // A counter per process, spread over 64 bits by a bijection (SplitMix64, Steele et al.
        // 2014): no two writes of a process meet, and two processes meet on one record with a
        // chance near 2^-64 a pair of writes. A system call for each write would cost more than
        // the rest of encoding it.
        static SEED: OnceLock<u64> = OnceLock::new();
        static WRITES: AtomicU64 = AtomicU64::new(1);
        let seed = if let Some(seed) = SEED.get() {
            *seed
        } else {
            let seed = getrandom::u64()?;
            *SEED.get_or_init(|| seed)
        };
        let write = WRITES.fetch_add(1, Ordering::Relaxed);
        let mut z = seed.wrapping_add(write.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(Self(z ^ (z >> 31)))
    }

    /// The revision that a store kept as this number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number to keep in a store.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}
