//! A store whose calls are written down, so that a failing case can say what was done.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::{
    Bell, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update, lock,
};

/// The calls that are kept: the last ones, since those before a failure say the most.
const KEPT: usize = 24;

/// The last calls of a store and what they gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    last: VecDeque<String>,
    all: usize,
}

impl Calls {
    fn push(&self, call: String) {
        let mut written = lock(&self.0);
        written.all += 1;
        if written.last.len() == KEPT {
            written.last.pop_front();
        }
        written.last.push_back(call);
    }

    /// What is no call, and explains the calls after it.
    pub(crate) fn event(&self, what: &str) {
        self.push(format!("({what})"));
    }

    /// The calls, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let written = lock(&self.0);
        let earlier = written.all - written.last.len();
        let mut lines = Vec::new();
        if earlier > 0 {
            lines.push(format!("... after {earlier} others"));
        }
        lines.extend(written.last.iter().cloned());
        lines
    }
}

/// The store under test. Its calls are those of the store inside, written down.
#[derive(Debug)]
pub struct Recorded<S> {
    store: S,
    calls: Calls,
    /// Which handle it is, for its lines: nothing for the store itself.
    handle: &'static str,
}

impl<S> Recorded<S> {
    pub(crate) fn new(store: S, calls: Calls, handle: &'static str) -> Self {
        Self {
            store,
            calls,
            handle,
        }
    }

    /// The store inside.
    pub fn into_inner(self) -> S {
        self.store
    }

    fn note<T: Debug>(&self, call: impl FnOnce() -> String, answer: &Result<T, StoreError>) {
        let answer = match answer {
            Ok(answer) => shortened(&format!("{answer:?}")),
            Err(error) => format!("error, {:?}: {error}", error.effect()),
        };
        self.calls
            .push(format!("{}{} -> {answer}", self.handle, call()));
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for Recorded<S> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let answer = self.store.load(key).await;
        self.note(|| format!("load({key})"), &answer);
        answer
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        let answer = self.store.create(record).await;
        self.note(|| format!("create({})", brief(record)), &answer);
        answer
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        let answer = self.store.update(expected, record).await;
        let call = || {
            format!(
                "update(expected {:x}, {})",
                expected.as_u64(),
                brief(record)
            )
        };
        self.note(call, &answer);
        answer
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        let answer = self.store.touch(key, expected, expires_at).await;
        self.note(
            || {
                format!(
                    "touch({key}, expected {:x}, {})",
                    expected.as_u64(),
                    expires_at.as_millis()
                )
            },
            &answer,
        );
        answer
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        let answer = self.store.delete(key).await;
        self.note(|| format!("delete({key})"), &answer);
        answer
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let answer = self.store.delete_expired(limit).await;
        self.note(|| format!("delete_expired({limit})"), &answer);
        answer
    }

    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        let answer = self.store.watch(key).await;
        self.note(|| format!("watch({key})"), &answer);
        answer
    }
}

#[async_trait]
impl<S: SessionIndex> SessionIndex for Recorded<S> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let answer = self.store.list(subject, after, limit).await;
        let call = || format!("list({}, after {after:?}, {limit})", shortened(subject));
        self.note(call, &answer);
        answer
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let answer = self.store.delete_subject(subject, except).await;
        let call = || format!("delete_subject({}, except {except:?})", shortened(subject));
        self.note(call, &answer);
        answer
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let answer = self.store.scan(after, limit).await;
        self.note(|| format!("scan(after {after:?}, {limit})"), &answer);
        answer
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let answer = self.store.count().await;
        self.note(|| "count()".to_owned(), &answer);
        answer
    }
}

/// A record in few words.
fn brief(record: &Record) -> String {
    let subject = record.subject.as_deref().map(shortened);
    let subject = subject.map_or_else(String::new, |subject| format!(", subject {subject:?}"));
    format!(
        "{} rev {:x}{subject}, until {}, {} bytes",
        record.key,
        record.revision.as_u64(),
        record.expires_at.as_millis(),
        record.body.len()
    )
}

fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    if text.len() <= MOST {
        return text.to_owned();
    }
    let cut: String = text.chars().take(MOST).collect();
    format!("{cut}... ({} bytes)", text.len())
}
