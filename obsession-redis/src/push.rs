//! What the server tells of keys that have changed: client-side caching without a cache.
//!
//! A connection with `CLIENT TRACKING ON` is told once of each key that it has read when that is
//! written, deleted, expired or evicted. So a watch reads its key, with `EXISTS`, and is told. Who
//! writes sends nothing for it. The connection is made for the first watch and then kept.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use obsession_core::{Bell, StoreError};
use redis::{
    ErrorKind, Pipeline, PushInfo, PushKind, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::dial::{Dialer, Manner, Target};

/// How long after a connection was lost, or could not be made, another one is tried: from the first to
/// the second, twice as long each time.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// All watches of a store.
#[derive(Clone)]
pub(crate) struct Pushes(Arc<Shared>);

struct Shared {
    dialer: Dialer,
    patience: Duration,
    places: Arc<Places>,
    /// The connection that tells, by its number. Numbers begin at 1.
    tracking: AtomicU64,
    /// The server does not do this, and watches have to ask.
    refused: AtomicBool,
    /// A connection is being made for those who have a place and none to be told on.
    retrying: AtomicBool,
}

/// Who watches which key.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<Vec<u8>, Vec<Arc<Notify>>>>);

/// A place among those who watch a key, given back on drop.
struct Place {
    places: Arc<Places>,
    name: Vec<u8>,
    /// It keeps a ring that nobody waits for yet.
    bell: Arc<Notify>,
}

/// Why a key could not be registered.
enum Unregistered {
    /// The server, or what is in front of it, does not do this.
    Refused(RedisError),
    /// It may work on another connection.
    Failed(RedisError),
}

impl Pushes {
    /// Those of a store on `target`, if a connection to it can be told things.
    pub(crate) fn new(target: &Arc<Target>, manner: &Manner) -> Option<Self> {
        if !target.is_told() {
            return None;
        }
        let places = Arc::new(Places::default());
        let manner = manner.clone().told_of(Arc::downgrade(&places));
        Some(Self(Arc::new(Shared {
            patience: manner.patience,
            dialer: Dialer::new(Arc::clone(target), manner),
            places,
            tracking: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            retrying: AtomicBool::new(false),
        })))
    }

    /// Rings when the key of this name changes, from now on; or when there is a connection again, if
    /// there is none now.
    pub(crate) async fn watch(&self, name: Vec<u8>) -> Result<Bell, StoreError> {
        let shared = &self.0;
        if shared.refused.load(Ordering::Relaxed) {
            return Ok(Bell::silent());
        }
        // Before the server is asked, whose word may come at once.
        let place = Place::new(&shared.places, name);
        let mut generation = 0;
        let registering = shared.register(&place.name, &mut generation);
        match timeout(shared.patience, registering).await {
            Ok(Ok(())) => {}
            Ok(Err(Unregistered::Refused(error))) => {
                shared.refuse(&error);
                return Ok(Bell::silent());
            }
            Ok(Err(Unregistered::Failed(error))) => {
                tracing::debug!(%error, "a watch waits for a connection to Redis");
                shared.retry();
            }
            Err(_) => {
                tracing::debug!("Redis did not answer a watch in time");
                // Its other end may be gone.
                shared.dialer.discard(generation);
                shared.retry();
            }
        }
        Ok(Bell::new(async move { place.bell.notified().await }))
    }

    /// How many watch.
    pub(crate) fn watching(&self) -> usize {
        self.0.places.lock().values().map(Vec::len).sum()
    }
}

impl Shared {
    /// Has the server tell of the key of this name, on the connection of this `generation`.
    async fn register(&self, name: &[u8], generation: &mut u64) -> Result<(), Unregistered> {
        match self.register_once(name, generation).await {
            // The connection was lost, maybe long ago.
            Err(Unregistered::Failed(error)) if error.is_connection_dropped() => {
                self.register_once(name, generation).await
            }
            registered => registered,
        }
    }

    async fn register_once(&self, name: &[u8], used: &mut u64) -> Result<(), Unregistered> {
        let connected = self.dialer.connection().await;
        let (mut connection, generation) = connected.map_err(Unregistered::Failed)?;
        *used = generation;
        let mut pipeline = Pipeline::new();
        let tracks = self.tracking.load(Ordering::Acquire) == generation;
        if !tracks {
            pipeline.cmd("CLIENT").arg("TRACKING").arg("ON");
        }
        pipeline.cmd("EXISTS").arg(name);
        let answers = match connection.send_together(&pipeline, None).await {
            Ok(answers) => answers,
            Err(error) => {
                self.dialer.discard(generation);
                return Err(Unregistered::Failed(error));
            }
        };
        if let Err(error) = whole(answers) {
            return Err(if is_temporary(&error) {
                Unregistered::Failed(error)
            } else {
                Unregistered::Refused(error)
            });
        }
        if !tracks {
            self.tracking.store(generation, Ordering::Release);
        }
        Ok(())
    }

    /// Leaves watching to asking, from here on.
    fn refuse(&self, error: &RedisError) {
        if !self.refused.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "Redis does not tell of changes: watches ask instead");
        }
    }

    /// Makes a connection again as long as somebody watches, and then rings for all: each of them may
    /// have missed something, and registers again.
    fn retry(self: &Arc<Self>) {
        if self.retrying.swap(true, Ordering::AcqRel) {
            return;
        }
        let retrying = Retrying(Arc::downgrade(self));
        tokio::spawn(async move {
            let (mut pause, longest) = RETRY;
            loop {
                sleep(pause).await;
                pause = (pause * 2).min(longest);
                // Not held meanwhile: a store that is dropped ends this.
                let Some(shared) = retrying.0.upgrade() else {
                    return;
                };
                if shared.places.lock().is_empty() || shared.answers().await {
                    // Whoever fails from here on begins anew, and whoever has failed before is rung for.
                    drop(retrying);
                    shared.places.ring_all();
                    return;
                }
            }
        });
    }

    /// Whether there is a connection that answers in time.
    async fn answers(&self) -> bool {
        let connected = timeout(self.patience, self.dialer.connection()).await;
        let Ok(Ok((mut connection, generation))) = connected else {
            return false;
        };
        let ping = redis::cmd("PING");
        let answer = timeout(self.patience, connection.send(&ping)).await;
        let answers = answer.is_ok_and(|answer| answer.is_ok());
        if !answers {
            self.dialer.discard(generation);
        }
        answers
    }
}

/// A connection is being made, until this is dropped, if need be with its runtime.
struct Retrying(Weak<Shared>);

impl Drop for Retrying {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.retrying.store(false, Ordering::Release);
        }
    }
}

impl Places {
    /// Takes what the server says on the connection of the watches.
    pub(crate) fn told(&self, push: &PushInfo) {
        match (&push.kind, push.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(names))) => {
                let places = self.lock();
                for name in names {
                    let Value::BulkString(name) = name else {
                        continue;
                    };
                    ring(places.get(name));
                }
            }
            // All keys are gone, or nobody knows which.
            (PushKind::Invalidate | PushKind::Disconnection, _) => self.ring_all(),
            _ => {}
        }
    }

    fn ring_all(&self) {
        for bells in self.lock().values() {
            ring(Some(bells));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Vec<Arc<Notify>>>> {
        // Nothing that is done under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ring(bells: Option<&Vec<Arc<Notify>>>) {
    for bell in bells.into_iter().flatten() {
        bell.notify_one();
    }
}

impl Place {
    fn new(places: &Arc<Places>, name: Vec<u8>) -> Self {
        let bell = Arc::new(Notify::new());
        let mut all = places.lock();
        all.entry(name.clone()).or_default().push(Arc::clone(&bell));
        drop(all);
        Self {
            places: Arc::clone(places),
            name,
            bell,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.places.lock();
        if let Some(bells) = all.get_mut(&self.name) {
            bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
            if bells.is_empty() {
                all.remove(&self.name);
            }
        }
    }
}

/// The first error among the answers.
fn whole(answers: Vec<Value>) -> RedisResult<()> {
    answers
        .into_iter()
        .try_for_each(|answer| answer.extract_error().map(drop))
}

/// Whether the server may do later what it does not do now.
fn is_temporary(error: &RedisError) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoPerm)
            | ErrorKind::Extension
    )
}

impl fmt::Debug for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushes")
            .field("watching", &self.watching())
            .finish_non_exhaustive()
    }
}
