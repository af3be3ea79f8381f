//! The one thread that writes, and the queue before it.
//!
//! Calls wait here while the batch before them goes to disk; then they go together. One flush for
//! all that wait is what makes 64 writers cost little more than one.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io, thread};

use obsession_core::StoreError;
use sled::transaction::{
    ConflictableTransactionError, TransactionError, Transactional, UnabortableTransactionError,
};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Trouble, WriteFailed};
use crate::layout::Trees;
use crate::open::FlushError;
use crate::operations::Operation;
use crate::shared::{Applied, Shared};
use crate::view::{Changes, View};

/// How many calls may wait; further ones wait for a place. It bounds what the queue holds.
const WAITING: usize = 1024;
/// How much goes to disk together at most, so that nobody waits for too much of others.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// The way to the writer. The thread ends when the last of these is gone.
#[derive(Clone)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
    early: Arc<AtomicBool>,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Queue {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (messages, inbox) = mpsc::channel(WAITING);
        let early = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            shared: Arc::clone(&shared),
            inbox,
            early: Arc::clone(&early),
        };
        thread::Builder::new()
            .name("obsession-sled".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            messages,
            early,
        })
    }

    /// Carries out `operation`, and answers when it is on disk.
    ///
    /// Dropped before it is in the queue, nothing happens; after that, it happens.
    pub(crate) async fn call<O: Operation>(&self, operation: O) -> Result<O::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            operation,
            outcome: RefCell::new(None),
            reply,
        };
        let sent = self.messages.send(Message::Job(Box::new(call))).await;
        sent.map_err(|_| self.shared.refusal())?;
        // Without an answer the thread has panicked.
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::unknown("the writer of the sled store has died")))
    }

    /// Waits until all that was queued is on disk and the database is closed.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.messages.send(Message::Close(reply)).await.is_ok() {
            // An error is the end of the thread, which closes as well.
            drop(closed.await);
        }
    }

    /// Answers from now on before anything is on disk.
    pub(crate) fn answer_early(&self) {
        self.early.store(true, Ordering::Relaxed);
    }
}

/// A call in the queue, whatever it does and answers.
trait Job: Send {
    fn bytes(&self) -> usize;
    /// Runs it and keeps the answer. An error is that of sled and ends the batch.
    fn run(&self, view: &View<'_>) -> Result<(), UnabortableTransactionError>;
    /// Gives the answer that was kept, or an error instead.
    fn answer(self: Box<Self>, instead: Option<StoreError>);
}

struct Call<O: Operation> {
    operation: O,
    outcome: RefCell<Option<Result<O::Answer, StoreError>>>,
    reply: oneshot::Sender<Result<O::Answer, StoreError>>,
}

impl<O: Operation> Job for Call<O> {
    fn bytes(&self) -> usize {
        self.operation.bytes()
    }

    fn run(&self, view: &View<'_>) -> Result<(), UnabortableTransactionError> {
        let outcome = match self.operation.run(view) {
            Err(Trouble::Sled(error)) => return Err(error),
            Err(trouble) => Err(trouble.refusal()),
            Ok(answer) => Ok(answer),
        };
        self.outcome.replace(Some(outcome));
        Ok(())
    }

    fn answer(self: Box<Self>, instead: Option<StoreError>) {
        let kept = instead.map(Err).or_else(|| self.outcome.take());
        // Nobody may be waiting any more.
        drop(kept.map(|outcome| self.reply.send(outcome)));
    }
}

struct Writer {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Message>,
    early: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self) {
        let panicking = Release(Arc::clone(&self.shared));
        let mut closing = None;
        while closing.is_none()
            && let Some(first) = self.inbox.blocking_recv()
        {
            let batch = self.gather(first, &mut closing);
            if !batch.is_empty() {
                self.carry_out(batch);
            }
        }
        drop(panicking);
        // Those who came after the close, or between the two.
        self.inbox.close();
        while let Some(message) = self.inbox.blocking_recv() {
            match message {
                Message::Job(job) => job.answer(Some(self.shared.refusal())),
                Message::Close(reply) => reply.send(()).unwrap_or(()),
            }
        }
        if let Some(reply) = closing {
            reply.send(()).unwrap_or(());
        }
    }

    /// Takes what is waiting, up to the bounds of a batch.
    fn gather(
        &mut self,
        first: Message,
        closing: &mut Option<oneshot::Sender<()>>,
    ) -> Vec<Box<dyn Job>> {
        let (mut batch, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(message) = next {
            match message {
                Message::Close(reply) => {
                    *closing = Some(reply);
                    break;
                }
                Message::Job(job) => {
                    bytes += job.bytes();
                    batch.push(job);
                }
            }
            if batch.len() == BATCH || bytes >= BATCH_BYTES {
                break;
            }
            next = self.inbox.try_recv().ok();
        }
        batch
    }

    fn carry_out(&self, batch: Vec<Box<dyn Job>>) {
        if self.shared.has_failed() {
            for job in batch {
                job.answer(Some(self.shared.refusal()));
            }
            return;
        }
        match self.commit(&batch) {
            Ok(()) => {
                // Every answer waits for the flush, also "somebody else was first": that somebody
                // may be in the same batch.
                for job in batch {
                    job.answer(None);
                }
            }
            Err((message, failed)) => {
                // After a failed sync the system may have dropped the pages that it could not
                // write, and a second sync would succeed without them. So memory says one thing
                // and the disk another, and only opening the database again makes them agree.
                self.shared.fail();
                tracing::error!(error = &failed as &dyn StdError, "{message}");
                for job in batch {
                    let error = StoreError::unknown(message).caused_by(failed.clone());
                    job.answer(Some(error));
                }
            }
        }
    }

    fn commit(&self, batch: &[Box<dyn Job>]) -> Result<(), (&'static str, WriteFailed)> {
        let applied = self.shared.apply(|trees, now| {
            let run = |view: &View<'_>| batch.iter().try_for_each(|job| job.run(view));
            transact(trees, now, run)
        });
        match applied {
            Ok(false) => Ok(()),
            Ok(true) => {
                let flushed = self.shared.flush(|database| {
                    if self.early.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    database.flush()
                });
                flushed.map_err(|error| match error {
                    FlushError::Sled(error) => ("sled could not flush", WriteFailed::new(error)),
                    FlushError::Sync(error) => (
                        "the file of the sled database could not be synced",
                        WriteFailed::new(error),
                    ),
                })
            }
            Err(TransactionError::Abort(never)) => match never {},
            Err(TransactionError::Storage(error)) => Err((
                "sled could not apply a transaction",
                WriteFailed::new(error),
            )),
        }
    }
}

enum Never {}

/// Runs one transaction over all trees.
fn transact(
    trees: &Trees,
    now: obsession_core::Timestamp,
    run: impl Fn(&View<'_>) -> Result<(), UnabortableTransactionError>,
) -> Result<Applied, TransactionError<Never>> {
    let all = (
        &trees.records,
        &trees.overflow,
        &trees.deadlines,
        &trees.subjects,
    );
    all.transaction(|(records, overflow, deadlines, subjects)| {
        let view = View {
            records,
            overflow,
            deadlines,
            subjects,
            now,
            changes: Changes::default(),
        };
        run(&view).map_err(ConflictableTransactionError::from)?;
        Ok(Applied {
            keys: view.changes.keys.take(),
            entries: view.changes.entries.get(),
            any: view.changes.any.get(),
        })
    })
}

/// Closes the database when the thread ends, however it does.
struct Release(Arc<Shared>);

impl Drop for Release {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail();
        }
        self.0.release();
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}
