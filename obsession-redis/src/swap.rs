//! The usual update, of a session that this process has loaded and whose deadline and subject stay:
//! nothing but the record changes, so the server has one value to compare and replace.
//!
//! Valkey since 8.1 and Redis since 8.4 do that in a plain `SET ... IFEQ`, which costs a third of what
//! a script does; others run the least script that can. On one server it is not given large values, but
//! finds them set aside. All need what only a load tells: the value that is to be replaced. So the store
//! remembers the values that it has loaded lately. Forgetting one costs nothing but time, and one that is
//! out of date is found out by the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use obsession_core::{Record, Revision, SessionKey, StoreError, Update};
use redis::Value;
use tokio::time::Instant;

use crate::error::{Failure, FailureKind};
use crate::layout;
use crate::line::{Does, Together};
use crate::scripts::{self, Command, cmd};
use crate::store::{Shared, decode, unexpected};

/// How many values are remembered, each in the place that its key has.
const PLACES: usize = 2048;
/// Of larger values no more than tells them apart is remembered, since sending both costs more than what
/// is saved; and new ones are set aside, since a script hashes what it is given.
const LARGEST: usize = 4096;
/// How long a large value that has been set aside is kept, in milliseconds, if nobody comes for it.
const ASIDE: &[u8] = b"10000";

type Place = Mutex<Option<(SessionKey, Old)>>;

/// A value as it was loaded, or the beginning of a large one.
pub(crate) struct Old {
    pub(crate) bytes: Vec<u8>,
    is_whole: bool,
}

/// What has been loaded lately.
pub(crate) struct Loaded {
    places: Box<[Place]>,
    /// Whether the server compares by itself, as far as is known.
    compares: AtomicBool,
    /// Whether large values may be set aside, as far as is known.
    sets_aside: AtomicBool,
    /// How many have been.
    aside: AtomicU64,
}

impl Loaded {
    pub(crate) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            compares: AtomicBool::new(true),
            sets_aside: AtomicBool::new(true),
            aside: AtomicU64::new(0),
        }
    }

    pub(crate) fn remember(&self, key: SessionKey, value: Vec<u8>) {
        let is_whole = value.len() <= LARGEST;
        let bytes = if is_whole {
            value
        } else {
            layout::beginning(&value).to_vec()
        };
        *self.place(&key) = Some((key, Old { bytes, is_whole }));
    }

    /// Forgets it: whatever becomes of an update, this will not be the current value.
    pub(crate) fn take(&self, key: &SessionKey) -> Option<Old> {
        let (_, value) = self.place(key).take_if(|(of, _)| of == key)?;
        Some(value)
    }

    fn place(&self, key: &SessionKey) -> MutexGuard<'_, Option<(SessionKey, Old)>> {
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
        old: &Old,
        expected: Revision,
        record: &Record,
        until: Instant,
    ) -> Result<Option<Update>, StoreError> {
        let now = self.clock.now();
        let Some(new) = layout::successor(&old.bytes, expected, record) else {
            return Ok(None);
        };
        if !record.is_live(now) {
            return Ok(None);
        }
        let ttl = layout::ttl(record.expires_at, now).to_string();
        let by_itself = old.is_whole && self.loaded.compares.load(Ordering::Relaxed);
        let aside = self.aside(new.len(), record, by_itself);
        let is_aside = aside.is_some();
        let answer = if let Some(aside) = aside {
            // In a box, so that the usual ones need a smaller one.
            Box::pin(self.swap_aside(&aside, new, old, &record.key, &ttl, until)).await
        } else {
            let command = self.swapping(&new, old, &record.key, &ttl, by_itself);
            drop(new);
            self.line.call(Does::Write, &command, until).await
        };
        let value = match answer {
            Ok(Value::Int(1)) => return Ok(Some(Update::Updated)),
            Ok(Value::Nil) => return Ok(Some(Update::Gone)),
            Ok(Value::BulkString(value)) if by_itself && value == old.bytes => {
                return Ok(Some(Update::Updated));
            }
            Ok(Value::BulkString(value)) => value,
            Err(failure) if is_aside && failure.kind == FailureKind::Refused => {
                // Somebody may not have one of these commands. The script that keeps the indexes does
                // without.
                self.loaded.sets_aside.store(false, Ordering::Relaxed);
                return Ok(None);
            }
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

    fn swapping(
        &self,
        new: &[u8],
        old: &Old,
        key: &SessionKey,
        ttl: &str,
        by_itself: bool,
    ) -> Command {
        let (name, ttl, old) = (self.keys.record(key), ttl.as_bytes(), &old.bytes[..]);
        if by_itself {
            let set = [b"SET", &name[..], new, b"IFEQ", old, b"GET", b"PX", ttl];
            return Command::from(cmd(&set));
        }
        scripts::SWAP.call(&[&name], &[new, &old[..layout::IDENTITY], ttl])
    }

    /// What a large value is called while it is set aside, where that can be done in one piece. No two
    /// tries have the same name.
    fn aside(&self, size: usize, record: &Record, by_itself: bool) -> Option<Vec<u8>> {
        let may = self.loaded.sets_aside.load(Ordering::Relaxed);
        if !may || by_itself || self.line.is_cluster() || size <= LARGEST {
            return None;
        }
        let n = self.loaded.aside.fetch_add(1, Ordering::Relaxed);
        let name = format!("aside:{:016x}-{n}", record.revision.as_u64());
        Some(self.keys.beside(&record.key, &name))
    }

    /// The same with a large value that does not go through the script.
    async fn swap_aside(
        &self,
        aside: &[u8],
        new: Vec<u8>,
        old: &Old,
        key: &SessionKey,
        ttl: &str,
        until: Instant,
    ) -> Result<Value, Failure> {
        let set = cmd(&[b"SET", aside, &new, b"PX", ASIDE]);
        drop(new);
        let name = self.keys.record(key);
        let args = [&old.bytes[..layout::IDENTITY], ttl.as_bytes()];
        let script = scripts::ASIDE.call(&[&name, aside], &args);
        let both = Together::ahead(set, &script);
        let answers = self.line.together(both, until).await?;
        answers.into_iter().last().ok_or_else(Failure::unexpected)
    }
}
