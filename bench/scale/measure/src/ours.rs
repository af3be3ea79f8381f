//! This library.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use obsession_core::{
    Clock, Event, Events, Lifetime, ManualClock, Serializer, SessionId, SessionManager,
    SessionStore, SystemClock,
};

use crate::{Library, Outcome, Plan};

/// By which time sessions expire.
#[derive(Clone, Debug)]
pub enum Time {
    /// By a clock that is moved.
    Set(Arc<ManualClock>),
    /// By the system's, of a store that keeps time itself.
    Real,
}

impl Time {
    /// One that stands at this moment.
    pub fn standing() -> Self {
        Self::Set(Arc::new(ManualClock::new(SystemClock.now())))
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Set(clock) => clock.clone(),
            Self::Real => Arc::new(SystemClock),
        }
    }
}

/// Sessions of this library on any store.
pub struct Ours {
    store: Arc<dyn SessionStore>,
    manager: SessionManager,
    time: Time,
    plan: Plan,
    opened: Instant,
}

impl Ours {
    pub fn new(store: impl SessionStore, time: Time, plan: &Plan) -> Self {
        let store = Arc::new(store);
        Self {
            manager: manager(store.clone(), &time, plan, Lifetime::default()),
            store,
            time,
            plan: *plan,
            opened: Instant::now(),
        }
    }
}

fn manager(
    store: Arc<dyn SessionStore>,
    time: &Time,
    plan: &Plan,
    lifetime: Lifetime,
) -> SessionManager {
    let builder = SessionManager::builder(store).clock(time.clock());
    // A store of a loaded machine may be slow, and is measured all the same.
    let builder = builder.deadline(Duration::from_secs(60));
    let builder = match plan.postcard {
        true => builder.serializer(Serializer::Postcard),
        false => builder,
    };
    builder.lifetime(lifetime).build()
}

/// When each batch ended that removed something, and how much.
#[derive(Debug, Default)]
struct Batches(Mutex<Vec<(Instant, usize)>>);

impl Events for Batches {
    fn tell(&self, event: &Event) {
        if let (Event::Removed { count }, Ok(mut batches)) = (event, self.0.lock()) {
            batches.push((Instant::now(), *count));
        }
    }
}

#[async_trait]
impl Library for Ours {
    /// The lifetime is that of a manager, so that none is kept with the session.
    async fn make(&self, n: usize, dies: bool, values: &[(String, String)]) -> Outcome<String> {
        let idle = self.plan.lifetime(n, dies);
        let lifetime = Lifetime::new(idle, Duration::from_secs(90 * 24 * 3600));
        let session = manager(self.store.clone(), &self.time, &self.plan, lifetime).open(None);
        for (key, value) in values {
            session.insert(key, value)?;
        }
        session.save().await?;
        let id = session.id().await?.ok_or("a session without an id")?;
        Ok(id.expose().to_owned())
    }

    async fn save(&self, id: &str, value: &str) -> Outcome<()> {
        let session = self.manager.open(Some(id.parse::<SessionId>()?));
        let old: Option<String> = session.get("key-3").await?;
        old.ok_or("the session is gone")?;
        session.insert("key-3", value)?;
        let _ = session.finish(true).await?;
        Ok(())
    }

    async fn has(&self, id: &str) -> Outcome<bool> {
        let session = self.manager.open(Some(id.parse::<SessionId>()?));
        Ok(session.get::<String>("key-3").await?.is_some())
    }

    async fn expire(&self) -> Outcome<()> {
        match &self.time {
            Time::Set(clock) => clock.advance(self.plan.over()),
            Time::Real => {
                let left = self.plan.over().saturating_sub(self.opened.elapsed());
                tokio::time::sleep(left).await;
            }
        }
        Ok(())
    }

    async fn clean(&self) -> Outcome<Option<Vec<(Duration, Option<usize>)>>> {
        let batches = Arc::new(Batches::default());
        let manager = SessionManager::builder(self.store.clone()).events(Arc::clone(&batches));
        let cleanup = manager.build().cleanup();
        let mut began = Instant::now();
        cleanup.run_once().await?;
        let end = Instant::now();
        let mut all = Vec::new();
        for (end, count) in batches.0.lock().map_err(|_| "it has panicked")?.drain(..) {
            all.push((end - began, Some(count)));
            began = end;
        }
        all.push((end - began, Some(0)));
        Ok(Some(all))
    }
}
