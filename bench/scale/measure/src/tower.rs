//! tower-sessions.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use time::OffsetDateTime;
use tower_sessions::session::Id;
use tower_sessions::{ExpiredDeletion, Expiry, Session, SessionStore};

use crate::{Library, Outcome, Plan};

/// The sessions of a request last as long as ours, which is two weeks without use.
const EXPIRY: Expiry = Expiry::OnInactivity(time::Duration::days(14));

/// Sessions of tower-sessions on any of its stores.
pub struct Tower<S> {
    store: Arc<S>,
    delete: Option<Delete<S>>,
    plan: Plan,
    opened: Instant,
}

type Deleted<'a> = Pin<Box<dyn Future<Output = Outcome<()>> + Send + 'a>>;
type Delete<S> = fn(&S) -> Deleted<'_>;

impl<S: SessionStore> Tower<S> {
    /// A store that has no way to remove what has expired.
    pub fn new(store: S, plan: &Plan) -> Self {
        Self {
            store: Arc::new(store),
            delete: None,
            plan: *plan,
            opened: Instant::now(),
        }
    }

    fn open(&self, id: Option<Id>, expiry: Expiry) -> Session {
        let store: Arc<S> = Arc::clone(&self.store);
        Session::new(id, store, Some(expiry))
    }

    fn expiry(&self, n: usize, dies: bool) -> Outcome<Expiry> {
        let lifetime = time::Duration::try_from(self.plan.lifetime(n, dies))?;
        Ok(if dies && !self.plan.real {
            // It has no clock to move, and keeps what has expired when it is made.
            Expiry::AtDateTime(OffsetDateTime::now_utc() - time::Duration::days(1) - lifetime)
        } else {
            Expiry::OnInactivity(lifetime)
        })
    }
}

impl<S: SessionStore + ExpiredDeletion> Tower<S> {
    /// A store that can.
    pub fn deleting(store: S, plan: &Plan) -> Self {
        let delete: Delete<S> = |store| Box::pin(async { Ok(store.delete_expired().await?) });
        Self {
            delete: Some(delete),
            ..Self::new(store, plan)
        }
    }
}

#[async_trait]
impl<S: SessionStore> Library for Tower<S> {
    async fn make(&self, n: usize, dies: bool, values: &[(String, String)]) -> Outcome<String> {
        let session = self.open(None, self.expiry(n, dies)?);
        for (key, value) in values {
            session.insert(key, value).await?;
        }
        session.save().await?;
        Ok(session.id().ok_or("a session without an id")?.to_string())
    }

    async fn save(&self, id: &str, value: &str) -> Outcome<()> {
        let session = self.open(Some(id.parse()?), EXPIRY);
        let old: Option<String> = session.get("key-3").await?;
        old.ok_or("the session is gone")?;
        session.insert("key-3", value).await?;
        session.save().await?;
        Ok(())
    }

    async fn has(&self, id: &str) -> Outcome<bool> {
        let session = self.open(Some(id.parse()?), EXPIRY);
        Ok(session.get::<String>("key-3").await?.is_some())
    }

    async fn expire(&self) -> Outcome<()> {
        if self.plan.real {
            let left = self.plan.over().saturating_sub(self.opened.elapsed());
            tokio::time::sleep(left).await;
        }
        Ok(())
    }

    /// One statement for all.
    async fn clean(&self) -> Outcome<Option<Vec<(Duration, Option<usize>)>>> {
        let Some(delete) = self.delete else {
            return Ok(None);
        };
        let began = Instant::now();
        delete(&self.store).await?;
        Ok(Some(vec![(began.elapsed(), None)]))
    }
}
