//! The model of what a request changes: a list, and what it comes to.

use std::collections::BTreeMap;

use crate::actions::{Life, Name, User};
use crate::kept::Stored;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Insert(Name, u64),
    InsertIfAbsent(Name, u64),
    /// Made by a guard, which saw the first value and can be made on no other.
    Replace(Name, u64, u64),
    Update(Name),
    Remove(Name),
    Take(Name),
    Clear,
    SignIn(User),
    Cycle,
    Lifetime(Life),
}

impl Change {
    /// The entry that it sets to something, if it is only about that.
    pub(crate) fn entry(self) -> Option<Name> {
        match self {
            Self::Insert(name, _)
            | Self::InsertIfAbsent(name, _)
            | Self::Replace(name, ..)
            | Self::Update(name)
            | Self::Remove(name) => Some(name),
            _ => None,
        }
    }

    /// Whether an earlier change is void after this one, which sets the entry whatever was there.
    pub(crate) fn voids(self, earlier: Self) -> bool {
        match self {
            Self::Insert(name, _) | Self::Remove(name) => earlier.entry() == Some(name),
            Self::Clear => earlier.entry().is_some(),
            _ => false,
        }
    }

    /// Whether it is only for who holds the current token.
    pub(crate) fn needs_current_token(self) -> bool {
        matches!(self, Self::SignIn(_) | Self::Cycle | Self::Lifetime(_))
    }
}

/// What changes come to over a session, or over nothing.
#[derive(Clone, Default, Debug)]
pub(crate) struct Sum {
    pub(crate) values: BTreeMap<Name, u64>,
    pub(crate) subject: Option<User>,
    pub(crate) own: Option<Life>,
    pub(crate) new_token: bool,
    pub(crate) signed_in: bool,
    /// What the last `Take` has found.
    pub(crate) taken: Option<u64>,
}

/// Makes `changes` over `base`; nothing if they do not fit it.
pub(crate) fn fold(base: Option<&Stored>, changes: &[Change]) -> Option<Sum> {
    let mut sum = base.map_or_else(Sum::default, |base| Sum {
        values: base.values.clone(),
        subject: base.subject,
        own: base.own,
        ..Sum::default()
    });
    for change in changes {
        let values = &mut sum.values;
        match *change {
            Change::Insert(name, value) => drop(values.insert(name, value)),
            Change::InsertIfAbsent(name, value) => drop(values.entry(name).or_insert(value)),
            Change::Replace(name, seen, value) => {
                if values.insert(name, value) != Some(seen) {
                    return None;
                }
            }
            Change::Update(name) => *values.entry(name).or_default() += 1,
            Change::Remove(name) => drop(values.remove(name)),
            Change::Take(name) => sum.taken = values.remove(name),
            Change::Clear => values.clear(),
            Change::SignIn(user) => {
                // Nothing of one user is left to the next.
                if sum.subject.is_some_and(|before| before != user) {
                    values.clear();
                    sum.own = None;
                }
                sum.subject = Some(user);
                (sum.new_token, sum.signed_in) = (true, true);
            }
            Change::Cycle => sum.new_token = true,
            Change::Lifetime(life) => sum.own = Some(life),
        }
    }
    Some(sum)
}
