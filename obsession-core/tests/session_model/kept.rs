//! The model of what is stored: a list of sessions, and a clock.

use std::collections::BTreeMap;

use crate::actions::{Life, Name, User};
use crate::changes::Sum;

/// For so long a token that was replaced is taken for a request that was under way.
pub(crate) const LATE: u64 = 60_000;

/// A session as it is stored, and as a request has loaded it. Times are in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Which one of all sessions ever made.
    pub(crate) session: usize,
    pub(crate) values: BTreeMap<Name, u64>,
    pub(crate) subject: Option<User>,
    /// Which one of all tokens that it has had.
    pub(crate) token: usize,
    pub(crate) created_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) cycled_at: u64,
    pub(crate) issued_at: u64,
    pub(crate) written_at: u64,
    pub(crate) own: Option<Life>,
    /// Which write of all.
    pub(crate) revision: u64,
}

impl Stored {
    pub(crate) fn life(&self, usual: Life) -> Life {
        self.own.unwrap_or(usual)
    }

    pub(crate) fn limit(&self, usual: Life) -> u64 {
        self.created_at + self.life(usual).absolute
    }

    /// Used now, it lives for the idle timeout, and never past its absolute limit.
    pub(crate) fn deadline(&self, usual: Life, now: u64) -> u64 {
        (now + self.life(usual).idle).min(self.limit(usual))
    }

    /// A use is noted if that makes it live an eighth of the idle timeout longer, or up to its
    /// limit. It never lives shorter by it.
    pub(crate) fn touch_due(&self, usual: Life, now: u64) -> Option<u64> {
        let deadline = self.deadline(usual, now);
        let gain = deadline.saturating_sub(self.expires_at);
        let last = gain > 0 && deadline == self.limit(usual);
        (last || gain >= self.life(usual).idle / 8).then_some(deadline)
    }

    /// The last use that is known: what the deadline tells, unless a limit has cut it, or the last
    /// write.
    pub(crate) fn last_seen(&self, usual: Life) -> u64 {
        let used = self.expires_at.saturating_sub(self.life(usual).idle);
        used.max(self.written_at)
    }
}

/// How often something was met.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

pub(crate) struct Kept {
    pub(crate) now: u64,
    /// All that were ever made; those that are gone for good are none.
    pub(crate) sessions: Vec<Option<Stored>>,
    writes: u64,
    pub(crate) met: Tally,
}

impl Kept {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            now,
            sessions: Vec::new(),
            writes: 0,
            met: Tally::new(),
        }
    }

    pub(crate) fn met(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// It is live before its deadline, and not at it. A clock that steps back may find it again, as
    /// long as nobody has removed it.
    pub(crate) fn live(&self, session: usize) -> Option<&Stored> {
        let stored = self.sessions[session].as_ref();
        stored.filter(|stored| self.now < stored.expires_at)
    }

    pub(crate) fn live_mut(&mut self, session: usize) -> Option<&mut Stored> {
        let stored = self.sessions[session].as_mut();
        stored.filter(|stored| self.now < stored.expires_at)
    }

    /// Writes what the changes come to, over `base` or as a new session, and gives what the writer
    /// has in its hands then.
    pub(crate) fn write(
        &mut self,
        base: Option<&Stored>,
        sum: &Sum,
        issue: bool,
        usual: Life,
    ) -> Stored {
        let now = self.now;
        self.writes += 1;
        let fresh = Stored {
            session: self.sessions.len(),
            values: BTreeMap::new(),
            subject: None,
            token: 0,
            created_at: now,
            expires_at: 0,
            cycled_at: now,
            issued_at: now,
            written_at: now,
            own: None,
            revision: 0,
        };
        let mut next = base.cloned().unwrap_or(fresh);
        if base.is_some() && sum.new_token {
            next.token += 1;
            next.cycled_at = now;
        }
        if issue {
            next.issued_at = now;
        }
        // The absolute lifetime counts from the last sign-in.
        if sum.signed_in {
            next.created_at = now;
        }
        next.written_at = now;
        next.values.clone_from(&sum.values);
        (next.subject, next.own) = (sum.subject, sum.own);
        // A write moves the deadline when a touch would, or when other limits hold.
        next.expires_at = match base {
            Some(base) if !sum.signed_in && next.own == base.own => base
                .touch_due(usual, now)
                .unwrap_or(base.expires_at.min(next.deadline(usual, now))),
            _ => next.deadline(usual, now),
        };
        next.revision = self.writes;

        // What is stored knows no time before the session's beginning, as a clock that steps back
        // makes it.
        let mut stored = next.clone();
        for time in [
            &mut stored.cycled_at,
            &mut stored.issued_at,
            &mut stored.written_at,
        ] {
            *time = (*time).max(stored.created_at);
        }
        if base.is_none() {
            self.sessions.push(None);
        }
        self.sessions[next.session] = Some(stored);
        next
    }

    /// Whether it was live.
    pub(crate) fn delete(&mut self, session: usize) -> bool {
        let live = self.live(session).is_some();
        if live {
            self.sessions[session] = None;
        }
        live
    }

    pub(crate) fn of(&self, user: User) -> Vec<usize> {
        let sessions = 0..self.sessions.len();
        let of = |session: &usize| {
            let live = self.live(*session);
            live.is_some_and(|live| live.subject == Some(user))
        };
        sessions.filter(of).collect()
    }
}
