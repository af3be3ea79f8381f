//! The store: sessions by whose they are, and by their deadlines.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use obsession_core::{Record, ScanCursor, SessionIndex, SessionKey, StoreError, Timestamp};
use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::RedisStore;
use crate::error::Failure;
use crate::layout::{self, TAGS, score};
use crate::line::Does;
use crate::scripts::{self, Command};
use crate::store::{Shared, found, unexpected};

/// How many records are asked for at once.
const PAGE: usize = 128;
/// An entry that was made this long ago, in milliseconds, is not one whose record is on its way.
const SETTLED: u64 = 60_000;
/// An index of more entries than this is looked through, a little with every new one.
const MANY: i64 = 64;
/// How much that is.
const LITTLE: usize = 16;

#[async_trait]
impl SessionIndex for RedisStore {
    /// It takes time with all sessions of the subject, not only those of the page.
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let shared = &self.shared;
        let until = shared.line.until();
        let entries = shared.entries(subject, until).await?;
        let mut keys = entries.keys(after);
        let (mut listed, mut gone) = (Vec::new(), Vec::new());
        let now = shared.clock.now();
        while listed.len() < limit && !keys.is_empty() {
            let page = keys.len().min(PAGE).min((limit - listed.len()).max(LITTLE));
            let page: Vec<_> = keys.drain(..page).collect();
            for (key, record) in shared.records(page, until).await? {
                match record {
                    Some(record) if record.subject.as_deref() == Some(subject) => {
                        if record.is_live(now) && listed.len() < limit {
                            listed.push(record);
                        }
                    }
                    Some(_) | None => gone.push(key),
                }
            }
        }
        shared.forget(subject, &entries, &gone, until).await;
        Ok(listed)
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let shared = &self.shared;
        let until = shared.ending.until();
        // A session that was there when this began has its entry since before it was there.
        let entries = shared.entries(subject, until).await?;
        let mut keys = entries.keys(None);
        keys.retain(|key| Some(key) != except);
        let commands = keys.iter().map(|key| shared.delete(key, Some(subject)));
        let answers = shared
            .ending
            .many(Does::End, commands.collect(), until)
            .await;
        let mut ended = 0;
        for answer in answers.map_err(Failure::of_write)? {
            match answer {
                Value::Int(1) => ended += 1,
                Value::Int(0) => {}
                other => return Err(unexpected(Ok(other))),
            }
        }
        shared.forget(subject, &entries, &keys, until).await;
        Ok(ended)
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let shared = &self.shared;
        let until = shared.line.until();
        let now = shared.clock.now();
        let start = after.map(|at| (capped(at.expires_at), at.key));
        let mut walks: Vec<_> = TAGS.map(|tag| Walk::new(tag, start, now, limit)).into();
        let mut scanned = Vec::new();
        while scanned.len() < limit {
            let ready = shared
                .merge(&mut walks, limit - scanned.len(), until)
                .await?;
            if ready.is_empty() {
                break;
            }
            for page in ready.chunks(PAGE) {
                let keys = page.iter().map(|(_, key)| *key).collect();
                for ((at, _), (_, record)) in page.iter().zip(shared.records(keys, until).await?) {
                    // It may have been touched or ended since.
                    let record = record.filter(|record| capped(record.expires_at) == *at);
                    scanned.extend(record.filter(|record| record.is_live(now)));
                }
            }
        }
        scanned.truncate(limit);
        Ok(scanned)
    }

    /// Counts the entries of the indexes: what a server has lost or evicted still counts until its
    /// deadline.
    async fn count(&self) -> Result<u64, StoreError> {
        let shared = &self.shared;
        let now = format!("({}", score(shared.clock.now()));
        let count = |tag: &&str| {
            let mut count = redis::cmd("ZCOUNT");
            count.arg(shared.keys.deadlines(tag)).arg(&now).arg("+inf");
            Command::from(count)
        };
        let counts = TAGS.iter().map(count).collect();
        let counts = shared
            .line
            .many(Does::Read, counts, shared.line.until())
            .await;
        let mut sum = 0;
        for count in counts.map_err(Failure::of_read)? {
            let Value::Int(count) = count else {
                return Err(Failure::unexpected().of_read());
            };
            sum += u64::try_from(count).unwrap_or_default();
        }
        Ok(sum)
    }
}

/// The index of a subject: each key with the names of its entries.
pub(crate) struct Entries {
    time: u64,
    members: BTreeMap<SessionKey, Vec<Vec<u8>>>,
}

impl Entries {
    pub(crate) fn has(&self, key: &SessionKey) -> bool {
        self.members.contains_key(key)
    }

    fn keys(&self, after: Option<&SessionKey>) -> Vec<SessionKey> {
        let keys = self.members.keys().copied();
        keys.filter(|key| after.is_none_or(|after| key > after))
            .collect()
    }

    /// The entries of `keys` that are no longer new.
    fn settled(&self, keys: &[SessionKey]) -> Vec<&Vec<u8>> {
        let members = keys
            .iter()
            .filter_map(|key| self.members.get(key))
            .flatten();
        members
            .filter(|member| {
                let made = member.get(SessionKey::LEN..).unwrap_or_default();
                let made = str::from_utf8(made).ok().and_then(|made| made.parse().ok());
                made.is_none_or(|made: u64| made.saturating_add(SETTLED) < self.time)
            })
            .collect()
    }
}

impl Shared {
    pub(crate) async fn entries(
        &self,
        subject: &str,
        until: Instant,
    ) -> Result<Entries, StoreError> {
        let now = score(self.clock.now());
        let index = self.keys.subject(subject);
        let command = scripts::ENTRIES.call(&[&index], &[now.as_bytes()]);
        let answer = self.line.call(Does::Read, &command, until).await;
        let Value::Array(found) = answer.map_err(Failure::of_read)? else {
            return Err(Failure::unexpected().of_read());
        };
        let mut found = found.into_iter().filter_map(|value| match value {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        });
        let time = found
            .next()
            .and_then(|time| str::from_utf8(&time).ok()?.parse().ok());
        let mut entries = Entries {
            time: time.ok_or_else(|| Failure::unexpected().of_read())?,
            members: BTreeMap::new(),
        };
        for member in found {
            let key = member.get(..SessionKey::LEN).map(SessionKey::try_from);
            if let Some(Ok(key)) = key {
                entries.members.entry(key).or_default().push(member);
            }
        }
        Ok(entries)
    }

    /// The records of `keys`, which may be over. A damaged one is left out.
    pub(crate) async fn records(
        &self,
        keys: Vec<SessionKey>,
        until: Instant,
    ) -> Result<Vec<(SessionKey, Option<Record>)>, StoreError> {
        let read = |key: &SessionKey| Command::from(layout::read(&self.keys.record(key)));
        let commands = keys.iter().map(read).collect();
        let answers = self.line.many(Does::Read, commands, until).await;
        let answers = answers.map_err(Failure::of_read)?;
        let decode = |(key, answer)| {
            let record = found(key, &answer).unwrap_or_else(|_| {
                tracing::warn!(%key, "a damaged record was left out");
                None
            });
            (key, record)
        };
        Ok(keys.into_iter().zip(answers).map(decode).collect())
    }

    /// Removes entries of `keys` that lead nowhere. It is no matter if it fails.
    async fn forget(&self, subject: &str, entries: &Entries, keys: &[SessionKey], until: Instant) {
        if keys.is_empty() {
            return;
        }
        let index = self.keys.subject(subject);
        let command = if self.line.is_cluster() {
            let settled = entries.settled(keys);
            if settled.is_empty() {
                return;
            }
            let mut remove = redis::cmd("ZREM");
            remove.arg(index).arg(settled);
            Command::from(remove)
        } else {
            let names: Vec<_> = keys.iter().map(|key| self.keys.record(key)).collect();
            let mut all: Vec<&[u8]> = vec![&index];
            all.extend(names.iter().map(Vec::as_slice));
            let mut args = vec![subject.as_bytes()];
            args.extend(keys.iter().map(|key| key.as_bytes().as_slice()));
            scripts::FORGET.call(&all, &args)
        };
        if let Err(failure) = self.line.call(Does::Write, &command, until).await {
            tracing::debug!(error = ?failure, "old index entries were not removed");
        }
    }

    /// Looks at the oldest entries of a large index. On a Cluster nothing else removes an entry
    /// whose session was deleted before its time.
    pub(crate) async fn tidy(&self, subject: &str, entries: i64, until: Instant) {
        if entries <= MANY {
            return;
        }
        let look = async {
            let all = self.entries(subject, until).await?;
            let mut oldest: Vec<_> = all.members.iter().collect();
            oldest
                .sort_by_key(|(_, members)| members.first().map(|m| m[SessionKey::LEN..].to_vec()));
            let keys = oldest.iter().take(LITTLE).map(|(key, _)| **key).collect();
            let gone: Vec<_> = self
                .records(keys, until)
                .await?
                .into_iter()
                .filter(|(_, r)| {
                    r.as_ref()
                        .is_none_or(|r| r.subject.as_deref() != Some(subject))
                })
                .map(|(key, _)| key)
                .collect();
            self.forget(subject, &all, &gone, until).await;
            Ok::<_, StoreError>(())
        };
        if let Err(error) = look.await {
            tracing::debug!(%error, "a large index was not looked at");
        }
    }

    /// The next entries of all shards together, in order: at least one, if there is any.
    async fn merge(
        &self,
        walks: &mut [Walk],
        limit: usize,
        until: Instant,
    ) -> Result<Vec<(u64, SessionKey)>, StoreError> {
        loop {
            let hungry: Vec<_> = (0..walks.len()).filter(|n| walks[*n].is_hungry()).collect();
            let commands = hungry.iter().map(|n| Command::from(walks[*n].next(self)));
            let answers = self.line.many(Does::Read, commands.collect(), until).await;
            for (n, answer) in hungry.into_iter().zip(answers.map_err(Failure::of_read)?) {
                walks[n].take(answer)?;
            }
            // A shard that has more may have something before what another one has read already.
            let known = walks
                .iter()
                .filter(|walk| !walk.ended)
                .map(|walk| walk.last);
            let bound = known.min().flatten();
            let all_ended = walks.iter().all(|walk| walk.ended);
            let mut ready = BTreeSet::new();
            for walk in walks.iter() {
                let safe = |at: &&(u64, SessionKey)| all_ended || Some(**at) <= bound;
                ready.extend(walk.found.iter().take_while(safe));
            }
            let ready: Vec<_> = ready.into_iter().take(limit).collect();
            if let Some(last) = ready.last() {
                for walk in walks {
                    walk.found.retain(|at| at > last);
                }
                return Ok(ready);
            }
            if all_ended {
                return Ok(ready);
            }
        }
    }
}

/// A walk over one shard's deadlines.
struct Walk {
    tag: &'static str,
    from: String,
    /// The last one seen; what is not after it is behind.
    last: Option<(u64, SessionKey)>,
    found: BTreeSet<(u64, SessionKey)>,
    step: usize,
    ended: bool,
}

impl Walk {
    fn new(
        tag: &'static str,
        start: Option<(u64, SessionKey)>,
        now: Timestamp,
        limit: usize,
    ) -> Self {
        Self {
            tag,
            from: start.map_or_else(|| format!("({}", score(now)), |(at, _)| at.to_string()),
            last: start,
            found: BTreeSet::new(),
            // A shard has its 64th of them, most likely.
            step: limit.min(limit / TAGS.len() * 2 + 2),
            ended: false,
        }
    }

    fn is_hungry(&self) -> bool {
        self.found.is_empty() && !self.ended
    }

    fn next(&self, shared: &Shared) -> Cmd {
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(shared.keys.deadlines(self.tag));
        range.arg(&self.from).arg("+inf").arg("WITHSCORES");
        range.arg("LIMIT").arg(0).arg(self.step);
        range
    }

    fn take(&mut self, answer: Value) -> Result<(), StoreError> {
        let unexpected = |_| Failure::unexpected().of_read();
        let entries: Vec<(Vec<u8>, f64)> = redis::from_redis_value(answer).map_err(unexpected)?;
        self.ended = entries.len() < self.step;
        let mut moved = false;
        for (member, at) in entries {
            let Ok(key) = SessionKey::try_from(&member[..]) else {
                continue;
            };
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it was a whole number below 2^53"
            )]
            let at = (at as u64, key);
            if self.last.is_none_or(|last| at > last) {
                self.found.insert(at);
                self.last = Some(at);
                moved = true;
            }
        }
        if let Some((at, _)) = self.last {
            self.from = at.to_string();
        }
        if !moved {
            // All of them have the deadline of the last one, and come before it.
            self.step *= 2;
        }
        Ok(())
    }
}

/// A deadline as the indexes have it.
fn capped(at: Timestamp) -> u64 {
    score(at).parse().unwrap_or(u64::MAX)
}
