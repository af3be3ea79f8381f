//! What the child said, and whether the store agrees.

use std::collections::{BTreeMap, BTreeSet};

use obsession_core::{SessionId, SessionIndex, SessionKey, SessionManager};

use super::Outcome;

/// The file in which a child finds sessions to go on with.
pub(super) const SURVIVORS: &str = "survivors";
/// How many dead tokens of a session are tried.
const DEAD: usize = 3;

#[derive(Clone, PartialEq)]
struct State {
    id: SessionId,
    n: u64,
    subject: Option<String>,
}

/// One session by what its writer said. `None` is "not there".
#[derive(Default)]
struct Entry {
    acknowledged: Option<State>,
    /// What was begun and not acknowledged.
    #[allow(clippy::option_option, reason = "nothing, a delete or a write")]
    begun: Option<Option<State>>,
    /// Tokens that were replaced and acknowledged as such.
    dead: Vec<SessionId>,
    /// Whether anything was said since the last check.
    changed: bool,
}

/// All sessions of one database.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<SessionKey, Entry>);

#[derive(Default)]
pub(super) struct Found {
    pub(super) checked: u64,
    pub(super) lost: u64,
    pub(super) wrong_tokens: u64,
    pub(super) mismatches: u64,
}

impl Found {
    pub(super) fn violations(&self) -> u64 {
        self.lost + self.wrong_tokens + self.mismatches
    }
}

impl Ledger {
    /// Takes down one line, and says whether it was an acknowledgement.
    pub(super) fn note(&mut self, line: &str) -> Outcome<bool> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["put", token, n, subject] => {
                let id: SessionId = token.parse()?;
                let entry = self.0.entry(id.key()).or_default();
                entry.changed = true;
                entry.begun = Some(Some(State {
                    id,
                    n: n.parse()?,
                    subject: (subject != "-").then(|| subject.to_owned()),
                }));
            }
            ["end", key] => self.entry(key)?.begun = Some(None),
            ["ok", key] => {
                let entry = self.entry(key)?;
                let begun = entry.begun.take().ok_or("nothing was begun")?;
                entry.settle(begun);
                return Ok(true);
            }
            _ => return Err(format!("the child said {line:?}").into()),
        }
        Ok(false)
    }

    fn entry(&mut self, key: &str) -> Outcome<&mut Entry> {
        let entry = self.0.get_mut(&key.parse()?).ok_or("an unknown key")?;
        entry.changed = true;
        Ok(entry)
    }

    /// Compares with the store; what it has is what the next check expects. `all` also looks at
    /// sessions that nobody has spoken of since the last time.
    pub(super) async fn check(
        &mut self,
        store: &(impl SessionIndex + Clone),
        all: bool,
    ) -> Outcome<Found> {
        let manager = SessionManager::new(store.clone());
        let mut found = Found::default();
        for entry in self.0.values_mut().filter(|entry| all || entry.changed) {
            found.checked += 1;
            entry.check(&manager, &mut found).await?;
        }
        self.check_indexes(store, &mut found).await?;
        Ok(found)
    }

    /// Lines for a child, with `count` of the living.
    pub(super) fn survivors(&self, count: usize) -> String {
        let living = self
            .0
            .values()
            .filter_map(|entry| entry.acknowledged.as_ref());
        let line = |s: &State| {
            let subject = s.subject.as_deref().unwrap_or("-");
            format!("{} {} {subject}\n", s.id.expose(), s.n)
        };
        living.take(count).map(line).collect()
    }

    async fn check_indexes(&self, store: &impl SessionIndex, found: &mut Found) -> Outcome {
        let mut living = BTreeSet::new();
        let mut of = BTreeMap::<String, BTreeSet<SessionKey>>::new();
        for (key, entry) in &self.0 {
            if let Some(state) = &entry.acknowledged {
                living.insert(*key);
                if let Some(subject) = &state.subject {
                    of.entry(subject.clone()).or_default().insert(*key);
                }
            }
        }
        for n in 0..10 {
            let subject = format!("user-{n}");
            let listed = store.list(&subject, None, usize::MAX).await?;
            let listed: BTreeSet<_> = listed.iter().map(|record| record.key).collect();
            found.mismatches += u64::from(listed != of.remove(&subject).unwrap_or_default());
        }
        let scanned = store.scan(None, usize::MAX).await?;
        let in_order = scanned.is_sorted_by_key(|record| (record.expires_at, record.key));
        let keys: BTreeSet<_> = scanned.iter().map(|record| record.key).collect();
        found.mismatches += u64::from(!in_order || keys != living || scanned.len() != keys.len());
        found.mismatches += u64::from(store.count().await? != living.len() as u64);
        Ok(())
    }
}

impl Entry {
    async fn check(&mut self, manager: &SessionManager, found: &mut Found) -> Outcome {
        let begun = self.begun.take();
        let mut allowed = vec![self.acknowledged.clone()];
        allowed.extend(begun);
        // Each token once: a plain write leaves it as it is.
        let mut tokens: Vec<SessionId> = Vec::new();
        for state in allowed.iter().flatten() {
            if !tokens.contains(&state.id) {
                tokens.push(state.id.clone());
            }
        }
        let mut actual = Vec::new();
        for id in tokens {
            actual.extend(state_of(manager, &id).await?);
        }
        for id in &self.dead {
            if state_of(manager, id).await?.is_some() {
                found.wrong_tokens += 1;
            }
        }
        if actual.len() > 1 {
            found.wrong_tokens += 1;
        }
        let actual = actual.pop();
        if !allowed.contains(&actual) {
            found.lost += 1;
            eprintln!(
                "lost: the store has n = {:?} where n = {:?} was acknowledged",
                actual.as_ref().map(|state| state.n),
                self.acknowledged.as_ref().map(|state| state.n),
            );
        }
        self.settle(actual);
        self.changed = false;
        Ok(())
    }

    fn settle(&mut self, now: Option<State>) {
        let new_token = now.as_ref().map(|state| &state.id);
        if let Some(old) = self.acknowledged.take()
            && new_token != Some(&old.id)
        {
            self.dead.push(old.id);
            if self.dead.len() > DEAD {
                self.dead.remove(0);
            }
        }
        self.acknowledged = now;
    }
}

async fn state_of(manager: &SessionManager, id: &SessionId) -> Outcome<Option<State>> {
    let Some(session) = manager.load_id(id.clone()).await? else {
        return Ok(None);
    };
    Ok(Some(State {
        id: id.clone(),
        n: session.get("n").await?.unwrap_or(0),
        subject: session
            .subject()
            .await?
            .map(|subject| (*subject).to_owned()),
    }))
}
