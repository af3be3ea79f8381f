//! What a save writes, and what becomes of it when others have written.

use crate::answer::Refusal;
use crate::changes::{Change, Sum, fold};
use crate::kept::{Kept, Stored};

use super::{Request, Stand};

impl Request {
    pub(super) fn save_now(&mut self, kept: &mut Kept) -> Result<Option<u64>, Refusal> {
        self.activity.looked = true;
        if self.closed && !self.changes.is_empty() {
            return Err(Refusal::Closed);
        }
        let saved = self.save(kept, false);
        self.refused = saved == Err(Refusal::Conflict);
        saved
    }

    /// Writes what has changed, or with `renew` also what keeps the client's token, and gives what the
    /// last take has found.
    pub(super) fn save(&mut self, kept: &mut Kept, renew: bool) -> Result<Option<u64>, Refusal> {
        if !self.changes.is_empty() {
            self.look(kept);
        }
        loop {
            if matches!(self.stand, Stand::Unseen | Stand::Ended) {
                return Ok(None);
            }
            if matches!(self.stand, Stand::Overtaken)
                && !self.changes.is_empty()
                && !self.signs_in()
            {
                return self.over(kept, Stand::Overtaken);
            }
            let sum = self.sum();
            let Some(base) = self.base().cloned() else {
                if sum.makes_a_session() {
                    self.activity.created = true;
                    self.write(kept, None, &sum, true);
                }
                return Ok(sum.taken);
            };
            let needs_token = self
                .changes
                .iter()
                .any(|change| change.needs_current_token());
            let renewal = self.renewal_due(kept.now);
            // What makes no difference to what was loaded is not written, whatever is stored by now.
            if !(needs_token || renew && renewal || sum.values != base.values) {
                self.changes.clear();
                if self.blind {
                    kept.met("an overtaken request has nothing left to write");
                    self.blind = false;
                    self.stand = Stand::Overtaken;
                }
                return Ok(sum.taken);
            }
            match kept.live(base.session).cloned() {
                None => return self.over(kept, Stand::Ended),
                Some(stored) if stored.revision == base.revision => {
                    let set_lifetime = |c: &Change| matches!(c, Change::Lifetime(_));
                    let issue = sum.new_token || renewal || self.changes.iter().any(set_lifetime);
                    if renewal {
                        kept.met("the client's token is renewed");
                    }
                    self.write(kept, Some(&base), &sum, issue);
                    return Ok(sum.taken);
                }
                Some(newer) => self.rebase(kept, &base, newer, needs_token)?,
            }
        }
    }

    /// Another request has written `newer`: the changes are made again on it. If it has replaced the
    /// token, this one may only write what it had changed; and not even that if it changes the
    /// token itself, or if another user signed in.
    fn rebase(
        &mut self,
        kept: &mut Kept,
        base: &Stored,
        newer: Stored,
        needs_token: bool,
    ) -> Result<(), Refusal> {
        if newer.token != base.token {
            if needs_token || newer.subject != base.subject {
                return self.over(kept, Stand::Overtaken).map(drop);
            }
            (self.mine, self.blind) = (None, true);
            (self.tell, self.clear) = (false, false);
        }
        self.activity.replays += 1;
        if fold(Some(&newer), &self.changes).is_none() {
            kept.met("changes do not fit a newer record");
            return Err(Refusal::Conflict);
        }
        kept.met("changes are made again on a newer record");
        self.stand = Stand::Loaded(newer);
        Ok(())
    }

    fn write(&mut self, kept: &mut Kept, base: Option<&Stored>, sum: &Sum, issue: bool) {
        let written = kept.write(base, sum, issue, self.usual);
        self.activity.written += 1;
        self.activity.cycled |= base.is_some() && sum.new_token;
        self.changes.clear();
        self.announced = false;
        if self.blind {
            kept.met("an overtaken request writes what it had changed");
            self.blind = false;
            self.stand = Stand::Overtaken;
            return;
        }
        self.tell |= issue;
        self.mine = Some(written.token);
        self.stand = Stand::Loaded(written);
    }
}
