//! What an operator should know about a Redis that keeps sessions.

use std::fmt;
use std::time::Duration;

use obsession_core::{SessionKey, Timestamp};
use redis::Value;
use tokio::time::Instant;

use crate::layout::TAGS;
use crate::line::Does;
use crate::scripts::Command;
use crate::store::Shared;

/// A difference between two clocks that is worth a word.
const SKEW: u64 = 1_000;

/// The answer of [`RedisStore::check`](crate::RedisStore::check). Its `Display` has one line for each
/// check.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Report {
    /// What was looked at, in a fixed order.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What it is: `scripts`, `eviction`, `persistence`, `clock`, `expiry` or `index`.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, in words.
    pub detail: String,
}

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Sessions may be lost or kept too long.
    Warning,
    /// The server does not say.
    Unknown,
}

impl Report {
    /// The check of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, check) in self.checks.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            check.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Unknown => "unknown",
        };
        write!(f, "{}: {verdict}: {}", self.name, self.detail)
    }
}

pub(crate) async fn run(shared: &Shared) -> Report {
    let sample = sample(shared).await;
    Report {
        checks: vec![
            scripts(shared).await,
            eviction(shared).await,
            persistence(shared).await,
            clock(shared).await,
            expiry(sample.as_deref()),
            index(shared, sample.as_deref()).await,
        ],
    }
}

async fn scripts(shared: &Shared) -> Check {
    let mut eval = redis::cmd("EVAL");
    let key = shared.keys.deadlines(TAGS[0]);
    let read = "return redis.call('GETEX', KEYS[1] .. ':none') and 1 or 0";
    eval.arg(read).arg(1).arg(key);
    match ask(shared, eval).await {
        Some(Value::Int(0)) => check("scripts", Verdict::Ok, "scripts run, and GETEX is there"),
        _ => check(
            "scripts",
            Verdict::Warning,
            "a script with GETEX does not run; Redis 6.2 or newer is needed, and the right to use both",
        ),
    }
}

async fn eviction(shared: &Shared) -> Check {
    let infos = info(shared, "memory").await;
    let mut verdict = Verdict::Ok;
    let mut said = Vec::new();
    for info in &infos {
        let (Some(policy), Some(limit)) =
            (field(info, "maxmemory_policy"), field(info, "maxmemory"))
        else {
            return check("eviction", Verdict::Unknown, "the server does not say");
        };
        if policy != "noeviction" && limit != "0" {
            verdict = Verdict::Warning;
        }
        said.push(format!("{policy} at maxmemory {limit}"));
    }
    said.dedup();
    match (verdict, said.join(", ")) {
        (_, said) if said.is_empty() => {
            check("eviction", Verdict::Unknown, "the server does not say")
        }
        (Verdict::Warning, said) => check(
            "eviction",
            Verdict::Warning,
            format!("{said}: sessions are dropped when memory is short; set noeviction"),
        ),
        (_, said) => check("eviction", Verdict::Ok, said),
    }
}

async fn persistence(shared: &Shared) -> Check {
    let infos = info(shared, "persistence").await;
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("appendfsync");
    // Managed servers know no CONFIG.
    let fsync = ask(shared, get).await.and_then(|value| {
        let texts = texts(&value);
        texts.last().filter(|_| texts.len() > 1).cloned()
    });
    let mut verdict = Verdict::Ok;
    let mut said = Vec::new();
    for info in &infos {
        match field(info, "aof_enabled") {
            None => return check("persistence", Verdict::Unknown, "the server does not say"),
            Some("0") => {
                verdict = Verdict::Warning;
                said.push(
                    "no append-only file: a crash loses what came after the last snapshot"
                        .to_owned(),
                );
            }
            Some(_) => match &fsync {
                None => said.push("append-only file, synced as the server does not say".to_owned()),
                Some(fsync) => said.push(format!("append-only file, synced {fsync}")),
            },
        }
        let failed = ["rdb_last_bgsave_status", "aof_last_write_status"]
            .into_iter()
            .find(|name| field(info, name).is_some_and(|status| status != "ok"));
        if let Some(name) = failed {
            verdict = Verdict::Warning;
            said.push(format!("{name} is not ok"));
        }
    }
    said.dedup();
    if said.is_empty() {
        return check("persistence", Verdict::Unknown, "the server does not say");
    }
    check("persistence", verdict, said.join(", "))
}

async fn clock(shared: &Shared) -> Check {
    let before = shared.clock.now();
    let answer = ask(shared, redis::cmd("TIME")).await;
    let after = shared.clock.now();
    let time = answer.and_then(|value| redis::from_redis_value::<(u64, u64)>(value).ok());
    let Some((seconds, micros)) = time else {
        return check("clock", Verdict::Unknown, "the server does not say");
    };
    let theirs = Timestamp::from_millis(seconds * 1000 + micros / 1000);
    // Somewhere between the question and the answer, the server looked at its clock.
    let ahead = theirs
        .saturating_since(after)
        .max(before.saturating_since(theirs));
    let verdict = if ahead > Duration::from_millis(SKEW) {
        Verdict::Warning
    } else {
        Verdict::Ok
    };
    check("clock", verdict, format!("{} ms apart", ahead.as_millis()))
}

/// An entry of the deadlines that was looked up.
struct Sampled {
    key: SessionKey,
    /// How long Redis keeps the record: -1 for ever, -2 if it is not there.
    ttl: i64,
}

/// Some records of each shard.
async fn sample(shared: &Shared) -> Option<Vec<Sampled>> {
    let until = shared.line.until();
    let pick = |tag: &&str| {
        let mut pick = redis::cmd("ZRANDMEMBER");
        pick.arg(shared.keys.deadlines(tag)).arg(4);
        Command::from(pick)
    };
    let picked = TAGS.iter().map(pick).collect();
    let picked = shared.line.many(Does::Read, picked, until).await.ok()?;
    let keys: Vec<_> = picked
        .into_iter()
        .filter_map(|keys| redis::from_redis_value::<Vec<Vec<u8>>>(keys).ok())
        .flatten()
        .filter_map(|key| SessionKey::try_from(&key[..]).ok())
        .collect();
    let ask = |key: &SessionKey| {
        let mut ttl = redis::cmd("PTTL");
        ttl.arg(shared.keys.record(key));
        Command::from(ttl)
    };
    let ttls = keys.iter().map(ask).collect();
    let ttls = shared.line.many(Does::Read, ttls, until).await.ok()?;
    let sampled = keys.into_iter().zip(ttls).map(|(key, ttl)| {
        let ttl = if let Value::Int(ttl) = ttl { ttl } else { -2 };
        Sampled { key, ttl }
    });
    Some(sampled.collect())
}

fn expiry(sample: Option<&[Sampled]>) -> Check {
    let Some(sample) = sample else {
        return check("expiry", Verdict::Unknown, "the server does not say");
    };
    let endless = sample.iter().filter(|record| record.ttl == -1).count();
    let detail = format!("{endless} of {} sessions have no end", sample.len());
    let verdict = if endless > 0 {
        Verdict::Warning
    } else {
        Verdict::Ok
    };
    check("expiry", verdict, detail)
}

/// Whether the indexes and the records agree.
async fn index(shared: &Shared, sample: Option<&[Sampled]>) -> Check {
    let until = shared.line.until();
    let Some(sample) = sample else {
        return check("index", Verdict::Unknown, "the server does not say");
    };
    let keys: Vec<_> = sample.iter().map(|record| record.key).take(32).collect();
    let Some(missing) = unlisted(shared, keys, until).await else {
        return check("index", Verdict::Unknown, "the server does not say");
    };
    let now = shared.clock.now();
    let mut leads_nowhere = 0;
    for record in sample.iter().filter(|record| record.ttl == -2) {
        let mut at = redis::cmd("ZSCORE");
        at.arg(shared.keys.deadlines(crate::layout::tag(&record.key)));
        at.arg(record.key.as_bytes());
        let at = ask(shared, at)
            .await
            .and_then(|at| redis::from_redis_value::<Option<f64>>(at).ok());
        #[allow(clippy::cast_precision_loss, reason = "as good as the score itself")]
        let due = at.flatten().is_none_or(|at| at <= now.as_millis() as f64);
        // Redis has removed what is due by itself, and cleanup has not come by.
        leads_nowhere += usize::from(!due);
    }
    let detail = format!(
        "of {} sessions looked at {leads_nowhere} are lost or evicted, {missing} not listed under their subject",
        sample.len()
    );
    let verdict = if leads_nowhere + missing > 0 {
        Verdict::Warning
    } else {
        Verdict::Ok
    };
    check("index", verdict, detail)
}

/// How many records are not in the index of their subject.
async fn unlisted(shared: &Shared, keys: Vec<SessionKey>, until: Instant) -> Option<usize> {
    let mut missing = 0;
    for (key, record) in shared.records(keys, until).await.ok()? {
        let Some(subject) = record.and_then(|record| record.subject) else {
            continue;
        };
        let entries = shared.entries(&subject, until).await.ok()?;
        missing += usize::from(!entries.has(&key));
    }
    Some(missing)
}

/// A section of `INFO`, of every server.
async fn info(shared: &Shared, section: &str) -> Vec<String> {
    let mut info = redis::cmd("INFO");
    info.arg(section);
    ask(shared, info)
        .await
        .map(|value| texts(&value))
        .unwrap_or_default()
}

async fn ask(shared: &Shared, cmd: redis::Cmd) -> Option<Value> {
    let until = shared.line.until();
    shared
        .line
        .call(Does::Read, &Command::from(cmd), until)
        .await
        .ok()
}

/// The texts of an answer, of one server or of several by their addresses.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs.iter().flat_map(|(_, value)| texts(value)).collect(),
        _ => Vec::new(),
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn check(name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check {
        name,
        verdict,
        detail: detail.into(),
    }
}
