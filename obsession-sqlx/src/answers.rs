//! From what a statement did to what its callers are told.

use std::collections::HashMap;

use obsession_core::{Record, SessionKey};

use crate::FailureKind;
use crate::call::Ticket;
use crate::dialect::{Acted, Damaged, Dialect, Held, Look, Seen, State};
use crate::error::Failure;
use crate::lane::Base;
use crate::write::{Kind, Outcome, Write};

/// How often a write is tried that is not made, though nothing speaks against it: somebody changes the
/// record between the two statements, and changes it back.
const TRIES: usize = 5;

/// How far the writes of a group have come.
pub(crate) struct Progress {
    answers: Vec<Option<Result<Outcome, Damaged>>>,
    /// Whether the last statement was one that changes nothing.
    looking: bool,
}

impl Progress {
    pub(crate) fn new(writes: usize) -> Self {
        Self {
            answers: (0..writes).map(|_| None).collect(),
            looking: true,
        }
    }

    /// Whether what has no answer is known not to have been applied.
    pub(crate) fn only_looked(&self) -> bool {
        self.looking
    }

    /// Answers the calls that have come to an end, and gives back the others.
    ///
    /// Of writes that were sent before, only success is to be believed: what they met may have been
    /// written by others since they were made.
    pub(crate) fn answer(
        &mut self,
        calls: Vec<(Write, Ticket<Outcome>)>,
        sent_before: bool,
        written: &mut Written,
    ) -> Vec<(Write, Ticket<Outcome>)> {
        let mut left = Vec::new();
        for ((write, ticket), answer) in calls.into_iter().zip(self.answers.drain(..)) {
            match answer {
                None => left.push((write, ticket)),
                Some(Err(Damaged)) => {
                    ticket.answer(Err(Failure::not_applied(FailureKind::Damaged)));
                }
                Some(Ok(Outcome::Other(_) | Outcome::Gone)) if sent_before => {
                    ticket.answer(Err(Failure::unknown(FailureKind::Dropped)));
                }
                Some(Ok(outcome)) => {
                    written.note(&write, &outcome);
                    ticket.answer(Ok(outcome));
                }
            }
        }
        left
    }
}

/// Carries out writes of one kind and of different keys: in one statement, and a second one that looks
/// at what those met that were not made, where the database does not say so in the first.
pub(crate) async fn carry_out<D: Dialect>(
    base: &Base<D>,
    connection: &mut Held<D>,
    kind: Kind,
    writes: &[&Write],
    progress: &mut Progress,
) -> Result<(), sqlx::Error> {
    for nth in 0..TRIES {
        let open = |answers: &[Option<_>]| -> Vec<usize> {
            (0..writes.len())
                .filter(|n| answers[*n].is_none())
                .collect()
        };
        let turn = open(&progress.answers);
        if turn.is_empty() {
            return Ok(());
        }
        let sent: Vec<_> = turn.iter().map(|n| writes[*n]).collect();
        progress.looking = false;
        base.count_statement();
        let dialect = &base.dialect;
        let acted = if nth == 0 {
            dialect.act(connection, kind, &sent, base.now()).await?
        } else {
            dialect
                .act_again(connection, kind, &sent, base.now())
                .await?
        };
        progress.looking = true;
        let (mut missed, mut unsettled) = (Vec::new(), Vec::new());
        for (n, acted) in turn.into_iter().zip(acted) {
            match acted {
                Acted::Done => progress.answers[n] = Some(Ok(Outcome::Done)),
                // A touch that came in time may be under way elsewhere.
                Acted::Met(Some(met)) if met.state == State::JustExpired => unsettled.push(n),
                Acted::Met(met) => progress.answers[n] = writes[n].judge(met),
                Acted::Missed => missed.push(n),
            }
        }
        for (look, turn) in [(Look::Now, missed), (Look::Settled, unsettled)] {
            if turn.is_empty() {
                continue;
            }
            let keys: Vec<_> = turn.iter().map(|n| *writes[*n].key()).collect();
            base.count_statement();
            let seen = base
                .dialect
                .load(connection, &keys, look, base.now())
                .await?;
            let mut seen: HashMap<_, _> = seen.into_iter().map(|seen| (seen.key, seen)).collect();
            for n in turn {
                progress.answers[n] = writes[n].judge(seen.remove(writes[n].key()));
            }
        }
    }
    if progress.answers.iter().all(Option::is_some) {
        return Ok(());
    }
    Err(sqlx::Error::Protocol(
        "a write was not made, and nothing speaks against it".to_owned(),
    ))
}

/// Answers loads of one statement. Several may be of one key.
pub(crate) fn loaded(calls: Vec<(SessionKey, Ticket<Option<Seen>>)>, seen: Vec<Seen>) {
    let seen: HashMap<_, _> = seen.into_iter().map(|seen| (seen.key, seen)).collect();
    for (key, ticket) in calls {
        ticket.answer(Ok(seen.get(&key).cloned()));
    }
}

/// Tells all of these calls the same failure.
pub(crate) fn refused(calls: Vec<(Write, Ticket<Outcome>)>, failure: &Failure) {
    for (_, ticket) in calls {
        ticket.answer(Err(failure.clone()));
    }
}

/// What the statements of a batch have shown of its records.
///
/// Of many updates of one record at the same moment one wins, and the others are told what it wrote
/// without asking the database again: the instant of their answer is that of its statement.
#[derive(Default)]
pub(crate) struct Written {
    current: HashMap<SessionKey, Record>,
}

impl Written {
    /// Answers the updates that are known to be too late, and gives back the others.
    pub(crate) fn answer_known(
        &self,
        calls: Vec<(Write, Ticket<Outcome>)>,
    ) -> Vec<(Write, Ticket<Outcome>)> {
        if self.current.is_empty() {
            return calls;
        }
        let mut left = Vec::new();
        for (write, ticket) in calls {
            match self.too_late(&write) {
                Some(current) => ticket.answer(Ok(Outcome::Other(current.clone()))),
                None => left.push((write, ticket)),
            }
        }
        left
    }

    fn too_late(&self, write: &Write) -> Option<&Record> {
        let Write::Update { expected, record } = write else {
            return None;
        };
        let current = self.current.get(&record.key)?;
        let differs = current.revision != *expected && current.revision != record.revision;
        differs.then_some(current)
    }

    fn note(&mut self, write: &Write, outcome: &Outcome) {
        let current = match (write, outcome) {
            (Write::Update { .. } | Write::Create(_), Outcome::Other(current)) => Some(current),
            _ => None,
        };
        match current {
            Some(current) => self.current.insert(current.key, current.clone()),
            None => self.current.remove(write.key()),
        };
    }
}

impl Seen {
    /// The record if it is live, and whether it has to be looked at again if it is not.
    pub(crate) fn settle(self) -> Result<Found, Damaged> {
        Ok(match self.state {
            State::Live => Found::Live(self.record?),
            State::JustExpired => Found::AskAgain,
            State::Expired => Found::Nothing,
        })
    }
}

/// What a load has found.
pub(crate) enum Found {
    Live(Record),
    AskAgain,
    Nothing,
}

#[cfg(test)]
mod tests {
    use obsession_core::{Revision, Timestamp};

    use super::*;

    fn record(revision: u64) -> Record {
        Record {
            key: "AAAAAAAAAAAAAAA.".parse().unwrap(),
            revision: Revision::from_u64(revision),
            subject: None,
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::MAX,
            body: b"body"[..].into(),
        }
    }

    fn update(expected: u64, revision: u64) -> Write {
        Write::Update {
            expected: Revision::from_u64(expected),
            record: record(revision),
        }
    }

    #[test]
    fn what_a_batch_has_seen_answers_only_updates_that_came_too_late() {
        let mut written = Written::default();
        assert!(
            written.too_late(&update(1, 9)).is_none(),
            "nothing is known"
        );
        written.note(&update(1, 2), &Outcome::Other(record(3)));
        let too_late = written.too_late(&update(1, 4));
        assert_eq!(too_late, Some(&record(3)));
        assert!(written.too_late(&update(3, 4)).is_none(), "it expects that");
        assert!(written.too_late(&update(1, 3)).is_none(), "it is that");
        assert!(written.too_late(&Write::Delete(record(3).key)).is_none());
        // Others may have changed it by the time of whatever comes next.
        written.note(&Write::Delete(record(3).key), &Outcome::Done);
        assert!(written.too_late(&update(1, 4)).is_none());
    }
}
