//! The library's side: each step for real, and its answers in the model's words.

use obsession_core::{ClientAction, SessionId, SessionInfo};

use crate::actions::Step;
use crate::answer::{Answer, Client, Id, Info};

use super::{Open, World, now, same};

impl World {
    /// Does it for real.
    pub(super) fn found(
        &mut self,
        open: &mut Open,
        step: Step,
        announced: bool,
    ) -> Result<Answer, String> {
        let session = open.session.clone();
        let value = |got: Result<Option<u64>, _>| got.map_or_else(Answer::failed, Answer::Value);
        let found = match step {
            Step::Get(name) => value(now(session.get(name))),
            Step::Contains(name) => {
                now(session.contains(name)).map_or_else(Answer::failed, Answer::Flag)
            }
            Step::Names => now(session.names()).map_or_else(Answer::failed, Answer::Names),
            Step::Subject => {
                let subject = now(session.subject());
                subject.map_or_else(Answer::failed, |s| {
                    Answer::Subject(s.as_deref().map(Into::into))
                })
            }
            Step::Id => match now(session.id()) {
                Ok(id) => Answer::Id(self.id(open, announced, id)?),
                Err(error) => Answer::failed(error),
            },
            Step::Info => {
                let info = now(session.info());
                info.map_or_else(Answer::failed, |i| Answer::Info(i.map(|i| self.info(&i))))
            }
            Step::Insert(name, value) => session.insert(name, &value).into(),
            Step::GetOrInsert(name, default) => {
                value(now(session.get_or_insert_with(name, || default)).map(Some))
            }
            Step::Update(name) => value(
                now(session.update(name, |n: &mut u64| {
                    *n += 1;
                    *n
                }))
                .map(Some),
            ),
            Step::Guard(name) => value(now(session.get_mut::<u64>(name)).map(|guard| {
                guard.map(|mut guard| {
                    *guard += 1;
                    *guard - 1
                })
            })),
            Step::Take(name) => value(now(session.take(name))),
            Step::Remove(name) => session.remove(name).into(),
            Step::Clear => session.clear().into(),
            Step::Cycle => session.cycle().into(),
            Step::SignIn(user) => session.sign_in(user).into(),
            Step::SetLifetime(life) => session.set_lifetime(life.into()).into(),
            Step::Save => now(session.save()).into(),
            Step::Delete => now(session.delete()).into(),
            Step::Finish { keep, .. } => {
                let action = now(session.finish(keep));
                self.learn(open, announced)?;
                action.map_or_else(Answer::failed, |action| Answer::Client(self.client(action)))
            }
        };
        self.learn(open, announced)?;
        Ok(found)
    }

    /// A session that the model has given a new token has one, which is the one that was announced.
    fn learn(&mut self, open: &Open, announced: bool) -> Result<(), String> {
        for session in 0..self.kept.sessions.len() {
            let Some(stored) = &self.kept.sessions[session] else {
                continue;
            };
            let known = self.tokens.get(session).map_or(0, Vec::len);
            if stored.token < known {
                continue;
            }
            let id = now(open.session.id()).map_err(|error| error.to_string())?;
            let id = id.ok_or("promised a new token, found none")?;
            if announced && open.announced.as_ref() != Some(&id) {
                return Err("promised the token that was announced, found another".to_owned());
            }
            if self.tokens.iter().flatten().any(|token| *token == id) {
                return Err("promised a new token, found an old one".to_owned());
            }
            if known == 0 {
                if self.named(&id.key()).is_some() {
                    return Err("promised a new key, found an old one".to_owned());
                }
                self.kept.met("a session is made");
                self.tokens.push(vec![id]);
                self.checked.push(None);
            } else {
                same("the key", &self.key(session), &id.key())?;
                self.kept.met("a token is replaced");
                self.tokens[session].push(id);
            }
        }
        Ok(())
    }

    fn id(&self, open: &mut Open, announced: bool, id: Option<SessionId>) -> Result<Id, String> {
        let Some(id) = id else { return Ok(Id::None) };
        let session = self.named(&id.key());
        let tokens = session.map(|session| &self.tokens[session]);
        let token = tokens.and_then(|tokens| tokens.iter().position(|token| *token == id));
        if let (Some(session), Some(token)) = (session, token) {
            return Ok(Id::Token(session, token));
        }
        if announced && open.announced.as_ref() != Some(&id) {
            return Err("promised the id that was announced, found another".to_owned());
        }
        open.announced = Some(id);
        Ok(Id::Coming(session))
    }

    fn client(&self, action: ClientAction) -> Client {
        let ClientAction::Set { id, max_age } = action else {
            return if action == ClientAction::Clear {
                Client::Clear
            } else {
                Client::Keep
            };
        };
        let session = self.named(&id.key()).unwrap_or(usize::MAX);
        let tokens = self.tokens.get(session).map_or(&[][..], |tokens| tokens);
        Client::Set {
            session,
            token: tokens
                .iter()
                .position(|token| *token == id)
                .unwrap_or(usize::MAX),
            max_age: max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    pub(super) fn info(&self, info: &SessionInfo) -> Info {
        Info {
            session: self.named(&info.key).unwrap_or(usize::MAX),
            subject: info.subject.as_deref().map(Into::into),
            created_at: info.created_at.as_millis(),
            last_seen: info.last_seen.as_millis(),
            expires_at: info.expires_at.as_millis(),
        }
    }
}
