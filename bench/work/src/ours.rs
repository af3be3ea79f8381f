//! This library.

use crate::{Library, Outcome};
use async_trait::async_trait;
use obsession_core::{ClientAction, SessionId, SessionManager, SessionStore};

pub struct Ours(SessionManager);

impl Ours {
    pub fn new(store: impl SessionStore) -> Self {
        Self(SessionManager::builder(store).build())
    }
}

#[async_trait]
impl Library for Ours {
    async fn make(&self, values: &[(String, String)]) -> Outcome<String> {
        let session = self.0.open(None);
        for (key, value) in values {
            session.insert(key, value)?;
        }
        session.save().await?;
        let id = session.id().await?.ok_or("a session without an id")?;
        Ok(id.expose().to_owned())
    }

    async fn read(&self, id: &str, key: &str) -> Outcome<()> {
        let session = self.0.open(Some(id.parse::<SessionId>()?));
        let value: Option<String> = session.get(key).await?;
        value.ok_or("the session is gone")?;
        let _ = session.finish(true).await?;
        Ok(())
    }

    async fn read_and_write(&self, id: &str, key: &str, value: &str) -> Outcome<()> {
        let session = self.0.open(Some(id.parse::<SessionId>()?));
        let old: Option<String> = session.get(key).await?;
        old.ok_or("the session is gone")?;
        session.insert(key, value)?;
        let _ = session.finish(true).await?;
        Ok(())
    }

    async fn sign_in(&self, id: &str, key: &str, value: &str) -> Outcome<String> {
        let session = self.0.open(Some(id.parse::<SessionId>()?));
        let old: Option<String> = session.get(key).await?;
        old.ok_or("the session is gone")?;
        session.insert(key, value)?;
        session.cycle()?;
        match session.finish(true).await? {
            ClientAction::Set { id, .. } => Ok(id.expose().to_owned()),
            _ => Err("a sign-in without a new id".into()),
        }
    }
}
