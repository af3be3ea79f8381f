//! The store: sessions one by one.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use obsession_core::{
    Bell, Clock, CorruptRow, Create, Delete, Record, Revision, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update,
};
use redis::Value;
use tokio::time::Instant;

use crate::builder::{RedisStoreBuilder, Source};
use crate::error::{Failure, FailureKind};
use crate::layout::{self, Keys, TAGS, Times, big_endian};
use crate::line::{Does, Line};
use crate::make::Kept;
use crate::push::Pushes;
use crate::scripts::{self, Command};
use crate::swap::{Loaded, Old};
use crate::{ConnectError, Report};

/// How many leftovers of one shard cleanup removes at once. Others are served in between.
const STEP: usize = 256;

/// Sessions in Redis. See [the crate](crate).
///
/// Clones are the same store. It needs a tokio runtime.
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) line: Line,
    /// For what ends sessions.
    pub(crate) ending: Line,
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) loaded: Loaded,
    pub(crate) kept: Kept,
    /// Nothing where the server cannot tell of changes.
    pub(crate) pushes: Option<Pushes>,
}

impl RedisStore {
    /// Connects to the Redis of this URL.
    ///
    /// | URL | leads to |
    /// |---|---|
    /// | `redis://user:password@host:port/database` | one server |
    /// | `redis+sentinel://user:password@host:port,host:port/database?master=name` | the master that Sentinels name; `&sentinel_username=` and `&sentinel_password=` are for the Sentinels |
    /// | `redis+cluster://user:password@host:port,host:port` | a Cluster |
    ///
    /// One server and a master are spoken to in RESP3, for which the former may say `?protocol=resp2`
    /// instead. Everything but the hosts may be left out. `rediss` instead of `redis` is TLS, and `valkey`
    /// and `valkeys` mean the same.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL, or why there is no connection.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Configures a store: on a URL, a client or a connection that is ready.
    pub fn builder(source: impl Into<Source>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(source.into())
    }

    /// Looks at what an operator should know about this Redis. It changes nothing.
    ///
    /// Settings that a managed server hides are [unknown](crate::Verdict::Unknown).
    pub async fn check(&self) -> Report {
        crate::check::run(&self.shared).await
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let shared = &self.shared;
        let until = shared.line.until();
        let name = shared.keys.record(key);
        let read = Command::from(layout::read(&name));
        let answer = match shared.line.call(Does::Read, &read, until).await {
            Err(failure) if refuses_writes(&failure) => {
                let mut get = redis::cmd("GET");
                get.arg(&name);
                Box::pin(shared.line.read_on_master(get, until)).await
            }
            answer => answer,
        };
        let answer = answer.map_err(Failure::of_read)?;
        let now = shared.clock.now();
        let record = found(*key, &answer)?.filter(|record| record.is_live(now));
        if let (Some(_), Value::BulkString(value)) = (&record, answer) {
            shared.loaded.remember(*key, value);
        }
        Ok(record)
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        check(record)?;
        let shared = &self.shared;
        let until = shared.line.until();
        let now = shared.clock.now();
        let times = Times::new(record.expires_at, now);
        if let (true, Some(subject)) = (shared.line.is_cluster(), &record.subject) {
            let entering = shared.enter(subject, &record.key, record.expires_at, &times, until);
            Box::pin(entering).await?;
        }
        let usual = record.subject.is_none() && record.is_live(now);
        if usual && shared.make(record, &times, until).await? {
            return Ok(Create::Created);
        }
        let command = shared.write(&scripts::CREATE, record, &times, &[]);
        match shared.line.call(Does::Write, &command, until).await {
            Ok(Value::Int(1)) => Ok(Create::Created),
            Ok(Value::Int(0)) => Ok(Create::KeyTaken),
            answer => Err(unexpected(answer)),
        }
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        check(record)?;
        let shared = &self.shared;
        let until = shared.line.until();
        let old = shared.loaded.take(&record.key);
        if let Some(old) = &old
            && let Some(outcome) = shared.swap(old, expected, record, until).await?
        {
            return Ok(outcome);
        }
        // In a box, so that the usual ones need a smaller one.
        Box::pin(shared.update(old, expected, record, until)).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let shared = &self.shared;
        let until = shared.line.until();
        let times = Times::new(expires_at, shared.clock.now());
        let mut indexed = b"0";
        loop {
            let command = shared.touch(key, expected, expires_at, &times, indexed);
            match shared.line.call(Does::Write, &command, until).await {
                Ok(Value::Int(1)) => return Ok(Touch::Touched),
                Ok(Value::Int(2)) => return Ok(Touch::Changed),
                Ok(Value::Int(0)) => return Ok(Touch::Gone),
                Ok(Value::BulkString(_)) => return Err(damaged(CorruptRow)),
                Ok(Value::Array(subject)) if indexed == b"0" => {
                    let Some(Value::BulkString(subject)) = subject.first() else {
                        return Err(Failure::unexpected().of_write());
                    };
                    let subject = str::from_utf8(subject).map_err(|_| damaged(CorruptRow))?;
                    let entering = shared.enter(subject, key, expires_at, &times, until);
                    Box::pin(entering).await?;
                    indexed = b"1";
                }
                answer => return Err(unexpected(answer)),
            }
        }
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        let shared = &self.shared;
        let command = shared.delete(key, None);
        match shared
            .ending
            .call(Does::End, &command, shared.ending.until())
            .await
        {
            Ok(Value::Int(1)) => Ok(Delete::Deleted),
            Ok(Value::Int(0)) => Ok(Delete::Gone),
            answer => Err(unexpected(answer)),
        }
    }

    /// Redis removes the records itself; this removes what is left of them in the indexes, and says
    /// how many those were.
    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let shared = &self.shared;
        let until = shared.line.until();
        let now = shared.clock.now();
        let count = |tag: &&str| {
            let mut count = redis::cmd("ZCOUNT");
            let deadlines = shared.keys.deadlines(tag);
            count.arg(deadlines).arg("-inf").arg(layout::score(now));
            Command::from(count)
        };
        let counts = TAGS.iter().map(count).collect();
        let counts = shared.line.many(Does::Read, counts, until).await;
        let counts = counts.map_err(Failure::of_read)?;
        let mut removed = 0;
        for (tag, due) in TAGS.iter().zip(counts) {
            let Value::Int(mut due) = due else {
                return Err(Failure::unexpected().of_read());
            };
            while due > 0 && removed < limit {
                let step = STEP.min(limit - removed);
                let command = shared.expire(tag, now, step);
                let answer = shared.line.call(Does::Write, &command, until).await;
                let Ok(Value::Int(done)) = answer else {
                    return Err(unexpected(answer));
                };
                removed += usize::try_from(done).unwrap_or_default();
                due -= i64::try_from(step).unwrap_or(i64::MAX);
            }
        }
        Ok(removed)
    }

    /// One server, and the master that Sentinels name, tell of changes; where that is not to be had, it
    /// is silent.
    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        match &self.shared.pushes {
            Some(pushes) => pushes.watch(self.shared.keys.record(key)).await,
            None => Ok(Bell::silent()),
        }
    }
}

impl Shared {
    /// Updates a record, of which perhaps `old` is known, and the indexes with it.
    async fn update(
        &self,
        old: Option<Old>,
        expected: Revision,
        record: &Record,
        until: Instant,
    ) -> Result<Update, StoreError> {
        let times = Times::new(record.expires_at, self.clock.now());
        let expected = layout::revision(expected);
        let subject = record.subject.as_deref().unwrap_or_default();
        // What has been loaded tells whether its subject has to be indexed first; if nothing has, the
        // script does.
        let indexed = |old: Old| layout::is_indexed(&old.bytes, record, &times);
        let mut enter = self.line.is_cluster() && old.is_some_and(|old| !indexed(old));
        loop {
            if enter {
                self.enter(subject, &record.key, record.expires_at, &times, until)
                    .await?;
            }
            let args: [&[u8]; 2] = [&expected, if enter { b"1" } else { b"0" }];
            let command = self.write(&scripts::UPDATE, record, &times, &args);
            match self.line.call(Does::Write, &command, until).await {
                Ok(Value::Int(1)) => return Ok(Update::Updated),
                Ok(Value::Int(0)) => return Ok(Update::Gone),
                Ok(Value::BulkString(value)) => {
                    let current = decode(record.key, &value)?;
                    self.loaded.remember(record.key, value);
                    return Ok(Update::Conflict(current));
                }
                Ok(Value::Int(2)) if !enter => enter = true,
                answer => return Err(unexpected(answer)),
            }
        }
    }

    /// Enters a session into the index of its subject, ahead of its record. For a Cluster, where the
    /// two are on different nodes.
    async fn enter(
        &self,
        subject: &str,
        key: &SessionKey,
        deadline: Timestamp,
        times: &Times,
        until: Instant,
    ) -> Result<(), StoreError> {
        let index = self.keys.subject(subject);
        let head = layout::head(*key, deadline, times.indexed);
        let args: [&[u8]; 3] = [&times.now, &head, key.as_bytes()];
        let command = scripts::INDEX.call(&[&index], &args);
        // Whatever became of the entry, the record has not been written.
        let entered = self.line.call(Does::Read, &command, until).await;
        let Value::Int(entries) = entered.map_err(Failure::of_read)? else {
            return Err(Failure::unexpected().of_read());
        };
        self.tidy(subject, entries, until).await;
        Ok(())
    }

    fn write(
        &self,
        script: &'static scripts::Lua,
        record: &Record,
        times: &Times,
        more: &[&[u8]],
    ) -> Command {
        let (name, deadlines) = self.of(&record.key);
        let value = layout::encode(record, times.indexed);
        let mut args: Vec<&[u8]> = vec![
            &times.now,
            &value,
            times.ttl.as_bytes(),
            times.score.as_bytes(),
            self.subjects(),
        ];
        args.extend(more);
        script.call(&[&name, &deadlines], &args)
    }

    fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        deadline: Timestamp,
        times: &Times,
        indexed: &[u8],
    ) -> Command {
        let (name, deadlines) = self.of(key);
        let head = layout::head(*key, deadline, times.indexed);
        let args: [&[u8]; 7] = [
            &times.now,
            &head,
            times.ttl.as_bytes(),
            times.score.as_bytes(),
            self.subjects(),
            &layout::revision(expected),
            indexed,
        ];
        scripts::TOUCH.call(&[&name, &deadlines], &args)
    }

    /// Ends the session of `key`, if it is one of `subject`, should that be said.
    pub(crate) fn delete(&self, key: &SessionKey, subject: Option<&str>) -> Command {
        let (name, deadlines) = self.of(key);
        let now = big_endian(self.clock.now());
        let mut args: Vec<&[u8]> = vec![&now, self.subjects()];
        args.extend(subject.map(str::as_bytes));
        scripts::DELETE.call(&[&name, &deadlines], &args)
    }

    fn expire(&self, tag: &str, now: Timestamp, limit: usize) -> Command {
        let (score, limit) = (layout::score(now), limit.to_string());
        let (now, shard) = (big_endian(now), self.keys.shard(tag));
        let args: [&[u8]; 5] = [
            &now,
            score.as_bytes(),
            limit.as_bytes(),
            &shard,
            self.subjects(),
        ];
        scripts::EXPIRE.call(&[&self.keys.deadlines(tag)], &args)
    }

    /// The keys of a record and of the index of its shard.
    pub(crate) fn of(&self, key: &SessionKey) -> (Vec<u8>, Vec<u8>) {
        let deadlines = self.keys.deadlines(layout::tag(key));
        (self.keys.record(key), deadlines)
    }

    /// What a script needs to keep the indexes of subjects, where it can.
    fn subjects(&self) -> &[u8] {
        if self.line.is_cluster() {
            b""
        } else {
            self.keys.subjects.as_bytes()
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.shared.keys.prefix)
            .field("cluster", &self.shared.line.is_cluster())
            .field(
                "watching",
                &self.shared.pushes.as_ref().map(Pushes::watching),
            )
            .finish_non_exhaustive()
    }
}

/// The record in an answer, if there is one.
pub(crate) fn found(key: SessionKey, answer: &Value) -> Result<Option<Record>, StoreError> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(value) => decode(key, value).map(Some),
        _ => Err(Failure::unexpected().of_read()),
    }
}

pub(crate) fn decode(key: SessionKey, value: &[u8]) -> Result<Record, StoreError> {
    layout::decode(key, value).map_err(damaged)
}

pub(crate) fn unexpected(answer: Result<Value, Failure>) -> StoreError {
    answer.err().unwrap_or_else(Failure::unexpected).of_write()
}

fn damaged(error: CorruptRow) -> StoreError {
    StoreError::not_applied("the stored record is damaged").caused_by(error)
}

/// A server that may not write refuses to read for the store as well, though it has the data.
fn refuses_writes(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        FailureKind::NotPersisting | FailureKind::NoReplicas
    )
}

/// Refuses what would not come back as it is.
fn check(record: &Record) -> Result<(), StoreError> {
    let subject = record.subject.as_deref().unwrap_or_default();
    if subject.len() > Record::MAX_SUBJECT {
        return Err(StoreError::not_applied("the subject is too long"));
    }
    Ok(())
}
