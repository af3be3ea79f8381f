//! Sessions in sled, of this library alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use measure::{Bytes, Library, Ours, Outcome, Place, Plan, Time, file_bytes};
use obsession_core::{Clock, ManualClock, SessionIndex, SystemClock};
use obsession_sled::SledStore;
use tempfile::TempDir;

pub(crate) struct Sled {
    folder: TempDir,
    store: Option<SledStore>,
    clock: Arc<ManualClock>,
    sessions: usize,
}

impl Sled {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            store: None,
            clock: Arc::new(ManualClock::new(SystemClock.now())),
            sessions: 0,
        })
    }
}

#[async_trait]
impl Place for Sled {
    async fn open(&mut self, plan: &Plan) -> Outcome<Arc<dyn Library>> {
        self.sessions = plan.sessions;
        let builder = SledStore::builder(self.folder.path()).clock(self.clock.clone());
        let store = builder.open().await?;
        self.store = Some(store.clone());
        let time = Time::Set(self.clock.clone());
        Ok(Arc::new(Ours::new(store, time, plan)))
    }

    async fn close(&mut self) -> Outcome<bool> {
        if let Some(store) = self.store.take() {
            store.close().await?;
        }
        Ok(true)
    }

    async fn bytes(&mut self, _: usize) -> Outcome<Vec<Bytes>> {
        let total = file_bytes(self.folder.path())? as f64;
        let what = "files of the closed store";
        Ok(vec![Bytes::of(what, total, self.sessions)])
    }

    /// Those that have expired count again when the clock is put back.
    async fn held(&mut self) -> Outcome<Option<usize>> {
        let store = self.store.as_ref().ok_or("it is not open")?;
        let now = self.clock.now();
        let before = now.as_millis() - Duration::from_secs(24 * 3600).as_millis() as u64;
        self.clock
            .set(obsession_core::Timestamp::from_millis(before));
        let count = store.count().await;
        self.clock.set(now);
        Ok(Some(usize::try_from(count?)?))
    }

    async fn note(&mut self) -> Outcome<String> {
        Ok("each write on disk; tower-sessions has no store like it".to_owned())
    }
}
