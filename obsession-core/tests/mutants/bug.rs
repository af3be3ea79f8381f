//! A bug: what one of a store's methods does otherwise.

use std::any::type_name;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use obsession_core::conformance::{Report, Setup, Time, run_index};
use obsession_core::{
    Create, Delete, Record, Revision, ScanCursor, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch, Update,
};

use crate::sound::{Answer, Sound};

/// What a store with this bug does; where nothing is said, what the sound store does.
///
/// The value is the state of one process: a peer has its own, and a reopened store a new one.
#[async_trait]
pub(crate) trait Bug: Debug + Send + Sync + 'static {
    /// The case that is there to catch it.
    fn caught_by(&self) -> &'static str;

    async fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        at.load(key).await
    }

    async fn create(&self, at: &Sound, record: &Record) -> Answer<Create> {
        at.create(record).await
    }

    async fn update(&self, at: &Sound, expected: Revision, record: &Record) -> Answer<Update> {
        at.update(expected, record).await
    }

    async fn touch(
        &self,
        at: &Sound,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Answer<Touch> {
        at.touch(key, expected, expires_at).await
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        at.delete(key).await
    }

    async fn delete_expired(&self, at: &Sound, limit: usize) -> Answer<usize> {
        at.delete_expired(limit).await
    }

    async fn list(
        &self,
        at: &Sound,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        at.list(subject, after, limit).await
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        at.delete_subject(subject, except).await
    }

    async fn scan(
        &self,
        at: &Sound,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Answer<Vec<Record>> {
        at.scan(after, limit).await
    }

    async fn count(&self, at: &Sound) -> Answer<u64> {
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

type New = fn() -> Box<dyn Bug>;

/// One type for all: the suite is large, and would be compiled for each.
#[derive(Debug)]
struct Mutant {
    bug: Box<dyn Bug>,
    at: Sound,
}

/// A mutant, and the case that is there to catch it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) caught_by: &'static str,
    new: New,
}

impl Entry {
    pub(crate) fn of<B: Bug + Default>() -> Self {
        // Of a name with a parameter, `Changed<CutsSubjects>`, that is the name.
        let name = type_name::<B>().trim_end_matches('>');
        Self {
            name: name.rsplit("::").next().unwrap_or_default(),
            caught_by: B::default().caught_by(),
            new: || Box::new(B::default()),
        }
    }

    pub(crate) fn run(self) -> Report {
        run_index(async |time: Time| make(&time, self.new))
    }
}

fn make(time: &Time, new: New) -> Setup<Mutant> {
    let sound = Sound::new(time.clock());
    let mutant = |table| Mutant {
        bug: new(),
        at: sound.of_table(table),
    };
    let switch = |at: Sound, away| {
        move || {
            at.set_away(away);
            async {}
        }
    };
    Setup::new(mutant(0))
        .peer(mutant(0))
        .neighbour(mutant(1))
        .outage(switch(sound.clone(), true), switch(sound.clone(), false))
        .reopen(move |mutant: Mutant| async move {
            Mutant {
                bug: new(),
                at: mutant.at,
            }
        })
        .time_limit(Duration::from_secs(10))
}

#[async_trait]
impl SessionStore for Mutant {
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
}

#[async_trait]
impl SessionIndex for Mutant {
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
