//! The model of a request: what it has loaded, what it has changed since, and what it is answered.

mod end;
mod save;

use obsession_core::Activity;

use crate::actions::{Life, Name, Pick, Step};
use crate::answer::{Answer, Id, Info, Refusal};
use crate::changes::{Change, Sum, fold};
use crate::kept::{Kept, LATE, Stored};

/// Where a request stands.
#[derive(Debug)]
enum Stand {
    /// It has not looked.
    Unseen,
    /// There is no session.
    Nothing,
    /// The session lives on under a token that replaced this request's a moment ago.
    Overtaken,
    /// This request has deleted it.
    Deleted,
    /// Another one has ended it.
    Ended,
    Loaded(Stored),
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub(crate) struct Request {
    presented: Presented,
    /// The lifetime of its manager.
    usual: Life,
    stand: Stand,
    changes: Vec<Change>,
    /// The current token, while it is this request's to use.
    mine: Option<usize>,
    /// It lost its token in a conflict that its changes did not fit: it sees and changes nothing.
    blind: bool,
    pub(crate) closed: bool,
    /// Its last save was refused, and it has tried nothing else since.
    refused: bool,
    tell: bool,
    clear: bool,
    /// It was told the token that its changes will bring.
    pub(crate) announced: bool,
    pub(crate) activity: Activity,
}

/// A token that a request presents: which one of which session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presented {
    Nothing,
    Token(usize, usize),
    Guessed(usize),
    Forged,
}

impl Presented {
    pub(crate) fn of(pick: Pick, kept: &Kept, tokens: impl Fn(usize) -> usize) -> Self {
        let made = kept.sessions.len();
        let session = |back: usize| made - 1 - back % made;
        match pick {
            Pick::Forged => Self::Forged,
            _ if made == 0 => Self::Nothing,
            Pick::Nothing => Self::Nothing,
            Pick::Current(back) => {
                let mut live = (0..made)
                    .rev()
                    .filter_map(|session| kept.live(session))
                    .cycle();
                live.nth(back)
                    .map_or(Self::Nothing, |live| Self::Token(live.session, live.token))
            }
            Pick::Any(back, token) => Self::Token(session(back), token % tokens(session(back))),
            Pick::Guessed(back) => Self::Guessed(session(back)),
        }
    }
}

impl Request {
    pub(crate) fn new(presented: Presented, usual: Life) -> Self {
        Self {
            presented,
            usual,
            stand: Stand::Unseen,
            changes: Vec::new(),
            mine: None,
            blind: false,
            closed: false,
            refused: false,
            tell: false,
            clear: false,
            announced: false,
            activity: Activity::default(),
        }
    }

    pub(crate) fn step(&mut self, kept: &mut Kept, step: Step) -> Answer {
        match step {
            Step::Get(name) => Answer::Value(self.get(kept, name)),
            Step::Contains(name) => Answer::Flag(self.get(kept, name).is_some()),
            Step::Names => {
                self.look(kept);
                Answer::Names(self.view().values.into_keys().map(Into::into).collect())
            }
            Step::Subject => {
                self.look(kept);
                Answer::Subject(self.view().subject.map(Into::into))
            }
            Step::Id => {
                self.look(kept);
                Answer::Id(self.id())
            }
            Step::Info => {
                self.look(kept);
                Answer::Info(self.info())
            }
            Step::Insert(name, value) => self.push(kept, Change::Insert(name, value)).into(),
            Step::GetOrInsert(name, value) => match self.get(kept, name) {
                Some(found) => Answer::Value(Some(found)),
                None => match self.push(kept, Change::InsertIfAbsent(name, value)) {
                    Ok(()) => Answer::Value(Some(value)),
                    Err(refusal) => Answer::Failed(refusal),
                },
            },
            Step::Update(name) => {
                let given = self.get(kept, name).unwrap_or(0) + 1;
                match self.push(kept, Change::Update(name)) {
                    Ok(()) => Answer::Value(Some(given)),
                    Err(refusal) => Answer::Failed(refusal),
                }
            }
            Step::Guard(name) => {
                let seen = self.get(kept, name);
                if let Some(seen) = seen {
                    // A guard that comes too late puts nothing back, and says so only in the log.
                    let _ = self.push(kept, Change::Replace(name, seen, seen + 1));
                }
                Answer::Value(seen)
            }
            Step::Take(name) => self.take(kept, name),
            Step::Remove(name) => self.push(kept, Change::Remove(name)).into(),
            Step::Clear => self.push(kept, Change::Clear).into(),
            Step::Cycle => self.push(kept, Change::Cycle).into(),
            Step::SignIn(user) => self.push(kept, Change::SignIn(user)).into(),
            Step::SetLifetime(life) => self.push(kept, Change::Lifetime(life)).into(),
            Step::Save => self.save_now(kept).map(drop).into(),
            Step::Delete => self.delete(kept).into(),
            Step::Finish { keep, .. } => match self.finish(kept, keep) {
                Ok(client) => Answer::Client(client),
                Err(refusal) => Answer::Failed(refusal),
            },
        }
    }

    fn look(&mut self, kept: &mut Kept) {
        self.activity.looked = true;
        if !matches!(self.stand, Stand::Unseen) {
            return;
        }
        let (session, token) = match self.presented {
            Presented::Nothing => {
                self.stand = Stand::Nothing;
                return;
            }
            Presented::Token(session, token) => (Some(session), Some(token)),
            Presented::Guessed(session) => (Some(session), None),
            Presented::Forged => (None, None),
        };
        self.activity.loaded = true;
        let live = session.and_then(|session| kept.live(session));
        // An absolute lifetime that has become shorter holds at once.
        let live = live.filter(|live| kept.now < live.limit(self.usual));
        let (stand, met) = match live {
            None => (Stand::Nothing, "a load finds nothing"),
            Some(live) if Some(live.token) == token => {
                self.mine = token;
                (Stand::Loaded(live.clone()), "a load finds its session")
            }
            Some(live) if kept.now.saturating_sub(live.cycled_at) < LATE => (
                Stand::Overtaken,
                "a token that was just replaced is presented",
            ),
            Some(_) => (
                Stand::Nothing,
                "a token that was long replaced is presented",
            ),
        };
        self.stand = stand;
        kept.met(met);
    }

    fn base(&self) -> Option<&Stored> {
        match &self.stand {
            Stand::Loaded(stored) => Some(stored),
            _ => None,
        }
    }

    /// What its changes come to over what it has loaded, which they always fit.
    fn sum(&self) -> Sum {
        fold(self.base(), &self.changes).expect("a change does not fit what it was made on")
    }

    /// What it sees: its own changes over what it has loaded; without what was loaded if it has lost
    /// its token since.
    fn view(&self) -> Sum {
        let mut sum = self.sum();
        if self.blind {
            let own = |name: &Name| {
                self.changes
                    .iter()
                    .any(|change| change.entry() == Some(name))
            };
            sum.values.retain(|name, _| own(name));
            sum.subject = None;
        }
        sum
    }

    fn get(&mut self, kept: &mut Kept, name: Name) -> Option<u64> {
        self.look(kept);
        self.view().values.get(name).copied()
    }

    fn signs_in(&self) -> bool {
        let sign_in = |change: &Change| matches!(change, Change::SignIn(_));
        self.changes.iter().any(sign_in)
    }

    /// The token that the client has, or will have when the changes are saved.
    fn id(&mut self) -> Id {
        let sum = self.sum();
        let coming = match &self.stand {
            Stand::Loaded(stored) if sum.new_token => Some(stored.session),
            Stand::Loaded(stored) => {
                return self
                    .mine
                    .map_or(Id::None, |token| Id::Token(stored.session, token));
            }
            Stand::Overtaken if !self.signs_in() => return Id::None,
            Stand::Nothing | Stand::Deleted | Stand::Overtaken if sum.makes_a_session() => None,
            _ => return Id::None,
        };
        self.announced = true;
        Id::Coming(coming)
    }

    fn info(&self) -> Option<Info> {
        let stored = self.base().filter(|_| !self.blind)?;
        Some(Info::of(stored, self.usual))
    }

    /// Changes nothing in the store. A request that has been overtaken can still sign in.
    fn push(&mut self, kept: &mut Kept, change: Change) -> Result<(), Refusal> {
        self.activity.looked = true;
        if self.closed {
            return Err(Refusal::Closed);
        }
        self.refused = false;
        if matches!((&self.stand, change), (Stand::Overtaken, Change::SignIn(_))) {
            kept.met("an overtaken request signs in");
            self.stand = Stand::Nothing;
        }
        match self.stand {
            Stand::Ended => return Err(Refusal::Ended),
            Stand::Overtaken if !self.signs_in() => return Err(Refusal::Ended),
            Stand::Loaded(_) if self.blind => return Err(Refusal::Ended),
            _ => {}
        }
        self.changes.retain(|earlier| !change.voids(*earlier));
        self.changes.push(change);
        Ok(())
    }

    /// Gives a value to one of all that try, by a save.
    fn take(&mut self, kept: &mut Kept, name: Name) -> Answer {
        if self.get(kept, name).is_none() {
            return Answer::Value(None);
        }
        let taken = match self.push(kept, Change::Take(name)) {
            Ok(()) => self.save_now(kept),
            Err(refusal) => Err(refusal),
        };
        match taken {
            Ok(taken) => {
                kept.met(if taken.is_some() {
                    "taken"
                } else {
                    "taken by another"
                });
                Answer::Value(taken)
            }
            Err(refusal) => Answer::Failed(refusal),
        }
    }
}

impl Sum {
    /// Whether there is something in a session that is made of it.
    fn makes_a_session(&self) -> bool {
        self.subject.is_some() || !self.values.is_empty()
    }
}
