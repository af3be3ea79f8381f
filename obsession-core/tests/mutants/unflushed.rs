//! What a process knows and its server does not.

use std::collections::HashMap;
use std::sync::Mutex;

use obsession_core::{Record, SessionKey};

use crate::sound::{Answer, Sound};

/// What this process has acknowledged and its server does not have: a record, or that it is gone.
#[derive(Debug, Default)]
pub(crate) struct Unflushed(Mutex<HashMap<(u8, SessionKey), Option<Record>>>);

impl Unflushed {
    pub(crate) fn note(&self, at: &Sound, key: &SessionKey, record: Option<Record>) {
        self.0.lock().unwrap().insert((at.table, *key), record);
    }

    pub(crate) fn forget(&self, at: &Sound, key: &SessionKey) {
        self.0.lock().unwrap().remove(&(at.table, *key));
    }

    pub(crate) fn load(&self, at: &Sound, key: &SessionKey) -> Answer<Option<Record>> {
        let unflushed = self.0.lock().unwrap().get(&(at.table, *key)).cloned();
        let found = unflushed.map_or_else(|| at.row(key), Ok)?;
        Ok(found.filter(|record| record.is_live(at.now())))
    }

    /// Puts what was held back where it belongs, so that the next call finds it.
    pub(crate) fn settle(&self, at: &Sound, key: &SessionKey) -> Answer<()> {
        let held = self.0.lock().unwrap().remove(&(at.table, *key));
        match held {
            Some(Some(record)) => at.put(&record),
            Some(None) => at.take(key).map(drop),
            None => Ok(()),
        }
    }

    /// Takes back what was just done on the server, so that this process alone knows of it.
    pub(crate) fn hold_back(
        &self,
        at: &Sound,
        key: &SessionKey,
        before: Option<&Record>,
    ) -> Answer<()> {
        self.note(at, key, at.live(key)?);
        match before {
            Some(before) => at.put(before),
            None => at.take(key).map(drop),
        }
    }
}
