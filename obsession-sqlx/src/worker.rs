//! A task that holds a connection, and sends what waits for it in as few statements as it can.
//!
//! While a statement is under way, calls gather in the queue; then all of them go together. A call
//! that comes alone goes alone and at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use obsession_core::{Effect, timeout_at};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::answers::{self, Written};
use crate::batch::{Batch, Group, Loads};
use crate::call::Ticket;
use crate::dialect::{Dialect, Held, Role};
use crate::driver;
use crate::error::{Diagnosis, Failure};
use crate::lane::{Alone, Base, Inbox};
use crate::write::{Kind, Outcome, Write};
use crate::{ConnectError, FailureKind};

/// How long others have a turn when they hold a lock.
const PAUSE: Duration = Duration::from_millis(2);

/// After what time a connection is asked whether it is still there, before it is written on.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) struct Worker<D: Dialect> {
    base: Arc<Base<D>>,
    role: Role,
    /// Shared by the workers of a lane. Whoever has it waits for the next call.
    inbox: Arc<Mutex<Inbox<D>>>,
    connection: Option<Held<D>>,
    /// How many losses there had been when the connection was last known to be alive.
    losses: u64,
    /// When a statement was last sent.
    used: Instant,
}

impl<D: Dialect> Worker<D> {
    pub(crate) fn new(base: Arc<Base<D>>, role: Role, inbox: Arc<Mutex<Inbox<D>>>) -> Self {
        Self {
            base,
            role,
            inbox,
            connection: None,
            losses: 0,
            used: Instant::now(),
        }
    }

    /// Works until the lane is closed and empty, or its last handle gone.
    pub(crate) async fn run(mut self) {
        while let Some(batch) = self.next().await {
            for loads in batch.loads {
                self.load(loads).await;
            }
            // What a statement of this batch has seen of a record answers those behind it.
            let mut written = Written::default();
            for group in batch.groups {
                self.write(group, &mut written).await;
            }
            for alone in batch.alone {
                self.alone(alone).await;
            }
        }
        if let Some(connection) = self.connection.take() {
            drop(connection.close().await);
        }
    }

    async fn next(&mut self) -> Option<Batch<D>> {
        let mut inbox = self.inbox.lock().await;
        let first = inbox.recv().await?;
        // Of callers that were answered together the others are about to call again. Were it not for
        // this, the first of them would go alone, and so would the next on another connection.
        yield_now().await;
        let batch = Batch::take(first, &mut inbox);
        if batch.closing {
            inbox.close();
        }
        Some(batch)
    }

    async fn load(&mut self, loads: Loads) {
        let Loads { look, mut calls } = loads;
        calls.retain(|(_, ticket)| ticket.send());
        let Some(until) = calls.iter().map(|(_, ticket)| ticket.until()).max() else {
            return;
        };
        let keys: Vec<_> = calls.iter().map(|(key, _)| *key).collect();
        let mut again = true;
        loop {
            let failed = match self.connection(until).await {
                Err(failure) => failure,
                Ok((base, connection)) => {
                    base.count_statement();
                    let loading = base.dialect.load(connection, &keys, look, base.now());
                    let failed = match timeout_at(until, loading).await {
                        Some(Ok(seen)) => return answers::loaded(calls, seen),
                        Some(Err(error)) => self.diagnose(error),
                        None => self.late(),
                    };
                    if failed.diagnosis.lost && std::mem::take(&mut again) {
                        continue;
                    }
                    if failed.diagnosis.kind == FailureKind::Busy && until > Instant::now() {
                        sleep(PAUSE).await;
                        continue;
                    }
                    if failed.diagnosis.one_row && calls.len() > 1 {
                        for call in calls {
                            let calls = vec![call];
                            Box::pin(self.load(Loads { look, calls })).await;
                        }
                        return;
                    }
                    failed.failure
                }
            };
            for (_, ticket) in calls {
                ticket.answer(Err(failed.clone()));
            }
            return;
        }
    }

    async fn write(&mut self, group: Group, written: &mut Written) {
        let Group { kind, calls } = group;
        let mut calls = written.answer_known(calls);
        calls.retain(|(_, ticket)| ticket.send());
        let (mut again, mut sent_before) = (true, false);
        while let Some(until) = calls.iter().map(|(_, ticket)| ticket.until()).max() {
            let (base, connection) = match self.connection(until).await {
                Ok(connected) => connected,
                Err(mut failure) => {
                    if sent_before {
                        failure.effect = Effect::Unknown;
                    }
                    return answers::refused(calls, &failure);
                }
            };
            let writes: Vec<_> = calls.iter().map(|(write, _)| write).collect();
            let mut progress = answers::Progress::new(writes.len());
            let carried = answers::carry_out(base, connection, kind, &writes, &mut progress);
            let failed = match timeout_at(until, carried).await {
                Some(Ok(())) => None,
                Some(Err(error)) => Some(self.diagnose(error)),
                None => Some(self.late()),
            };
            let left = progress.answer(calls, sent_before, written);
            let Some(failed) = failed else { return };
            calls = left;
            let Failed { failure, diagnosis } = failed;
            // Nothing of what is left was applied by a statement that only looked.
            let effect = if progress.only_looked() {
                Effect::NotApplied
            } else {
                failure.effect
            };
            // A create that is sent again could come true when the record has been made and ended
            // meanwhile; the others find that they are too late.
            let may_resend = effect == Effect::NotApplied || kind != Kind::Create;
            if diagnosis.lost && may_resend && std::mem::take(&mut again) {
                sent_before = effect == Effect::Unknown;
                continue;
            }
            // A row that somebody keeps locked is not to hold up the others.
            if diagnosis.one_row && calls.len() > 1 && !sent_before {
                for call in calls {
                    let calls = vec![call];
                    Box::pin(self.write(Group { kind, calls }, written)).await;
                }
                return;
            }
            let is_busy = diagnosis.kind == FailureKind::Busy && !diagnosis.one_row;
            if is_busy && effect == Effect::NotApplied && !sent_before {
                calls = wait_for_others(calls, &failure, self.margin()).await;
                continue;
            }
            let effect = if sent_before { Effect::Unknown } else { effect };
            return answers::refused(calls, &Failure { effect, ..failure });
        }
    }

    async fn alone(&mut self, mut job: Box<dyn Alone<D>>) {
        if !job.send() {
            return;
        }
        let until = job.until();
        let mut again = self.role == Role::Reads;
        loop {
            let failure = match self.connection(until).await {
                Err(failure) => failure,
                Ok((base, connection)) => {
                    base.count_statement();
                    let asked = job.run(&base.dialect, connection, base.now());
                    let failed = match timeout_at(until, asked).await {
                        Some(Ok(())) => return job.answer(None),
                        Some(Err(error)) => self.diagnose(error),
                        None => self.late(),
                    };
                    if failed.diagnosis.lost && std::mem::take(&mut again) {
                        continue;
                    }
                    let is_busy = failed.diagnosis.kind == FailureKind::Busy
                        && failed.failure.effect == Effect::NotApplied;
                    if is_busy && until > Instant::now() + self.margin() {
                        sleep(PAUSE).await;
                        continue;
                    }
                    failed.failure
                }
            };
            return job.answer(Some(failure));
        }
    }

    /// The connection, made again if it was lost.
    ///
    /// A statement on one that is dead is one of which nobody knows what has become. So a connection is
    /// asked first when another one was lost, and when it has not been used for a while: what is between
    /// forgets such ones. Both are seldom.
    async fn connection(&mut self, until: Instant) -> Result<(&Base<D>, &mut Held<D>), Failure> {
        let losses = self.base.losses.load(Ordering::Acquire);
        let now = Instant::now();
        let is_old = self.role == Role::Writes && now - self.used > IDLE;
        self.used = now;
        let mut alive = self.connection.take();
        if let (Some(connection), true) = (&mut alive, losses != self.losses || is_old) {
            // It leaves time for another one.
            let half = now + until.saturating_duration_since(now) / 2;
            let ping = timeout_at(half, connection.ping()).await;
            if !matches!(ping, Some(Ok(()))) {
                alive = None;
            }
        }
        let connection = match alive {
            Some(connection) => connection,
            None => match timeout_at(until, connect(&self.base, self.role)).await {
                Some(Ok(connection)) => connection,
                Some(Err(error)) => {
                    self.lose();
                    return Err(unreachable(error));
                }
                None => {
                    self.lose();
                    return Err(Failure::not_applied(FailureKind::Unreachable));
                }
            },
        };
        self.losses = losses;
        Ok((&self.base, self.connection.insert(connection)))
    }

    /// Gives up the connection, and has the others be asked.
    fn lose(&mut self) {
        self.connection = None;
        self.base.losses.fetch_add(1, Ordering::AcqRel);
    }

    /// How long a call has to have left to be tried once more, so that it is not under way when its time
    /// is up.
    fn margin(&self) -> Duration {
        Duration::from_millis(100).min(self.base.deadline / 4)
    }

    /// What an error means. A connection that is of no use any more is given up.
    fn diagnose(&mut self, error: sqlx::Error) -> Failed {
        let diagnosis = driver::diagnose(&self.base.dialect, &error);
        if diagnosis.lost {
            self.lose();
        }
        if diagnosis.kind == FailureKind::Busy {
            self.base.uncount_statement();
        }
        let failure = Failure::new(diagnosis.kind, diagnosis.effect);
        Failed {
            failure: failure.because(error),
            diagnosis,
        }
    }

    /// A statement that has not answered in time may have no one at its other end. Its connection is
    /// dropped with it, for its answer must not be taken for that of the next one.
    fn late(&mut self) -> Failed {
        self.lose();
        Failed {
            failure: Failure::unknown(FailureKind::Late),
            diagnosis: Diagnosis {
                lost: false,
                ..Diagnosis::lost(FailureKind::Late)
            },
        }
    }
}

/// Why a statement failed, for its callers and for the worker.
struct Failed {
    failure: Failure,
    diagnosis: Diagnosis,
}

/// Makes a connection and sets it up.
pub(crate) async fn connect<D: Dialect>(
    base: &Base<D>,
    role: Role,
) -> Result<Held<D>, ConnectError> {
    let options = base.options.clone();
    let options = base.dialect.options(options, role, base.deadline)?;
    let connecting = async {
        let mut connection = options.connect().await?;
        base.dialect
            .greet(&mut connection, role, base.deadline)
            .await?;
        Ok(connection)
    };
    connecting
        .await
        .map_err(|error: ConnectError| error.explained(&base.dialect))
}

/// Lets those have a turn who hold what the calls need. Calls whose time is nearly up are answered
/// before, so that they are told what is known: that they were not applied.
async fn wait_for_others(
    calls: Vec<(Write, Ticket<Outcome>)>,
    failure: &Failure,
    margin: Duration,
) -> Vec<(Write, Ticket<Outcome>)> {
    let end = Instant::now() + margin;
    let (calls, late): (Vec<_>, Vec<_>) = calls
        .into_iter()
        .partition(|(_, ticket)| ticket.until() > end);
    answers::refused(late, failure);
    if !calls.is_empty() {
        sleep(PAUSE).await;
    }
    calls
}

fn unreachable(error: ConnectError) -> Failure {
    let kind = match &error {
        ConnectError::Sql { kind, .. } => *kind,
        _ => FailureKind::Unreachable,
    };
    Failure::not_applied(kind).because(error)
}
