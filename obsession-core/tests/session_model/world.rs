//! The library beside its model: each action is carried out by both, and all that can be seen of
//! the one is what the other promised.

mod check;
mod library;

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use obsession_core::{
    ManualClock, MemoryStore, Revision, Session, SessionId, SessionKey, SessionManager,
    SessionStore, Timestamp,
};

use crate::actions::{Action, Life, SLOTS, Step, Tick, USUAL};
use crate::answer::{Answer, Info, Refusal};
use crate::kept::{Kept, Stored};
use crate::request::{Presented, Request};

/// When every life begins, in milliseconds: more than what clocks step back in one.
const BEGIN: u64 = 10_000_000;

pub(crate) struct World {
    clock: Arc<ManualClock>,
    store: MemoryStore,
    manager: SessionManager,
    usual: Life,
    /// Only looks.
    judge: SessionManager,
    open: [Option<Open>; SLOTS],
    pub(crate) kept: Kept,
    /// Each session's tokens, the current one last.
    tokens: Vec<Vec<SessionId>>,
    /// The last write that was checked of each session: the model's and the store's name of it.
    checked: Vec<Option<(u64, Revision)>>,
    /// What happened, if somebody wants to know.
    pub(crate) story: Option<Vec<String>>,
    pub(crate) operations: u64,
}

/// An open request, and the model of it.
struct Open {
    session: Session,
    request: Request,
    announced: Option<SessionId>,
    who: String,
}

/// A store in memory answers at once, and without a runtime there is less to wait for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits, and there is nothing to wait for"),
    }
}

fn manager(store: &MemoryStore, clock: &Arc<ManualClock>, usual: Life) -> SessionManager {
    SessionManager::builder_indexed(store.clone())
        .clock(Arc::clone(clock))
        .lifetime(usual.into())
        .build()
}

fn same<T: PartialEq + Debug>(what: &str, promised: &T, found: &T) -> Result<(), String> {
    if promised == found {
        return Ok(());
    }
    Err(format!("{what}: promised {promised:?}, found {found:?}"))
}

impl World {
    pub(crate) fn new(tell: bool) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(BEGIN)));
        let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
        let manager = manager(&store, &clock, USUAL);
        Self {
            judge: manager.clone(),
            manager,
            usual: USUAL,
            clock,
            store,
            open: [const { None }; SLOTS],
            kept: Kept::new(BEGIN),
            tokens: Vec::new(),
            checked: Vec::new(),
            story: tell.then(Vec::new),
            operations: 0,
        }
    }

    /// Carries it out, if there is something to do.
    pub(crate) fn act(&mut self, action: Action) -> Result<(), String> {
        let all = matches!(action, Action::Clock(_));
        if self.carry_out(action)? {
            self.operations += 1;
            self.check(all)?;
        }
        Ok(())
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    fn carry_out(&mut self, action: Action) -> Result<bool, String> {
        match action {
            Action::Open(slot, pick) => {
                let open = self.open[slot].as_ref();
                if open.is_some_and(|open| !open.request.closed) {
                    return Ok(false);
                }
                let tokens = |session: usize| self.tokens[session].len();
                let presented = Presented::of(pick, &self.kept, tokens);
                self.begin(slot, presented);
            }
            Action::Do(slot, step) => return self.step(slot, step),
            Action::Drop(slot) => {
                let Some(open) = self.open[slot].take() else {
                    return Ok(false);
                };
                self.kept.met("dropped");
                self.tell(|| format!("{}: is dropped", open.who));
            }
            Action::Clock(tick) => {
                let Some(now) = self.instant(tick) else {
                    return Ok(false);
                };
                let lives = |kept: &Kept| {
                    (0..kept.sessions.len())
                        .filter(|s| kept.live(*s).is_some())
                        .count()
                };
                let before = lives(&self.kept);
                self.kept.now = now;
                self.clock.set(Timestamp::from_millis(now));
                if lives(&self.kept) < before {
                    self.kept.met("a session expires");
                }
                self.tell(|| format!("the clock shows {now}"));
            }
            Action::CleanUp(limit) => {
                let removed = now(self.store.delete_expired(limit));
                let removed = removed.map_err(|error| error.to_string())?;
                self.tell(|| format!("clean up {limit} -> {removed}"));
                let expired = |stored: &&Stored| stored.expires_at <= self.kept.now;
                let expired = self.kept.sessions.iter().flatten().filter(expired).count();
                same("expired records removed", &expired.min(limit), &removed)?;
                if removed > 0 {
                    self.kept.met("expired records are removed");
                }
            }
            Action::Reopen(usual) => {
                self.usual = usual;
                self.manager = manager(&self.store, &self.clock, usual);
                self.kept.met("another process");
                self.tell(|| format!("another process, {usual:?}"));
            }
            Action::End(..) | Action::EndAll(..) | Action::List(_) => return self.of_user(action),
        }
        Ok(true)
    }

    /// What a user does to all of his sessions at once.
    fn of_user(&mut self, action: Action) -> Result<bool, String> {
        match action {
            Action::End(user, back) => {
                let Some(session) = self.session(back) else {
                    return Ok(false);
                };
                let of = self.kept.of(user).contains(&session);
                let promised = of && self.kept.delete(session);
                let found = now(self.manager.end(user, &self.key(session)));
                self.tell(|| format!("end session {session} of {user} -> {found:?}"));
                same(
                    "end",
                    &Answer::Flag(promised),
                    &found.map_or_else(Answer::failed, Answer::Flag),
                )?;
                if promised {
                    self.kept.met("a session is ended by its user");
                }
            }
            Action::EndAll(user, except) => {
                let except = except.and_then(|back| self.session(back));
                let mut sessions = self.kept.of(user);
                sessions.retain(|session| Some(*session) != except);
                for session in &sessions {
                    self.kept.delete(*session);
                    self.kept.met("a session is ended by its user");
                }
                let key = except.map(|session| self.key(session));
                let found = now(self.manager.end_all(user, key.as_ref()));
                self.tell(|| format!("end all of {user} except {except:?} -> {found:?}"));
                let found = found.map_or_else(Answer::failed, Answer::Count);
                same("end all", &Answer::Count(sessions.len()), &found)?;
            }
            Action::List(user) => {
                let found = now(self.manager.sessions_of(user, None, usize::MAX));
                self.tell(|| format!("sessions of {user}"));
                let mut found: Vec<_> = found
                    .map_err(|error| error.to_string())?
                    .iter()
                    .map(|info| self.info(info))
                    .collect();
                found.sort_unstable_by_key(|info| info.session);
                let info = |session| Some(Info::of(self.kept.live(session)?, self.usual));
                let promised = self.kept.of(user).into_iter().filter_map(info).collect();
                if !found.is_empty() {
                    self.kept.met("sessions are listed");
                }
                same("sessions", &Answer::List(promised), &Answer::List(found))?;
            }
            _ => {}
        }
        Ok(true)
    }

    /// The instant that a tick leads to, if that is not in the past.
    fn instant(&self, tick: Tick) -> Option<u64> {
        let now = self.kept.now;
        let (instant, early) = match tick {
            Tick::Forward(by) => return Some(now + by),
            Tick::Back(by) => return Some(now - by),
            Tick::Deadline(back, early) => (self.stored(back)?.expires_at, early),
            Tick::Limit(back, early) => (self.stored(back)?.limit(USUAL), early),
        };
        Some(instant - early).filter(|instant| *instant > now)
    }

    fn stored(&self, back: usize) -> Option<&Stored> {
        self.kept.sessions[self.session(back)?].as_ref()
    }

    fn session(&self, back: usize) -> Option<usize> {
        let made = self.tokens.len();
        (made > 0).then(|| made - 1 - back % made)
    }

    fn key(&self, session: usize) -> SessionKey {
        self.tokens[session][0].key()
    }

    fn named(&self, key: &SessionKey) -> Option<usize> {
        self.tokens
            .iter()
            .position(|tokens| tokens[0].key() == *key)
    }

    fn begin(&mut self, slot: usize, presented: Presented) {
        let (id, token) = match presented {
            Presented::Nothing => (None, "nothing".to_owned()),
            Presented::Token(session, token) => (
                Some(self.tokens[session][token].clone()),
                format!("token {token} of session {session}"),
            ),
            Presented::Guessed(session) => {
                let guessed = format!("{}{}", self.key(session), "x".repeat(24));
                (
                    guessed.parse().ok(),
                    format!("a guess for session {session}"),
                )
            }
            Presented::Forged => ("x".repeat(40).parse().ok(), "a forged token".to_owned()),
        };
        self.kept.met("open");
        let mut who = String::new();
        if self.story.is_some() {
            who = format!("request {slot} ({token})");
            self.tell(|| format!("{who}: begins"));
        }
        self.open[slot] = Some(Open {
            session: self.manager.open(id),
            request: Request::new(presented, self.usual),
            announced: None,
            who,
        });
    }

    fn step(&mut self, slot: usize, step: Step) -> Result<bool, String> {
        let Some(mut open) = self.open[slot].take() else {
            return Ok(false);
        };
        let announced = open.request.announced;
        let promised = open.request.step(&mut self.kept, step);
        self.kept.met(step.kind());
        if let Answer::Failed(refusal) = promised {
            self.kept.met(match refusal {
                Refusal::Ended => "refused: Ended",
                Refusal::Closed => "refused: Closed",
                Refusal::Conflict => "refused: Conflict",
                Refusal::Other => "refused",
            });
        }
        let found = self.found(&mut open, step, announced)?;
        self.tell(|| format!("{}: {step} -> {found:?}", open.who));
        same("the answer", &promised, &found)?;
        same(
            "its activity",
            &open.request.activity,
            &open.session.activity(),
        )?;
        if !matches!(step, Step::Finish { stay: false, .. }) {
            self.open[slot] = Some(open);
        }
        Ok(true)
    }
}
