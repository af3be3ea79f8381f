//! Sessions in this process's memory.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use crate::key_map::KeyMap;
use crate::{
    Bell, Clock, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey,
    SessionStore, StoreError, SystemClock, Timestamp, Touch, Update, lock,
};

/// One lock for all would make a second thread slower instead of faster. What is left with many is
/// that a shard which another core has written is fetched from there: a second hyperthread adds 5 %
/// with 1,024 shards, 27 % with 4,096, and 35 to 47 % with 4,096 that share no cache line, of the 60 %
/// that it adds with a store of its own (`memory_store.rs`, the ignored measurement). They take 512 KiB.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 12;
/// How many expired records a create removes that finds the store full.
const MAKE_ROOM: usize = 64;
/// How many expired records a create removes in passing, so that a store without a cleanup task
/// does not only grow.
const IN_PASSING: usize = 2;

/// Sessions in this process's memory: for tests, and for applications of one process whose
/// sessions may end with it.
///
/// An acknowledged write survives nothing but the request: when the process ends, all is gone. At
/// most 100,000 sessions unless set; when it is full, new ones are refused, since dropping a
/// session that was acknowledged would break a promise. Clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

/// What a full [`MemoryStore`] does with a new session, once no expired one is left to remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenFull {
    /// Refuses it, with an error.
    #[default]
    Refuse,
    /// Ends a session near its deadline to make room: with one lifetime for all, one that has not
    /// been used for long. Whoever can make many sessions can then log others out.
    EvictOldest,
}

struct Shared {
    shards: Box<[Mutex<Shard>]>,
    /// The keys of each subject. Locked after a shard, never before one.
    subjects: Mutex<Subjects>,
    len: AtomicUsize,
    capacity: usize,
    when_full: WhenFull,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
#[repr(align(128))]
struct Shard {
    records: KeyMap<Record>,
    deadlines: BTreeSet<(Timestamp, SessionKey)>,
}

#[derive(Default)]
struct Subjects(HashMap<Arc<str>, BTreeSet<SessionKey>>);

impl Subjects {
    fn forget(&mut self, subject: Option<&str>, key: &SessionKey) {
        let Some(subject) = subject else { return };
        if let Some(keys) = self.0.get_mut(subject) {
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(subject);
            }
        }
    }
}

impl MemoryStore {
    /// An empty store with all defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Configures a store.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            capacity: 100_000,
            when_full: WhenFull::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// How many records are held, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len.load(Ordering::Relaxed)
    }

    /// Whether no record is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let shard = self.shared.shard(key);
        let found = shard.records.get(key);
        Ok(found.filter(|record| self.shared.is_live(record)).cloned())
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        self.shared.create(record)
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        let mut shard = self.shared.shard(&record.key);
        let old = shard.records.get_mut(&record.key);
        match old.filter(|old| self.shared.is_live(old)) {
            None => Ok(Update::Gone),
            Some(old) if old.revision == record.revision => Ok(Update::Updated),
            Some(old) if old.revision != expected => Ok(Update::Conflict(old.clone())),
            Some(old) if old.expires_at == record.expires_at && old.subject == record.subject => {
                *old = record.clone();
                Ok(Update::Updated)
            }
            Some(_) => {
                self.shared.put(&mut shard, record.clone());
                Ok(Update::Updated)
            }
        }
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let mut shard = self.shared.shard(key);
        let Shard { records, deadlines } = &mut *shard;
        let record = records.get_mut(key);
        let Some(record) = record.filter(|record| self.shared.is_live(record)) else {
            return Ok(Touch::Gone);
        };
        if record.revision != expected {
            return Ok(Touch::Changed);
        }
        if expires_at > record.expires_at {
            deadlines.remove(&(record.expires_at, *key));
            deadlines.insert((expires_at, *key));
            record.expires_at = expires_at;
        }
        Ok(Touch::Touched)
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        let mut shard = self.shared.shard(key);
        let old = shard.records.get(key);
        let live = old.is_some_and(|record| self.shared.is_live(record));
        self.shared.remove(&mut shard, key);
        Ok(if live { Delete::Deleted } else { Delete::Gone })
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        Ok(self.shared.remove_expired(limit))
    }

    /// It is of one process, whose manager notices by itself what it does.
    async fn watch(&self, _: &SessionKey) -> Result<Bell, StoreError> {
        Ok(Bell::silent())
    }
}

#[async_trait]
impl SessionIndex for MemoryStore {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let now = self.shared.clock.now();
        let keys = self.shared.keys_of(subject, after);
        // The keys were copied, so each record is looked at again.
        let records = keys
            .iter()
            .filter_map(|key| self.shared.shard(key).records.get(key).cloned());
        let listed = records.filter(|r| r.is_live(now) && r.subject.as_deref() == Some(subject));
        Ok(listed.take(limit).collect())
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let now = self.shared.clock.now();
        let mut ended = 0;
        for key in self.shared.keys_of(subject, None) {
            let mut shard = self.shared.shard(&key);
            let record = shard.records.get(&key);
            if Some(&key) != except && record.and_then(|r| r.subject.as_deref()) == Some(subject) {
                let removed = self.shared.remove(&mut shard, &key);
                ended += usize::from(removed.is_some_and(|record| record.is_live(now)));
            }
        }
        Ok(ended)
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let now = self.shared.clock.now();
        // A record is live before its deadline, so the first that counts is after `now`.
        let from = after.map_or(Bound::Unbounded, |at| {
            Bound::Excluded((at.expires_at, at.key))
        });
        let mut found = Vec::new();
        for shard in &self.shared.shards {
            let shard = lock(shard);
            let ahead = shard.deadlines.range((from, Bound::Unbounded));
            let live = ahead.filter(|(deadline, _)| *deadline > now);
            found.extend(
                live.filter_map(|(_, key)| shard.records.get(key).cloned())
                    .take(limit),
            );
        }
        found.sort_unstable_by_key(|record| ScanCursor::from(record));
        found.truncate(limit);
        Ok(found)
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let now = self.shared.clock.now();
        let live = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            let expired = shard
                .deadlines
                .iter()
                .take_while(|(deadline, _)| *deadline <= now);
            (shard.records.len() - expired.count()) as u64
        };
        Ok(self.shared.shards.iter().map(live).sum())
    }
}

impl Shared {
    fn shard(&self, key: &SessionKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_of(key)])
    }

    fn is_live(&self, record: &Record) -> bool {
        self.clock.is_before(record.expires_at)
    }

    fn create(&self, record: &Record) -> Result<Create, StoreError> {
        let now = self.clock.now();
        loop {
            {
                let mut shard = self.shard(&record.key);
                self.pop_expired(&mut shard, now, IN_PASSING);
                match shard.records.get(&record.key) {
                    Some(old) if old.is_live(now) => {
                        let again = old.revision == record.revision;
                        return Ok(if again {
                            Create::Created
                        } else {
                            Create::KeyTaken
                        });
                    }
                    Some(_) => drop(self.remove(&mut shard, &record.key)),
                    None => {}
                }
                if self.reserve() {
                    self.put(&mut shard, record.clone());
                    return Ok(Create::Created);
                }
            }
            // Without the shard's lock, since room is made in all of them.
            if self.remove_expired(MAKE_ROOM) == 0
                && !(self.when_full == WhenFull::EvictOldest && self.evict(shard_of(&record.key)))
            {
                return Err(StoreError::not_applied("the memory store is full"));
            }
        }
    }

    /// Takes one of the places, if one is left.
    fn reserve(&self) -> bool {
        let more = |len: usize| (len < self.capacity).then_some(len + 1);
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Ends a session with the first deadline of its shard, beginning with this shard.
    fn evict(&self, first: usize) -> bool {
        (0..SHARDS).any(|n| {
            let mut shard = lock(&self.shards[(first + n) % SHARDS]);
            let oldest = shard.deadlines.first().copied();
            oldest.is_some_and(|(_, key)| self.remove(&mut shard, &key).is_some())
        })
    }

    fn remove_expired(&self, limit: usize) -> usize {
        let now = self.clock.now();
        let mut removed = 0;
        for shard in &self.shards {
            if removed == limit {
                break;
            }
            removed += self.pop_expired(&mut lock(shard), now, limit - removed);
        }
        removed
    }

    fn pop_expired(&self, shard: &mut Shard, now: Timestamp, limit: usize) -> usize {
        let mut popped = 0;
        while let Some((_, key)) = shard
            .deadlines
            .first()
            .copied()
            .filter(|(at, _)| *at <= now)
            && popped < limit
        {
            self.remove(shard, &key);
            popped += 1;
        }
        popped
    }

    /// Puts a record in the place of the old one of its key, or in a reserved place.
    fn put(&self, shard: &mut Shard, record: Record) {
        let key = record.key;
        let (deadline, subject) = (record.expires_at, record.subject.clone());
        let old = shard.records.insert(key, record);
        if let Some(old) = &old {
            shard.deadlines.remove(&(old.expires_at, key));
        }
        shard.deadlines.insert((deadline, key));
        let old_subject = old.and_then(|old| old.subject);
        if old_subject != subject {
            // Under one lock, so that it is always in the list of one of the two.
            let mut subjects = lock(&self.subjects);
            subjects.forget(old_subject.as_deref(), &key);
            if let Some(subject) = subject {
                subjects.0.entry(subject).or_default().insert(key);
            }
        }
    }

    fn remove(&self, shard: &mut Shard, key: &SessionKey) -> Option<Record> {
        let record = shard.records.remove(key)?;
        shard.deadlines.remove(&(record.expires_at, *key));
        if record.subject.is_some() {
            lock(&self.subjects).forget(record.subject.as_deref(), key);
        }
        self.len.fetch_sub(1, Ordering::Relaxed);
        Some(record)
    }

    fn keys_of(&self, subject: &str, after: Option<&SessionKey>) -> Vec<SessionKey> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let subjects = lock(&self.subjects);
        let keys = subjects
            .0
            .get(subject)
            .map(|keys| keys.range((after, Bound::Unbounded)));
        keys.into_iter().flatten().copied().collect()
    }
}

fn shard_of(key: &SessionKey) -> usize {
    let [a, b, c, d, ..] = *key.as_bytes();
    // The characters are few of the possible bytes; multiplying by the golden ratio spreads them
    // over the upper bits (Knuth, The Art of Computer Programming 3, 6.4).
    let spread = u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1);
    (spread >> (u32::BITS - SHARD_BITS)) as usize
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("capacity", &self.shared.capacity)
            .finish_non_exhaustive()
    }
}

/// Configures a [`MemoryStore`].
#[derive(Debug)]
#[must_use]
pub struct MemoryStoreBuilder {
    capacity: usize,
    when_full: WhenFull,
    clock: Arc<dyn Clock>,
}

impl MemoryStoreBuilder {
    /// How many sessions it holds at most; 100,000 unless set.
    pub fn capacity(mut self, sessions: usize) -> Self {
        self.capacity = sessions;
        self
    }

    /// What to do with a new session when it is full; [`WhenFull::Refuse`] unless set.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// The clock; the operating system's unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        MemoryStore {
            shared: Arc::new(Shared {
                shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
                subjects: Mutex::default(),
                len: AtomicUsize::new(0),
                capacity: self.capacity,
                when_full: self.when_full,
                clock: self.clock,
            }),
        }
    }
}
