//! The usual create, of a record of nobody: it and its deadline in the index of its shard.
//!
//! On one server it is a transaction of plain commands, sent in one piece, which costs two thirds of what
//! a script does. The index has to be kept for longer than the record: for that the script is sent, now
//! and then. With its last session an index goes, and its end with it; then what is left to do comes
//! behind the transaction. On a Cluster the script is sent always, since one that is moving a slot may have
//! one of the two keys here and one there; and for a user who may not have transactions.

use std::array::from_fn;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use obsession_core::{Record, SessionKey, StoreError, Timestamp};
use redis::{Pipeline, Value};
use tokio::time::Instant;

use crate::error::Failure;
use crate::layout::{self, TAGS, Times};
use crate::line::{Does, Together};
use crate::scripts::{self, cmd};
use crate::store::{Shared, unexpected};

/// What is known of the server.
pub(crate) struct Kept {
    /// Until when the index of deadlines of each shard was kept at least, when it was last seen to.
    until: [AtomicU64; TAGS.len()],
    /// Whether it does transactions, once it has been asked.
    transactions: OnceLock<bool>,
    /// It has refused one since.
    refused: AtomicBool,
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self {
            until: from_fn(|_| AtomicU64::new(0)),
            transactions: OnceLock::new(),
            refused: AtomicBool::new(false),
        }
    }

    fn suffices(&self, key: &SessionKey, until: Timestamp) -> bool {
        let kept = self.until[layout::shard(key)].load(Ordering::Relaxed);
        kept >= until.as_millis() && !self.refused.load(Ordering::Relaxed)
    }

    fn note(&self, key: &SessionKey, until: Timestamp) {
        self.until[layout::shard(key)].fetch_max(until.as_millis(), Ordering::Relaxed);
    }

    fn forget(&self, key: &SessionKey) {
        self.until[layout::shard(key)].store(0, Ordering::Relaxed);
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
        if self.line.is_cluster()
            || !self.kept.suffices(&record.key, times.indexed)
            || !self.does_transactions(until).await?
        {
            return Box::pin(self.make_and_keep(record, &value, times, until)).await;
        }
        let commands = Together::of(self.transaction(&record.key, &value, times), 1..4);
        let answers = self.line.together(commands, until).await;
        let answers = answers.map_err(Failure::of_write)?;
        let done = match &answers[..] {
            [Value::Okay, .., Value::Array(done)] => done,
            [Value::Okay, .., Value::ServerError(error)] => {
                return Err(Failure::answered(error.clone().into()).of_write());
            }
            _ => {
                // They may have been done one by one.
                self.kept.refused.store(true, Ordering::Relaxed);
                return Err(Failure::unexpected().of_write());
            }
        };
        let [
            Value::Int(entered),
            Value::Int(left),
            made @ (Value::Okay | Value::Nil),
        ] = &done[..]
        else {
            // The index may have been refused and the record not.
            return Err(Failure::unexpected().of_write());
        };
        let made = *made == Value::Okay;
        let is_kept = *left >= times.index_ttl.parse().unwrap_or(i64::MAX);
        if made && !(is_kept && *entered == 1) {
            self.kept.forget(&record.key);
            Box::pin(self.see_to_the_index(record, times, until)).await?;
        }
        Ok(made)
    }

    /// The index was gone, or had the entry of a record that was over before.
    async fn see_to_the_index(
        &self,
        record: &Record,
        times: &Times,
        until: Instant,
    ) -> Result<(), StoreError> {
        let (name, deadlines) = self.of(&record.key);
        let command = scripts::MADE.call(&[&name, &deadlines], &[times.index_ttl.as_bytes()]);
        match self.line.call(Does::Write, &command, until).await {
            // If it is not there any more, it was ended since, or lost with the server that had made it.
            Ok(Value::Int(_)) => Ok(()),
            Ok(_) => Err(Failure::unexpected().of_write()),
            Err(failure) => Err(Failure {
                sent: true,
                ..failure
            }
            .of_write()),
        }
    }

    /// Whether the server does transactions for this user, which is asked once.
    async fn does_transactions(&self, until: Instant) -> Result<bool, StoreError> {
        if let Some(does) = self.kept.transactions.get() {
            return Ok(*does);
        }
        let mut pipeline = Pipeline::with_capacity(3);
        // If there is no EXEC, the connection is not to stay in the middle of one.
        for name in [b"MULTI".as_slice(), b"EXEC", b"DISCARD"] {
            pipeline.add_command(cmd(&[name]));
        }
        let asked = self.line.together(Together::of(pipeline, 0..0), until);
        let answers = Box::pin(asked).await.map_err(Failure::of_read)?;
        let does = matches!(answers[..], [Value::Okay, Value::Array(_), _]);
        Ok(*self.kept.transactions.get_or_init(|| does))
    }

    fn transaction(&self, key: &SessionKey, value: &[u8], times: &Times) -> Pipeline {
        let (name, deadlines) = self.of(key);
        let (score, ttl) = (times.score.as_bytes(), times.ttl.as_bytes());
        let mut pipeline = Pipeline::with_capacity(5);
        for parts in [
            &[b"MULTI".as_slice()][..],
            &[b"ZADD", &deadlines, b"NX", score, key.as_bytes()],
            &[b"PTTL", &deadlines],
            &[b"SET", &name, value, b"NX", b"PX", ttl],
            &[b"EXEC"],
        ] {
            pipeline.add_command(cmd(parts));
        }
        pipeline
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
