//! What the store holds, and which tokens work, is what the model says.

use obsession_core::{Record, SessionStore, Timestamp};

use crate::actions::Name;
use crate::kept::Stored;

use super::{World, now, same};

impl World {
    /// Looks at each session; behind its tokens only where it was written since, or with `all`.
    pub(super) fn check(&mut self, all: bool) -> Result<(), String> {
        for session in 0..self.kept.sessions.len() {
            let record = self.record(session);
            let Some(stored) = &self.kept.sessions[session] else {
                if record.is_some() {
                    return Err(format!("session {session} is gone, found it in the store"));
                }
                if self.checked[session].take().is_some() {
                    self.check_tokens(session, None)?;
                }
                continue;
            };
            let Some(record) = record else {
                if self.kept.now < stored.expires_at {
                    return Err(format!("promised session {session}, found nothing"));
                }
                // What has expired may be removed by anybody.
                self.kept.sessions[session] = None;
                self.checked[session] = None;
                continue;
            };
            let what = format_args!("session {session}");
            let millis = Timestamp::as_millis;
            if millis(record.expires_at) != stored.expires_at {
                same(
                    &format!("the deadline of {what}"),
                    &stored.expires_at,
                    &millis(record.expires_at),
                )?;
            }
            if millis(record.created_at) != stored.created_at {
                same(
                    &format!("the beginning of {what}"),
                    &stored.created_at,
                    &millis(record.created_at),
                )?;
            }
            if record.subject.as_deref() != stored.subject {
                same(
                    &format!("the subject of {what}"),
                    &stored.subject,
                    &record.subject.as_deref(),
                )?;
            }
            let writes = Some((stored.revision, record.revision));
            let before = self.checked[session];
            let revisions = |(promised, found)| {
                (Some(promised) == before.map(|b| b.0)) == (Some(found) == before.map(|b| b.1))
            };
            if !writes.is_some_and(revisions) {
                return Err(format!(
                    "{what}: promised write {}, found another",
                    stored.revision
                ));
            }
            if all || writes != before {
                let live = self.kept.live(session).cloned();
                self.check_tokens(session, live.as_ref())?;
                self.checked[session] = writes;
            }
        }
        let promised = self.kept.sessions.iter().flatten().count();
        same("records in the store", &promised, &self.store.len())
    }

    /// The record, also if it has expired: at the beginning of time all are live.
    fn record(&self, session: usize) -> Option<Record> {
        self.clock.set(Timestamp::default());
        let record = now(self.store.load(&self.key(session)));
        self.clock.set(Timestamp::from_millis(self.kept.now));
        record.ok().flatten()
    }

    /// The current token of a live session loads all of it, and no other token loads anything.
    fn check_tokens(&self, session: usize, live: Option<&Stored>) -> Result<(), String> {
        for (token, id) in self.tokens[session].iter().enumerate() {
            let promised = live.filter(|live| live.token == token);
            let found = now(self.judge.load_id(id.clone())).map_err(|error| error.to_string())?;
            if promised.is_some() != found.is_some() {
                return Err(format!(
                    "token {token} of session {session}: promised that it {}, found that it {}",
                    works(promised.is_some()),
                    works(found.is_some()),
                ));
            }
            if let (Some(promised), Some(found)) = (promised, found) {
                let names = now(found.names()).map_err(|error| error.to_string())?;
                let expected: Vec<Name> = promised.values.keys().copied().collect();
                same(
                    "the names that are stored",
                    &expected,
                    &names.iter().map(|name| &**name).collect(),
                )?;
                for (name, value) in &promised.values {
                    let stored = now(found.get::<u64>(name)).map_err(|error| error.to_string())?;
                    if stored != Some(*value) {
                        return Err(format!(
                            "{name} in the store: promised {value}, found {stored:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

fn works(works: bool) -> &'static str {
    if works { "works" } else { "does not" }
}
