//! How a request ends: its session, or itself.

use crate::answer::{Client, Refusal};
use crate::kept::Kept;

use super::{Presented, Request, Stand};

impl Request {
    /// Drops what was changed: the session is not this request's any more, and neither is what its
    /// client has.
    pub(super) fn over(&mut self, kept: &mut Kept, stand: Stand) -> Result<Option<u64>, Refusal> {
        kept.met(match stand {
            Stand::Ended => "changes are dropped: the session has ended",
            _ => "changes are dropped: the token was replaced",
        });
        self.activity.dropped |= !self.changes.is_empty();
        self.changes.clear();
        self.stand = stand;
        self.mine = None;
        (self.blind, self.tell, self.clear, self.announced) = (false, false, false, false);
        Err(Refusal::Ended)
    }

    /// Whoever has loaded the session may end it; of others' tokens it is not for this one to say.
    pub(super) fn delete(&mut self, kept: &mut Kept) -> Result<(), Refusal> {
        self.look(kept);
        let session = match &self.stand {
            Stand::Overtaken => return self.over(kept, Stand::Overtaken).map(drop),
            Stand::Loaded(_) if self.blind => return self.over(kept, Stand::Overtaken).map(drop),
            Stand::Loaded(stored) => Some(stored.session),
            Stand::Ended => return Ok(()),
            // A second one has nothing to do.
            Stand::Deleted => {
                self.changes.clear();
                self.announced = false;
                return Ok(());
            }
            _ => None,
        };
        let presented = self.presented != Presented::Nothing;
        self.clear = presented;
        if let Some(session) = session {
            let deleted = kept.delete(session);
            kept.met(if deleted {
                "deleted"
            } else {
                "deleted by another before"
            });
            self.activity.deleted |= deleted;
            // Its client may have another token by now.
            self.clear &= deleted;
        }
        self.changes.clear();
        (self.tell, self.announced, self.mine) = (false, false, None);
        self.stand = Stand::Deleted;
        Ok(())
    }

    pub(super) fn finish(&mut self, kept: &mut Kept, keep: bool) -> Result<Client, Refusal> {
        self.closed = true;
        if self.refused {
            self.activity.dropped |= !self.changes.is_empty();
            self.changes.clear();
        }
        if keep {
            match self.save(kept, true) {
                Ok(_) => self.touch(kept),
                Err(Refusal::Ended) => {}
                Err(refusal) => return Err(refusal),
            }
        } else {
            self.changes.clear();
        }
        let client = self.client(kept.now);
        self.activity.client_told = client != Client::Keep;
        kept.met(match client {
            Client::Keep => "the client is told nothing",
            Client::Set { .. } => "the client is sent a token",
            Client::Clear => "the client is told to forget its token",
        });
        Ok(client)
    }

    /// Moves the deadline, if that is due and nobody has written since, who has set it by that.
    fn touch(&mut self, kept: &mut Kept) {
        let Stand::Loaded(base) = &mut self.stand else {
            return;
        };
        let Some(deadline) = base.touch_due(self.usual, kept.now) else {
            return;
        };
        match kept.live_mut(base.session) {
            None => {
                let _ = self.over(kept, Stand::Ended);
            }
            Some(stored) if stored.revision == base.revision => {
                stored.expires_at = stored.expires_at.max(deadline);
                base.expires_at = deadline;
                self.activity.touched = true;
                kept.met("touched");
            }
            Some(_) => kept.met("a touch comes too late"),
        }
    }

    /// A client that is told to keep its token is told again after an eighth of that time.
    pub(super) fn renewal_due(&self, now: u64) -> bool {
        let Some(base) = self.base().filter(|_| self.mine.is_some()) else {
            return false;
        };
        let own = base.own.filter(|own| own.persistent);
        own.is_some_and(|own| now.saturating_sub(base.issued_at) >= own.idle / 8)
    }

    fn client(&self, now: u64) -> Client {
        match (&self.stand, self.mine) {
            (Stand::Loaded(base), Some(token)) if self.tell => Client::Set {
                session: base.session,
                token,
                max_age: base.own.filter(|own| own.persistent).map(|own| {
                    let rest = base.limit(self.usual).saturating_sub(now);
                    own.idle.min(rest)
                }),
            },
            (Stand::Nothing | Stand::Deleted, _) if self.clear => Client::Clear,
            _ => Client::Keep,
        }
    }
}
