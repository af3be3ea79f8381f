//! A bug: what one of a store's methods does otherwise.

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use obsession_core::conformance::{Report, Setup, Time, Verdict, run_index};
use obsession_core::{
    Bell, Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update,
};

use crate::around::{Store, Wrapper, setup};
use crate::sound::{Answer, Sound};

/// What a store with this bug does; where nothing is said, what the sound one does.
///
/// The value is the state of one process: a peer has its own, and a reopened store a new one.
#[async_trait]
pub(crate) trait Bug<A: SessionIndex = Sound>: Debug + Send + Sync + 'static {
    /// The case that is there to catch it.
    fn caught_by(&self) -> &'static str;

    async fn load(&self, at: &A, key: &SessionKey) -> Answer<Option<Record>> {
        at.load(key).await
    }

    async fn create(&self, at: &A, record: &Record) -> Answer<Create> {
        at.create(record).await
    }

    async fn update(&self, at: &A, expected: Revision, record: &Record) -> Answer<Update> {
        at.update(expected, record).await
    }

    async fn touch(
        &self,
        at: &A,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        at.touch(key, expected, expires_at).await
    }

    async fn delete(&self, at: &A, key: &SessionKey) -> Answer<Delete> {
        at.delete(key).await
    }

    async fn delete_expired(&self, at: &A, limit: usize) -> Answer<usize> {
        at.delete_expired(limit).await
    }

    async fn watch(&self, at: &A, key: &SessionKey) -> Answer<Bell> {
        at.watch(key).await
    }

    async fn list(
        &self,
        at: &A,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        at.list(subject, after, limit).await
    }

    async fn delete_subject(
        &self,
        at: &A,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        at.delete_subject(subject, except).await
    }

    async fn scan(&self, at: &A, after: Option<ScanCursor>, limit: usize) -> Answer<Vec<Record>> {
        at.scan(after, limit).await
    }

    async fn count(&self, at: &A) -> Answer<u64> {
        at.count().await
    }
}

/// The store without a bug, which must pass everything.
#[derive(Debug, Default)]
pub(crate) struct NoBug;

impl Bug for NoBug {
    fn caught_by(&self) -> &'static str {
        ""
    }
}

/// The sound store, or a sound wrapper, with a bug.
#[derive(Debug)]
struct Mutant<A: SessionIndex> {
    bug: Box<dyn Bug<A>>,
    at: A,
}

/// A mutant, and the case that is there to catch it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) caught_by: &'static str,
    make: fn(&Time) -> Setup<Store>,
    own: Option<fn()>,
}

impl Entry {
    /// The sound store with a bug.
    pub(crate) fn of<B: Bug + Default>() -> Self {
        Self::new::<B, Sound>(make::<B>)
    }

    /// A sound wrapper with a bug.
    pub(crate) fn around<W: Wrapper, B: Bug<W> + Default>() -> Self {
        Self::new::<B, W>(|time| setup(time, mutant::<W, B>))
    }

    fn new<B: Bug<A> + Default, A: SessionIndex>(make: fn(&Time) -> Setup<Store>) -> Self {
        // Of a name with a parameter, `Changed<CutsSubjects>`, that is the name.
        let name = type_name::<B>().trim_end_matches('>');
        Self {
            name: name.rsplit("::").next().unwrap_or_default(),
            caught_by: B::default().caught_by(),
            make,
            own: None,
        }
    }

    /// What catches it is no case of the suite but this test.
    pub(crate) fn own(self, test: fn()) -> Self {
        Self {
            own: Some(test),
            ..self
        }
    }

    /// Whether the suite has to have what catches it.
    pub(crate) fn is_of_the_suite(&self) -> bool {
        self.own.is_none()
    }

    pub(crate) fn run(self) -> Report {
        run_index(async |time: Time| (self.make)(&time))
    }

    /// What catches it.
    pub(crate) fn failed(self) -> BTreeSet<&'static str> {
        let outcomes = self.run().outcomes.into_iter();
        let failed = outcomes.filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
        let mut failed: BTreeSet<_> = failed.map(|outcome| outcome.case).collect();
        if self.own.is_some_and(|test| catch_unwind(test).is_err()) {
            failed.insert(self.caught_by);
        }
        failed
    }
}

/// What a wrapper does with this bug.
pub(crate) fn mutant<A: SessionIndex, B: Bug<A> + Default>(at: A) -> Store {
    let bug = Box::new(B::default());
    Arc::new(Mutant { bug, at })
}

/// Runs a test that is not of the suite.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(test);
}

/// A peer has a bug of its own, as another process has.
fn make<B: Bug + Default>(time: &Time) -> Setup<Store> {
    let sound = Sound::new(time.clock());
    let table = |table| mutant::<Sound, B>(sound.of_table(table));
    let switch = |at: Sound, away| {
        move || {
            at.set_away(away);
            async {}
        }
    };
    let at = sound.clone();
    Setup::new(table(0))
        .peer(table(0))
        .neighbour(table(1))
        .outage(switch(sound.clone(), true), switch(sound.clone(), false))
        .reopen(move |closed| {
            drop(closed);
            let opened = mutant::<Sound, B>(at.clone());
            async { opened }
        })
        .time_limit(Duration::from_secs(10))
}

#[async_trait]
impl<A: SessionIndex> SessionStore for Mutant<A> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.bug.load(&self.at, key).await
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        self.bug.create(&self.at, record).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        self.bug.update(&self.at, expected, record).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        self.bug.touch(&self.at, key, expected, expires_at).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.bug.delete(&self.at, key).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.bug.delete_expired(&self.at, limit).await
    }

    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        self.bug.watch(&self.at, key).await
    }
}

#[async_trait]
impl<A: SessionIndex> SessionIndex for Mutant<A> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.bug.list(&self.at, subject, after, limit).await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        self.bug.delete_subject(&self.at, subject, except).await
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.bug.scan(&self.at, after, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.bug.count(&self.at).await
    }
}
