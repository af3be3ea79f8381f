//! tower-sessions, as its middleware uses it.

use std::sync::Arc;

use crate::{Library, Outcome};
use async_trait::async_trait;
use tower_sessions::session::Id;
use tower_sessions::{Expiry, Session, SessionStore};

/// The sessions last as long as ours, which is two weeks without use.
const EXPIRY: Expiry = Expiry::OnInactivity(time::Duration::days(14));

pub struct Tower<S>(Arc<S>);

impl<S: SessionStore> Tower<S> {
    pub fn new(store: S) -> Self {
        Self(Arc::new(store))
    }

    fn open(&self, id: Option<Id>) -> Session {
        let store: Arc<S> = Arc::clone(&self.0);
        Session::new(id, store, Some(EXPIRY))
    }
}

#[async_trait]
impl<S: SessionStore> Library for Tower<S> {
    async fn make(&self, values: &[(String, String)]) -> Outcome<String> {
        let session = self.open(None);
        for (key, value) in values {
            session.insert(key, value).await?;
        }
        session.save().await?;
        Ok(session.id().ok_or("a session without an id")?.to_string())
    }

    async fn read(&self, id: &str, key: &str) -> Outcome<()> {
        let session = self.open(Some(id.parse()?));
        let value: Option<String> = session.get(key).await?;
        value.ok_or("the session is gone")?;
        Ok(())
    }

    async fn read_and_write(&self, id: &str, key: &str, value: &str) -> Outcome<()> {
        let session = self.open(Some(id.parse()?));
        let old: Option<String> = session.get(key).await?;
        old.ok_or("the session is gone")?;
        session.insert(key, value).await?;
        session.save().await?;
        Ok(())
    }

    async fn sign_in(&self, id: &str, key: &str, value: &str) -> Outcome<String> {
        let session = self.open(Some(id.parse()?));
        let old: Option<String> = session.get(key).await?;
        old.ok_or("the session is gone")?;
        session.insert(key, value).await?;
        session.cycle_id().await?;
        session.save().await?;
        Ok(session.id().ok_or("a session without an id")?.to_string())
    }
}
