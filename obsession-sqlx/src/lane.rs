//! The way from calls to the workers that hold the connections.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use obsession_core::{Clock, SessionKey, timeout_at};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::FailureKind;
use crate::call::{self, Ticket};
use crate::dialect::{At, Dialect, Held, Look, Role, Seen};
use crate::error::Failure;
use crate::names::Names;
use crate::worker::Worker;
use crate::write::{Outcome, Write};

/// How many calls wait for a worker before their callers wait themselves.
const QUEUE: usize = 1024;

/// What all workers of a store share.
pub(crate) struct Base<D: Dialect> {
    pub(crate) dialect: D,
    pub(crate) names: Names,
    pub(crate) options: crate::dialect::Options<D>,
    pub(crate) deadline: Duration,
    /// Nothing if the database's own clock decides.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    /// How many connections were lost. Those that are older than the last loss may be dead as well.
    pub(crate) losses: AtomicU64,
    pub(crate) statements: AtomicU64,
}

impl<D: Dialect> Base<D> {
    pub(crate) fn now(&self) -> At {
        self.clock.as_ref().map(Clock::now)
    }

    /// For tests of how many calls share one.
    pub(crate) fn count_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    /// One that met others' lock is sent again, and counts once.
    pub(crate) fn uncount_statement(&self) {
        self.statements.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the calls of a lane arrive.
pub(crate) type Inbox<D> = mpsc::Receiver<Job<D>>;

/// A call in the queue.
pub(crate) enum Job<D: Dialect> {
    Load(SessionKey, Look, Ticket<Option<Seen>>),
    Write(Write, Ticket<Outcome>),
    /// One that goes by itself.
    Alone(Box<dyn Alone<D>>),
    Close,
}

pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A call that goes by itself, whatever it does and answers.
pub(crate) trait Alone<D: Dialect>: Send {
    fn until(&self) -> Instant;
    /// Whether somebody is waiting.
    fn send(&self) -> bool;
    /// Runs it and keeps the answer.
    fn run<'a>(
        &'a mut self,
        dialect: &'a D,
        connection: &'a mut Held<D>,
        at: At,
    ) -> Boxed<'a, Result<(), sqlx::Error>>;
    /// Gives the answer that was kept, or this one instead.
    fn answer(self: Box<Self>, instead: Option<Failure>);
}

/// The queues of a store.
pub(crate) struct Lanes<D: Dialect> {
    reads: mpsc::Sender<Job<D>>,
    writes: Vec<mpsc::Sender<Job<D>>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl<D: Dialect> Lanes<D> {
    /// Starts the workers, in the runtime of whoever calls. Each makes its connection when it has
    /// something to do.
    pub(crate) fn start(base: &Arc<Base<D>>, readers: usize, writers: usize) -> Self {
        let mut workers = Vec::new();
        let mut lane = |role, count| {
            let (sender, inbox) = mpsc::channel(QUEUE);
            let inbox = Arc::new(Mutex::new(inbox));
            for _ in 0..count {
                let working = keep_working(Arc::clone(base), role, Arc::clone(&inbox));
                workers.push(tokio::spawn(working));
            }
            sender
        };
        let reads = lane(Role::Reads, readers.max(1));
        let writing = 0..writers.max(1);
        Self {
            reads,
            writes: writing.map(|_| lane(Role::Writes, 1)).collect(),
            workers: Mutex::new(workers),
        }
    }

    pub(crate) async fn load(
        &self,
        key: &SessionKey,
        look: Look,
        until: Instant,
    ) -> Result<Option<Seen>, Failure> {
        let lane = match look {
            Look::Now => &self.reads,
            Look::Settled => self.writer(key),
        };
        call(lane, until, |ticket| Job::Load(*key, look, ticket)).await
    }

    pub(crate) async fn write(&self, write: Write, until: Instant) -> Result<Outcome, Failure> {
        let lane = self.writer(write.key());
        call(lane, until, |ticket| Job::Write(write, ticket)).await
    }

    /// Runs something on a connection that reads or writes, by itself. It may be run twice if the
    /// connection is lost.
    pub(crate) async fn alone<T, F>(&self, role: Role, until: Instant, ask: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a D, &'a mut Held<D>, At) -> Boxed<'a, Result<T, sqlx::Error>>
            + Send
            + 'static,
    {
        let lane = match role {
            Role::Reads => &self.reads,
            _ => &self.writes[0],
        };
        call(lane, until, |ticket| {
            Job::Alone(Box::new(Asked {
                ask,
                kept: None,
                ticket,
            }))
        })
        .await
    }

    /// Waits until all that was queued has been answered and the connections are closed.
    pub(crate) async fn close(&self) {
        for lane in self.writes.iter().chain([&self.reads]) {
            // An error is a lane that is closed already.
            drop(lane.send(Job::Close).await);
        }
        for worker in self.workers.lock().await.drain(..) {
            drop(worker.await);
        }
    }

    /// Writes of one key are never under way on two connections of this store.
    fn writer(&self, key: &SessionKey) -> &mpsc::Sender<Job<D>> {
        if let [only] = &self.writes[..] {
            return only;
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let lanes = self.writes.len() as u64;
        // It is less than the number of lanes.
        &self.writes[usize::try_from(hasher.finish() % lanes).unwrap_or_default()]
    }
}

/// Has a worker on the lane until that is closed. One that panics, which only a bug of ours or of sqlx can
/// bring about, is replaced: what it had in hand is answered by an error, and what is in the queue goes
/// on.
async fn keep_working<D: Dialect>(base: Arc<Base<D>>, role: Role, inbox: Arc<Mutex<Inbox<D>>>) {
    loop {
        let worker = Worker::new(Arc::clone(&base), role, Arc::clone(&inbox));
        match tokio::spawn(worker.run()).await {
            Err(error) if error.is_panic() => {
                tracing::error!(
                    ?role,
                    "a task that holds a connection panicked; it is replaced"
                );
            }
            _ => return,
        }
    }
}

async fn call<D: Dialect, T>(
    lane: &mpsc::Sender<Job<D>>,
    until: Instant,
    job: impl FnOnce(Ticket<T>) -> Job<D>,
) -> Result<T, Failure> {
    let (waiting, ticket) = call::pair(until);
    match timeout_at(until, lane.reserve()).await {
        Some(Ok(place)) => place.send(job(ticket)),
        Some(Err(_)) => return Err(Failure::not_applied(FailureKind::Closed)),
        None => return Err(Failure::not_applied(FailureKind::Late)),
    }
    waiting.answer(until).await
}

struct Asked<T, F> {
    ask: F,
    kept: Option<T>,
    ticket: Ticket<T>,
}

impl<D, T, F> Alone<D> for Asked<T, F>
where
    D: Dialect,
    T: Send,
    F: for<'a> Fn(&'a D, &'a mut Held<D>, At) -> Boxed<'a, Result<T, sqlx::Error>> + Send,
{
    fn until(&self) -> Instant {
        self.ticket.until()
    }

    fn send(&self) -> bool {
        self.ticket.send()
    }

    fn run<'a>(
        &'a mut self,
        dialect: &'a D,
        connection: &'a mut Held<D>,
        at: At,
    ) -> Boxed<'a, Result<(), sqlx::Error>> {
        let asked = (self.ask)(dialect, connection, at);
        let kept = &mut self.kept;
        Box::pin(async move {
            *kept = Some(asked.await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, instead: Option<Failure>) {
        match (self.kept, instead) {
            (Some(kept), None) => self.ticket.answer(Ok(kept)),
            (_, instead) => {
                let unexpected = || Failure::unknown(FailureKind::Unexpected);
                self.ticket.answer(Err(instead.unwrap_or_else(unexpected)));
            }
        }
    }
}

impl<D: Dialect> fmt::Debug for Lanes<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lanes")
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use obsession_core::{Effect, SessionIndex, SessionStore};

    use super::*;
    use crate::SqliteStore;

    #[tokio::test]
    async fn a_worker_that_panics_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("sessions.db").display());
        let builder = SqliteStore::builder(&*url).migrate().await.unwrap();
        let store = builder.connect().await.unwrap();
        let lanes = &store.shared.lanes;
        for role in [Role::Writes, Role::Reads] {
            for _ in 0..20 {
                let until = store.until();
                let asked: Result<(), _> = lanes
                    .alone(role, until, |_, _, _| {
                        Box::pin(async { panic!("on purpose") })
                    })
                    .await;
                let failure = asked.unwrap_err();
                assert_eq!(failure.kind, FailureKind::Unexpected);
                assert_eq!(failure.effect, Effect::Unknown);
            }
            assert_eq!(store.count().await.unwrap(), 0);
            assert_eq!(store.delete_expired(10).await.unwrap(), 0);
        }
        store.close().await;
    }
}
