//! One call to Redis: sent once unless it is known that nothing came of it, and ended by its
//! deadline.

use std::ops::Range;
use std::time::Duration;

use obsession_core::timeout_at;
use redis::{ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::dial::{Connection, Dialer};
use crate::error::{Failure, FailureKind};
use crate::scripts::Command;

/// How long to wait before asking a Cluster again that is settling who has a slot.
const PAUSE: Duration = Duration::from_millis(10);

/// What a call does to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Does {
    /// It may be sent again, whatever became of it.
    Read,
    /// It may be sent again only if it is known that it was not carried out.
    Write,
    /// The same, and replicas are waited for, if that was asked for.
    End,
}

/// How many replicas are to confirm the end of a session, and how long they are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) replicas: usize,
    pub(crate) patience: Duration,
}

/// Where calls are sent.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    dialer: Dialer,
    deadline: Duration,
    /// Keys of one call may be on several nodes.
    cluster: bool,
    wait: Option<Wait>,
}

/// Commands that are sent in one piece.
pub(crate) struct Together<'a> {
    pipeline: Pipeline,
    /// The places of those whose errors are those of the call, unless there was one before.
    decisive: Range<usize>,
    /// One of them as a call of a script, which a server may not know, and its place.
    script: Option<(usize, &'a Command)>,
}

impl<'a> Together<'a> {
    pub(crate) fn of(pipeline: Pipeline, decisive: Range<usize>) -> Self {
        Self {
            pipeline,
            decisive,
            script: None,
        }
    }

    /// A command that decides, and what comes behind it.
    fn behind(command: &'a Command, behind: redis::Cmd) -> Self {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(command.short.clone());
        pipeline.add_command(behind);
        Self {
            pipeline,
            decisive: 0..1,
            script: Some((0, command)),
        }
    }

    /// A call of a script, and what is to be done for it before.
    pub(crate) fn ahead(before: redis::Cmd, script: &'a Command) -> Self {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(before);
        pipeline.add_command(script.short.clone());
        Self {
            pipeline,
            decisive: 0..2,
            script: Some((1, script)),
        }
    }

    /// Has the script sent with all of it from here on, unless that has been done.
    fn send_whole(&mut self) -> bool {
        let Some((at, script)) = self.script.take() else {
            return false;
        };
        let Some(whole) = script.whole() else {
            return false;
        };
        let old = std::mem::take(&mut self.pipeline);
        for (place, cmd) in old.cmd_iter().enumerate() {
            let cmd = if place == at { &whole } else { cmd };
            self.pipeline.add_command(cmd.clone());
        }
        true
    }
}

/// How far a call has come, for when its time is up.
#[derive(Default)]
struct Progress {
    sent: bool,
    generation: u64,
}

impl Line {
    pub(crate) fn new(dialer: Dialer, deadline: Duration, cluster: bool) -> Self {
        Self {
            dialer,
            deadline,
            cluster,
            wait: None,
        }
    }

    /// A line for ends of sessions, on a connection of its own: `WAIT` holds up what is behind it.
    pub(crate) fn waiting(self, wait: Wait) -> Self {
        Self {
            wait: Some(wait),
            ..self
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster
    }

    /// The instant by which a call that begins now has ended.
    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    /// Waits for the first connection.
    pub(crate) async fn connect(&self) -> Result<(), RedisError> {
        self.dialer.connection().await.map(drop)
    }

    pub(crate) async fn call(
        &self,
        does: Does,
        command: &Command,
        until: Instant,
    ) -> Result<Value, Failure> {
        let mut progress = Progress::default();
        let ended = match self.wait {
            Some(wait) if does == Does::End => {
                // On the heap, since it is seldom and large.
                let call = Box::pin(self.send_and_wait(command, wait, &mut progress));
                timeout_at(until, call).await
            }
            _ => timeout_at(until, self.send(does, command, &mut progress)).await,
        };
        ended.unwrap_or_else(|| Err(self.late(&progress)))
    }

    /// Sends independent reads or writes at once, and gives their answers in the same order.
    pub(crate) async fn many(
        &self,
        does: Does,
        commands: Vec<Command>,
        until: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let mut answers = vec![Value::Nil; commands.len()];
        let mut calls = JoinSet::new();
        let mut commands = commands.into_iter().enumerate();
        loop {
            // As many as a connection takes without making anyone wait.
            while calls.len() < 32
                && let Some((n, command)) = commands.next()
            {
                let line = self.clone();
                calls.spawn(async move { (n, line.call(does, &command, until).await) });
            }
            match calls.join_next().await {
                Some(Ok((n, answer))) => answers[n] = answer?,
                Some(Err(_)) => return Err(Failure::unexpected()),
                None => return Ok(answers),
            }
        }
    }

    async fn send(
        &self,
        does: Does,
        command: &Command,
        progress: &mut Progress,
    ) -> Result<Value, Failure> {
        let mut whole = None;
        let mut again = 0;
        loop {
            let (mut connection, generation) = self.connection(progress).await?;
            let cmd = whole.as_ref().unwrap_or(&command.short);
            progress.sent = true;
            let error = match connection.send(cmd).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let failure = Failure::answered(error);
            progress.sent = failure.sent;
            let Some(error) = &failure.source else {
                return Err(failure);
            };
            match (error.kind(), failure.kind) {
                (ErrorKind::Server(ServerErrorKind::NoScript), _) if whole.is_none() => {
                    whole = command.whole();
                    if whole.is_none() {
                        return Err(failure);
                    }
                }
                (ErrorKind::Server(ServerErrorKind::Ask), _) => {
                    if let Some(node) = node(error) {
                        progress.sent = true;
                        let cmd = whole.clone().or_else(|| command.whole());
                        let cmd = cmd.unwrap_or_else(|| command.short.clone());
                        match Box::pin(ask(&mut connection, cmd, node)).await {
                            // The new node does not have all of the keys, or has the slot by now.
                            Err(failure) if failure.is_settling() => {}
                            answer => return answer,
                        }
                        progress.sent = false;
                    }
                    sleep(PAUSE).await;
                }
                (
                    ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::TryAgain)
                    | ErrorKind::ClusterConnectionNotFound,
                    _,
                ) if self.cluster => {
                    // Until the deadline: the connection asks for the slots meanwhile.
                    sleep(PAUSE).await;
                }
                (_, FailureKind::ReadOnly) if again == 0 => {
                    // The server is a replica now. The name may lead to another one by this time.
                    self.dialer.discard(generation);
                    again += 1;
                }
                (_, FailureKind::Dropped) => {
                    if !self.cluster {
                        self.dialer.discard(generation);
                    }
                    if does != Does::Read || again > 0 {
                        return Err(failure);
                    }
                    again += 1;
                }
                _ => return Err(failure),
            }
        }
    }

    /// Sends a write and waits on its connection until enough replicas have it.
    async fn send_and_wait(
        &self,
        command: &Command,
        wait: Wait,
        progress: &mut Progress,
    ) -> Result<Value, Failure> {
        let mut behind = redis::cmd("WAIT");
        let millis = u64::try_from(wait.patience.as_millis()).unwrap_or(u64::MAX);
        behind.arg(wait.replicas).arg(millis.max(1));
        let mut commands = Together::behind(command, behind);
        let mut answers = self.send_together(&mut commands, progress).await?;
        let replicated = answers.pop().unwrap_or(Value::Nil);
        let answer = answers.pop().unwrap_or(Value::Nil);
        let answer = answer.extract_error().map_err(Failure::answered)?;
        match replicated {
            Value::Int(n) if usize::try_from(n).is_ok_and(|n| n >= wait.replicas) => Ok(answer),
            _ => Err(Failure {
                kind: FailureKind::NotReplicated,
                sent: true,
                source: None,
            }),
        }
    }

    /// Sends commands in one piece, and gives all answers. None of the decisive ones is an error.
    pub(crate) async fn together(
        &self,
        mut commands: Together<'_>,
        until: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let mut progress = Progress::default();
        let ended = timeout_at(until, self.send_together(&mut commands, &mut progress)).await;
        ended.unwrap_or_else(|| Err(self.late(&progress)))
    }

    async fn send_together(
        &self,
        commands: &mut Together<'_>,
        progress: &mut Progress,
    ) -> Result<Vec<Value>, Failure> {
        let mut again = 0;
        loop {
            let (mut connection, generation) = self.connection(progress).await?;
            progress.sent = true;
            let answers = match connection.send_together(&commands.pipeline, None).await {
                Ok(answers) => answers,
                Err(error) => {
                    let failure = Failure::answered(error);
                    if failure.kind == FailureKind::Dropped && !self.cluster {
                        self.dialer.discard(generation);
                    }
                    return Err(failure);
                }
            };
            let error = |answer: &'_ Value| matches!(answer, Value::ServerError(_));
            let refused = answers.iter().position(error);
            let refused = refused.filter(|place| commands.decisive.contains(place));
            let Some(Value::ServerError(error)) = refused.map(|place| &answers[place]) else {
                return Ok(answers);
            };
            progress.sent = false;
            let failure = Failure::answered(error.clone().into());
            match error.kind() {
                Some(ServerErrorKind::NoScript) if commands.send_whole() => {}
                Some(ServerErrorKind::Moved | ServerErrorKind::TryAgain) if self.cluster => {
                    sleep(PAUSE).await;
                }
                _ if failure.kind == FailureKind::ReadOnly && again == 0 => {
                    self.dialer.discard(generation);
                    again += 1;
                }
                _ => return Err(failure),
            }
        }
    }

    /// The time is up. A connection that does not answer may be one whose other end is gone.
    fn late(&self, progress: &Progress) -> Failure {
        if progress.sent {
            self.dialer.renew(progress.generation);
        }
        Failure::late(progress.sent)
    }

    /// Reads on a server that refuses what is counted as a write, if it is a master all the same.
    pub(crate) async fn read_on_master(
        &self,
        read: redis::Cmd,
        until: Instant,
    ) -> Result<Value, Failure> {
        let mut progress = Progress::default();
        let call = async {
            let (mut connection, _) = self.connection(&mut progress).await?;
            let mut pipeline = Pipeline::new();
            pipeline.add_command(read);
            pipeline.cmd("ROLE");
            let answers = connection.send_together(&pipeline, None).await;
            let mut answers = answers.map_err(Failure::answered)?;
            let role = answers
                .pop()
                .and_then(|role| redis::from_redis_value(role).ok());
            match role {
                Some(redis::Role::Primary { .. }) => {}
                _ => return Err(Failure::unexpected()),
            }
            let answer = answers.pop().unwrap_or(Value::Nil);
            answer.extract_error().map_err(Failure::answered)
        };
        match timeout_at(until, call).await {
            Some(answer) => answer,
            None => Err(Failure::late(false)),
        }
    }

    async fn connection(&self, progress: &mut Progress) -> Result<(Connection, u64), Failure> {
        let connected = self.dialer.connection().await;
        let (connection, generation) = connected.map_err(Failure::unreachable)?;
        progress.generation = generation;
        Ok((connection, generation))
    }
}

/// Where a slot is being moved to.
fn node(error: &RedisError) -> Option<(String, u16)> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// Sends a command to the node that is taking the slot over.
async fn ask(
    connection: &mut Connection,
    cmd: redis::Cmd,
    node: (String, u16),
) -> Result<Value, Failure> {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("ASKING");
    pipeline.add_command(cmd);
    let answers = connection.send_together(&pipeline, Some(node)).await;
    let last = answers.map_err(Failure::answered)?.pop();
    let last = last.ok_or_else(Failure::unexpected)?;
    last.extract_error().map_err(Failure::answered)
}
