//! What can happen in a session's life, one thing at a time, and how a story tells it.

use std::fmt;
use std::time::Duration;

use obsession_core::Lifetime;
use proptest::prelude::*;
use proptest::sample::select;

/// How many requests are open at once.
pub(crate) const SLOTS: usize = 4;

/// A lifetime, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Life {
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
    pub(crate) persistent: bool,
}

/// The manager's lifetime, and that of one which is started with a stricter one.
pub(crate) const USUAL: Life = life(80_000, 300_000, false);
pub(crate) const STRICT: Life = life(40_000, 120_000, false);
const OWN: [Life; 4] = [
    life(8_000, 20_000, false),
    life(160_000, 200_000, false),
    life(40_000, 400_000, true),
    life(30_000, 30_000, true),
];

const fn life(idle: u64, absolute: u64, persistent: bool) -> Life {
    Life {
        idle,
        absolute,
        persistent,
    }
}

impl From<Life> for Lifetime {
    fn from(life: Life) -> Self {
        let lifetime = Self::new(
            Duration::from_millis(life.idle),
            Duration::from_millis(life.absolute),
        );
        if life.persistent {
            lifetime.persistent()
        } else {
            lifetime
        }
    }
}

pub(crate) type Name = &'static str;
pub(crate) type User = &'static str;

/// A token to present. Sessions are counted from the newest backwards, and round again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick {
    Nothing,
    /// The current token of a live session.
    Current(usize),
    /// One of all tokens that any session has had.
    Any(usize, usize),
    /// The key of a session with a secret that was never issued.
    Guessed(usize),
    /// A token that was never issued.
    Forged,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Get(Name),
    Contains(Name),
    Names,
    Subject,
    Id,
    Info,
    Insert(Name, u64),
    GetOrInsert(Name, u64),
    Update(Name),
    Guard(Name),
    Take(Name),
    Remove(Name),
    Clear,
    Cycle,
    SignIn(User),
    SetLifetime(Life),
    Save,
    Delete,
    /// With `stay`, the handle is used after it: by a body that streams, say.
    Finish {
        keep: bool,
        stay: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Tick {
    Forward(u64),
    Back(u64),
    /// To a session's deadline, or a millisecond before it.
    Deadline(usize, u64),
    /// To the absolute limit of a session, or a millisecond before it.
    Limit(usize, u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Begins a request, in a place where none is open.
    Open(usize, Pick),
    Do(usize, Step),
    /// Drops a request that has not been finished.
    Drop(usize),
    Clock(Tick),
    CleanUp(usize),
    /// Another process over the same store, with this lifetime.
    Reopen(Life),
    End(User, usize),
    EndAll(User, Option<usize>),
    List(User),
}

pub(crate) fn actions(most: usize) -> impl Strategy<Value = Vec<Action>> {
    proptest::collection::vec(action(), 1..most)
}

fn action() -> impl Strategy<Value = Action> {
    let slot = || 0..SLOTS;
    prop_oneof![
        16 => (slot(), pick()).prop_map(|(slot, pick)| Action::Open(slot, pick)),
        1 => slot().prop_map(Action::Drop),
        70 => (slot(), step()).prop_map(|(slot, step)| Action::Do(slot, step)),
        8 => tick().prop_map(Action::Clock),
        1 => (0..4_usize).prop_map(Action::CleanUp),
        1 => select(&[USUAL, STRICT]).prop_map(Action::Reopen),
        1 => (user(), session()).prop_map(|(user, session)| Action::End(user, session)),
        1 => (user(), proptest::option::of(session()))
            .prop_map(|(user, except)| Action::EndAll(user, except)),
        1 => user().prop_map(Action::List),
    ]
}

fn session() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0), 2 => Just(1), 1 => 0..6_usize]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        24 => session().prop_map(Pick::Current),
        3 => Just(Pick::Nothing),
        4 => (session(), 0..6_usize).prop_map(|(session, token)| Pick::Any(session, token)),
        1 => session().prop_map(Pick::Guessed),
        1 => Just(Pick::Forged),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    select(&["cart", "theme", "visits"])
}

fn user() -> impl Strategy<Value = User> {
    select(&["ann", "zoë"])
}

fn step() -> impl Strategy<Value = Step> {
    let named = |step: fn(Name) -> Step| name().prop_map(step);
    prop_oneof![
        6 => named(Step::Get),
        2 => named(Step::Contains),
        3 => Just(Step::Names),
        2 => Just(Step::Subject),
        2 => Just(Step::Id),
        1 => Just(Step::Info),
        10 => (name(), 0..3_u64).prop_map(|(name, value)| Step::Insert(name, value)),
        2 => (name(), 0..3_u64).prop_map(|(name, value)| Step::GetOrInsert(name, value)),
        10 => named(Step::Update),
        4 => named(Step::Guard),
        4 => named(Step::Take),
        4 => named(Step::Remove),
        1 => Just(Step::Clear),
        3 => Just(Step::Cycle),
        3 => user().prop_map(Step::SignIn),
        2 => select(&OWN).prop_map(Step::SetLifetime),
        10 => Just(Step::Save),
        1 => Just(Step::Delete),
        10 => (prop::bool::weighted(0.85), prop::bool::weighted(0.2))
            .prop_map(|(keep, stay)| Step::Finish { keep, stay }),
    ]
}

fn tick() -> impl Strategy<Value = Tick> {
    let early = || 0..2_u64;
    prop_oneof![
        12 => select(&[1, 1_000, 3_749, 3_750, 4_999, 5_000, 9_999, 10_000, 60_000_u64]).prop_map(Tick::Forward),
        2 => select(&[1, 3_000_u64]).prop_map(Tick::Back),
        1 => (session(), early()).prop_map(|(session, early)| Tick::Deadline(session, early)),
        1 => (session(), early()).prop_map(|(session, early)| Tick::Limit(session, early)),
    ]
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(name) => write!(f, "get {name}"),
            Self::Contains(name) => write!(f, "contains {name}"),
            Self::Names => f.write_str("names"),
            Self::Subject => f.write_str("subject"),
            Self::Id => f.write_str("id"),
            Self::Info => f.write_str("info"),
            Self::Insert(name, value) => write!(f, "insert {name} {value}"),
            Self::GetOrInsert(name, value) => write!(f, "get or insert {name} {value}"),
            Self::Update(name) => write!(f, "update {name}"),
            Self::Guard(name) => write!(f, "change {name} through a guard"),
            Self::Take(name) => write!(f, "take {name}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Clear => f.write_str("clear"),
            Self::Cycle => f.write_str("cycle"),
            Self::SignIn(user) => write!(f, "sign in {user}"),
            Self::SetLifetime(life) => write!(f, "set {life:?}"),
            Self::Save => f.write_str("save"),
            Self::Delete => f.write_str("delete"),
            Self::Finish { keep: true, .. } => f.write_str("finish"),
            Self::Finish { keep: false, .. } => f.write_str("finish and keep nothing"),
        }
    }
}

impl Step {
    /// What it is without its details.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Get(_) => "get",
            Self::Contains(_) => "contains",
            Self::Names => "names",
            Self::Subject => "subject",
            Self::Id => "id",
            Self::Info => "info",
            Self::Insert(..) => "insert",
            Self::GetOrInsert(..) => "get or insert",
            Self::Update(_) => "update",
            Self::Guard(_) => "guard",
            Self::Take(_) => "take",
            Self::Remove(_) => "remove",
            Self::Clear => "clear",
            Self::Cycle => "cycle",
            Self::SignIn(_) => "sign in",
            Self::SetLifetime(_) => "set lifetime",
            Self::Save => "save",
            Self::Delete => "delete",
            Self::Finish { .. } => "finish",
        }
    }
}
