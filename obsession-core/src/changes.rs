//! What a request does to a session: the log of its changes, and what they add up to.
//!
//! The log is what is kept. On a conflict the changes are made again on the newer record, one by
//! one; the view, which is what reads see and what is written, is only their sum.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::body::{Body, Walk, Writer};
use crate::live::Live;
use crate::serializer::{Raw, Value};
use crate::{Error, Lifetime};

pub(crate) type Rerun = Box<dyn FnMut(Option<&Value>) -> Result<Value, Error> + Send>;

/// One change, complete enough to be made again on another state of the session.
pub(crate) enum Change {
    Insert {
        name: Arc<str>,
        value: Value,
    },
    /// Made by `get_or_insert_with`: whoever was first stays.
    InsertIfAbsent {
        name: Arc<str>,
        value: Value,
    },
    /// Made by a guard, which saw `seen`: it cannot be made again on anything else.
    Replace {
        name: Arc<str>,
        seen: Value,
        value: Value,
    },
    Update {
        name: Arc<str>,
        rerun: Rerun,
    },
    Remove {
        name: Arc<str>,
    },
    /// A removal that says what it removed, each time that it is made.
    Take {
        name: Arc<str>,
        found: Arc<Mutex<Option<Value>>>,
    },
    Clear,
    SignIn {
        subject: Arc<str>,
    },
    Cycle,
    Lifetime(Lifetime),
}

/// What a change sets whatever was there.
pub(crate) enum Overwritten<'a> {
    Nothing,
    Entry(&'a str),
    Everything,
}

impl Change {
    pub(crate) fn overwrites(&self) -> Overwritten<'_> {
        match self {
            Self::Insert { name, .. } | Self::Remove { name } => Overwritten::Entry(name),
            Self::Clear => Overwritten::Everything,
            _ => Overwritten::Nothing,
        }
    }

    /// Whether the client would have to be told.
    pub(crate) fn needs_cookie(&self) -> bool {
        matches!(self, Self::SignIn { .. } | Self::Cycle | Self::Lifetime(_))
    }

    /// Whether it puts a value in, and so makes a session where there is none.
    pub(crate) fn puts(&self) -> bool {
        match self {
            Self::Insert { .. }
            | Self::InsertIfAbsent { .. }
            | Self::Replace { .. }
            | Self::Update { .. } => true,
            Self::Remove { .. }
            | Self::Take { .. }
            | Self::Clear
            | Self::SignIn { .. }
            | Self::Cycle
            | Self::Lifetime(_) => false,
        }
    }

    /// Whether nothing is left of it once that is overwritten.
    pub(crate) fn is_void_after(&self, overwritten: &Overwritten<'_>) -> bool {
        match self {
            Self::Insert { name, .. }
            | Self::InsertIfAbsent { name, .. }
            | Self::Replace { name, .. }
            | Self::Update { name, .. }
            | Self::Remove { name } => match overwritten {
                Overwritten::Nothing => false,
                Overwritten::Entry(entry) => **name == **entry,
                Overwritten::Everything => true,
            },
            _ => false,
        }
    }
}

/// The sum of a log over the entries of a record.
#[derive(Default)]
pub(crate) struct View {
    cleared: bool,
    entries: BTreeMap<Arc<str>, Option<Value>>,
    pub(crate) subject: Option<Arc<str>>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) cycle: bool,
    /// Another user has signed in over the one that was there, so nothing of his is left.
    pub(crate) other_user: bool,
}

impl View {
    /// Makes `change` over `live`. Only an `Update` runs code of the application.
    pub(crate) fn apply(&mut self, change: &mut Change, live: Option<&Live>) -> Result<(), Error> {
        let base = live.map(|live| &live.body);
        match change {
            Change::Insert { name, value } => self.set(name, Some(value.clone())),
            Change::InsertIfAbsent { name, value } => {
                if self.get(base, name).is_none() {
                    self.set(name, Some(value.clone()));
                }
            }
            Change::Replace { name, seen, value } => {
                if self.get(base, name).as_ref() != Some(seen) {
                    return Err(Error::Conflict);
                }
                self.set(name, Some(value.clone()));
            }
            Change::Update { name, rerun } => {
                let value = rerun(self.get(base, name).as_ref())?;
                self.set(name, Some(value));
            }
            Change::Remove { name } => self.set(name, None),
            Change::Take { name, found } => {
                *crate::lock(found) = self.get(base, name);
                self.set(name, None);
            }
            Change::Clear => {
                self.cleared = true;
                self.entries.clear();
            }
            Change::SignIn { subject } => {
                let stored = live.and_then(|live| live.record.subject.as_ref());
                let before = self.subject.as_ref().or(stored);
                if before.is_some_and(|before| before != subject) {
                    self.cleared = true;
                    self.entries.clear();
                    (self.lifetime, self.other_user) = (None, true);
                }
                self.subject = Some(Arc::clone(subject));
            }
            Change::Cycle => self.cycle = true,
            Change::Lifetime(lifetime) => self.lifetime = Some(*lifetime),
        }
        Ok(())
    }

    /// Whether an entry of this name was changed.
    pub(crate) fn changes(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(crate) fn set(&mut self, name: &Arc<str>, value: Option<Value>) {
        self.entries.insert(Arc::clone(name), value);
    }

    pub(crate) fn get(&self, base: Option<&Body>, name: &str) -> Option<Value> {
        match self.entries.get(name) {
            Some(value) => value.clone(),
            None if self.cleared => None,
            None => base.and_then(|base| base.get(name)),
        }
    }

    /// All entries by ascending name, which is UTF-8.
    pub(crate) fn entries<'a>(
        &'a self,
        base: Option<&'a Body>,
    ) -> impl Iterator<Item = (&'a [u8], Raw<'a>)> {
        let base = if self.cleared { None } else { base };
        let mut old = base.into_iter().flat_map(Body::entries).peekable();
        let mut new = self.entries.iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let old_first = match (old.peek(), new.peek()) {
                    (Some((old, _)), Some((new, _))) => *old < new.as_bytes(),
                    (old, _) => old.is_some(),
                };
                if old_first {
                    return old.next();
                }
                let (name, value) = new.next()?;
                old.next_if(|(old, _)| *old == name.as_bytes());
                if let Some(value) = value {
                    return Some((name.as_bytes(), value.raw()));
                }
            }
        })
    }

    /// Whether writing the view over `base` would change what it holds.
    pub(crate) fn differs(&self, base: &Body) -> bool {
        if self.needs_current_token() {
            return true;
        }
        if self.cleared {
            return !self.entries(Some(base)).eq(base.entries());
        }
        // Both are in order, so one walk finds them all.
        let mut old = base.walk();
        self.entries.iter().any(|(name, value)| {
            let (_, found) = old.up_to(name.as_bytes());
            let found = found.map(|(format, range)| base.raw(format, range));
            found != value.as_ref().map(Value::raw)
        })
    }

    /// Writes all entries. What has not changed is copied as it stands.
    pub(crate) fn write(&self, base: Option<&Body>, writer: &mut Writer) {
        let mut old = base.filter(|_| !self.cleared).map(Body::walk);
        for (name, value) in &self.entries {
            if let Some(old) = &mut old {
                let (before, _) = old.up_to(name.as_bytes());
                writer.run(before);
            }
            if let Some(value) = value {
                writer.entry(name.as_bytes(), value.raw());
            }
        }
        writer.run(old.map_or(&[], Walk::rest));
    }

    /// Whether it changes who may use the session or for how long, which only the holder of the
    /// current token may do.
    pub(crate) fn needs_current_token(&self) -> bool {
        self.cycle || self.subject.is_some() || self.lifetime.is_some()
    }

    /// Forgets who and how long, for a log of which only `rest` is still to be written.
    pub(crate) fn settle(&mut self, rest: &[Change]) {
        if rest.is_empty() {
            *self = Self::default();
            return;
        }
        (self.subject, self.lifetime, self.cycle) = (None, None, false);
        for change in rest {
            match change {
                Change::SignIn { subject } => self.subject = Some(Arc::clone(subject)),
                Change::Cycle => self.cycle = true,
                Change::Lifetime(lifetime) => self.lifetime = Some(*lifetime),
                _ => {}
            }
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert { name, .. } => write!(f, "insert {name:?}"),
            Self::InsertIfAbsent { name, .. } => write!(f, "insert {name:?} if absent"),
            Self::Replace { name, .. } => write!(f, "replace {name:?}"),
            Self::Update { name, .. } => write!(f, "update {name:?}"),
            Self::Remove { name } => write!(f, "remove {name:?}"),
            Self::Take { name, .. } => write!(f, "take {name:?}"),
            Self::Clear => f.write_str("clear"),
            Self::SignIn { .. } => f.write_str("sign in"),
            Self::Cycle => f.write_str("cycle"),
            Self::Lifetime(lifetime) => write!(f, "{lifetime:?}"),
        }
    }
}
