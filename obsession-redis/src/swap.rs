//! The usual update, of a session that this process has loaded and whose deadline and subject stay:
//! nothing but the record changes, so the server has one value to compare and replace.
//!
//! Valkey since 8.1 and Redis since 8.4 do that in a plain `SET ... IFEQ`, which costs a third of what
//! a script does; others run the least script that can. Both need what only a load tells: the value
//! that is to be replaced. So the store remembers the values that it has loaded lately. Forgetting one
//! costs nothing but time, and one that is out of date is found out by the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use obsession_core::{Record, Revision, SessionKey, StoreError, Update};
use redis::Value;
use tokio::time::Instant;

use crate::layout;
use crate::line::Does;
use crate::scripts::{self, Command};
use crate::store::{Shared, decode, unexpected};

/// How many values are remembered, each in the place that its key has.
const PLACES: usize = 2048;
/// Larger values are not: sending both costs more than what is saved.
const LARGEST: usize = 4096;

type Place = Mutex<Option<(SessionKey, Vec<u8>)>>;

/// What has been loaded lately.
pub(crate) struct Loaded {
    places: Box<[Place]>,
    /// Whether the server compares by itself, as far as is known.
    compares: AtomicBool,
}

impl Loaded {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            compares: AtomicBool::new(true),
        }
    }

    pub(crate) fn remember(&self, key: SessionKey, value: Vec<u8>) {
        if value.len() <= LARGEST {
            *self.place(&key) = Some((key, value));
        }
    }

    /// Forgets it: whatever becomes of an update, this will not be the current value.
    pub(crate) fn take(&self, key: &SessionKey) -> Option<Vec<u8>> {
        let (_, value) = self.place(key).take_if(|(of, _)| of == key)?;
        Some(value)
    }

    fn place(&self, key: &SessionKey) -> MutexGuard<'_, Option<(SessionKey, Vec<u8>)>> {
        // Keys are random, and in all of their characters.
        let [a, b, c, ..] = *key.as_bytes();
        let spread = [a, b, c]
            .iter()
            .fold(0, |sum, c| sum * 67 + usize::from(*c));
        self.places[spread % PLACES]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Updates a record whose value was `old` when it was loaded, if nothing else changes with it.
    /// Nothing if it takes more than that, and then nothing has been done.
    pub(crate) async fn swap(
        &self,
        old: &[u8],
        expected: Revision,
        record: &Record,
        until: Instant,
    ) -> Result<Option<Update>, StoreError> {
        let now = self.clock.now();
        let Some(new) = layout::successor(old, expected, record) else {
            return Ok(None);
        };
        if !record.is_live(now) {
            return Ok(None);
        }
        let name = self.keys.record(&record.key);
        let ttl = layout::ttl(record.expires_at, now).to_string();
        let by_itself = self.loaded.compares.load(Ordering::Relaxed);
        let command = if by_itself {
            let ttl = ttl.as_bytes();
            let set = [b"SET", &name[..], &new, b"IFEQ", old, b"GET", b"PX", ttl];
            Command::from(scripts::cmd(&set))
        } else {
            let args: [&[u8]; 3] = [&new, &old[..layout::IDENTITY], ttl.as_bytes()];
            scripts::SWAP.call(&[&name], &args)
        };
        let value = match self.line.call(Does::Write, &command, until).await {
            Ok(Value::Int(1)) => return Ok(Some(Update::Updated)),
            Ok(Value::Nil) => return Ok(Some(Update::Gone)),
            Ok(Value::BulkString(value)) if by_itself && value == old => {
                return Ok(Some(Update::Updated));
            }
            Ok(Value::BulkString(value)) => value,
            Err(failure) if by_itself && failure.is_about_syntax() => {
                self.loaded.compares.store(false, Ordering::Relaxed);
                return Ok(None);
            }
            answer => return Err(unexpected(answer)),
        };
        let current = decode(record.key, &value)?;
        // One that has been touched, or is over by this clock, or has been written already, is for
        // the script to judge.
        let is_another = current.revision != expected && current.revision != record.revision;
        if !is_another || !current.is_live(now) {
            return Ok(None);
        }
        self.loaded.remember(record.key, value);
        Ok(Some(Update::Conflict(current)))
    }
}
