//! The usual create, of a record of nobody: it and its deadline in the index of its shard.
//!
//! On one server it is a transaction of plain commands, sent in one piece, which costs two thirds of what
//! a script does. The index has to be kept for longer than the record: for that the script is sent, now
//! and then. On a Cluster it is sent always, since one that is moving a slot may have one of the two
//! keys here and one there.

use std::array::from_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use obsession_core::{Record, SessionKey, StoreError, Timestamp};
use redis::{Pipeline, Value};
use tokio::time::Instant;

use crate::error::Failure;
use crate::layout::{self, TAGS, Times};
use crate::line::{Does, Together};
use crate::scripts::{self, Command, cmd};
use crate::store::{Shared, unexpected};

/// What is known of the indexes of deadlines.
pub(crate) struct Kept {
    /// Until when that of each shard is kept at least.
    until: [AtomicU64; TAGS.len()],
    transactions: AtomicBool,
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self {
            until: from_fn(|_| AtomicU64::new(0)),
            transactions: AtomicBool::new(true),
        }
    }

    /// Notes that the server does not do transactions for this client.
    fn refuse(&self) {
        self.transactions.store(false, Ordering::Relaxed);
    }

    /// Whether a session can be made without seeing to its index, which is to be kept `until` then.
    fn suffices(&self, key: &SessionKey, until: Timestamp) -> bool {
        let kept = self.until[layout::shard(key)].load(Ordering::Relaxed);
        kept >= until.as_millis() && self.transactions.load(Ordering::Relaxed)
    }

    fn note(&self, key: &SessionKey, until: Timestamp) {
        self.until[layout::shard(key)].fetch_max(until.as_millis(), Ordering::Relaxed);
    }
}

impl Shared {
    /// Makes a record of nobody and says that it is there. If not, something was there before, which
    /// the whole script is for.
    pub(crate) async fn make(
        &self,
        record: &Record,
        times: &Times,
        until: Instant,
    ) -> Result<bool, StoreError> {
        let value = layout::encode(record, times.indexed);
        if self.line.is_cluster() || !self.kept.suffices(&record.key, times.indexed) {
            return Box::pin(self.make_and_keep(record, &value, times, until)).await;
        }
        let commands = Together::of(self.transaction(&record.key, &value, times), 1..4);
        let answers = self.line.together(commands, until).await;
        let answers = answers.map_err(Failure::of_write)?;
        let done = match &answers[..] {
            [.., Value::Array(done)] => done,
            [Value::ServerError(_), done @ .., _] => {
                // Somebody may not have transactions. They were done one by one.
                self.kept.refuse();
                done
            }
            _ => &[],
        };
        let [
            Value::Int(entered),
            Value::Int(left),
            made @ (Value::Okay | Value::Nil),
        ] = done
        else {
            // The index may have been refused and the record not.
            return Err(Failure::unexpected().of_write());
        };
        let made = *made == Value::Okay;
        if *left < times.index_ttl.parse().unwrap_or(i64::MAX) {
            // The index has been emptied since, or what the whole server has.
            let index = self.keys.deadlines(layout::tag(&record.key));
            let extend = scripts::EXTEND.call(&[&index], &[times.index_ttl.as_bytes()]);
            self.afterwards(made, extend, until).await?;
        }
        if made && *entered == 0 {
            // The entry of one that was over before.
            let entry = Command::from(self.entry(&record.key, times, &[]));
            self.afterwards(made, entry, until).await?;
        }
        Ok(made)
    }

    /// What is still to be done to an index. Without it a record that was made is not acknowledged.
    async fn afterwards(
        &self,
        made: bool,
        command: Command,
        until: Instant,
    ) -> Result<(), StoreError> {
        match self.line.call(Does::Write, &command, until).await {
            Err(_) if made => Err(Failure::unexpected().of_write()),
            answer => answer.map(drop).map_err(Failure::of_write),
        }
    }

    fn transaction(&self, key: &SessionKey, value: &[u8], times: &Times) -> Pipeline {
        let (name, deadlines) = self.of(key);
        let ttl = times.ttl.as_bytes();
        let mut pipeline = Pipeline::with_capacity(5);
        pipeline.add_command(cmd(&[b"MULTI"]));
        pipeline.add_command(self.entry(key, times, &[b"NX"]));
        pipeline.add_command(cmd(&[b"PTTL", &deadlines]));
        pipeline.add_command(cmd(&[b"SET", &name, value, b"NX", b"PX", ttl]));
        pipeline.add_command(cmd(&[b"EXEC"]));
        pipeline
    }

    fn entry(&self, key: &SessionKey, times: &Times, options: &[&[u8]]) -> redis::Cmd {
        let deadlines = self.keys.deadlines(layout::tag(key));
        let head: [&[u8]; 2] = [b"ZADD", &deadlines];
        cmd(&[&head, options, &[times.score.as_bytes(), key.as_bytes()]].concat())
    }

    /// The same as one script, which sees to it that the index is kept.
    async fn make_and_keep(
        &self,
        record: &Record,
        value: &[u8],
        times: &Times,
        until: Instant,
    ) -> Result<bool, StoreError> {
        let (name, deadlines) = self.of(&record.key);
        let args: [&[u8]; 4] = [
            value,
            times.ttl.as_bytes(),
            times.score.as_bytes(),
            times.index_ttl.as_bytes(),
        ];
        let command = scripts::NEW.call(&[&name, &deadlines], &args);
        let answer = self.line.call(Does::Write, &command, until).await;
        let made = match answer {
            Ok(Value::Int(1)) => true,
            Ok(Value::Int(0)) => false,
            answer => return Err(unexpected(answer)),
        };
        self.kept.note(&record.key, times.indexed);
        Ok(made)
    }
}
