//! Who waits for the end of which session, in this process.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::{SessionKey, lock};

/// Apart by key, so that those who wait for different sessions do not wait for each other.
const SHARDS: usize = 64;

/// The places of all who wait. A request that ends a session, or signs somebody in, reads one counter
/// as long as nobody waits for any.
pub(crate) struct Watchers {
    waiting: AtomicUsize,
    shards: [Mutex<HashMap<SessionKey, Vec<Waiting>>>; SHARDS],
}

struct Waiting {
    subject: Option<Arc<str>>,
    bell: Arc<Notify>,
}

/// A place among those who wait for a session, given back on drop.
pub(crate) struct Place {
    watchers: Arc<Watchers>,
    key: SessionKey,
    /// It keeps a ring that nobody waits for yet, so none is missed.
    pub(crate) bell: Arc<Notify>,
}

impl Watchers {
    pub(crate) fn new() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Waits for what happens to the session of `key` from here on, which is `subject`'s.
    pub(crate) fn enter(self: &Arc<Self>, key: SessionKey, subject: Option<Arc<str>>) -> Place {
        let bell = Arc::new(Notify::new());
        let waiting = Waiting {
            subject,
            bell: Arc::clone(&bell),
        };
        lock(self.shard(&key)).entry(key).or_default().push(waiting);
        // Whoever ends the session and does not see this yet has ended it before the first load of
        // the one who waits, which comes after.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Place {
            watchers: Arc::clone(self),
            key,
            bell,
        }
    }

    /// Something has happened to the session of `key`.
    pub(crate) fn ring(&self, key: &SessionKey) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        for waiting in lock(self.shard(key)).get(key).into_iter().flatten() {
            waiting.bell.notify_one();
        }
    }

    /// The sessions of `subject` have ended.
    pub(crate) fn ring_all(&self, subject: &str) {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        for shard in &self.shards {
            for waiting in lock(shard).values().flatten() {
                if waiting.subject.as_deref() == Some(subject) {
                    waiting.bell.notify_one();
                }
            }
        }
    }

    fn shard(&self, key: &SessionKey) -> &Mutex<HashMap<SessionKey, Vec<Waiting>>> {
        let [.., a, b] = key.as_bytes();
        &self.shards[(usize::from(*a) * 64 + usize::from(*b)) % SHARDS]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = lock(self.watchers.shard(&self.key));
        if let Some(waiting) = shard.get_mut(&self.key) {
            waiting.retain(|other| !Arc::ptr_eq(&other.bell, &self.bell));
            if waiting.is_empty() {
                shard.remove(&self.key);
            }
        }
        self.watchers.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}
