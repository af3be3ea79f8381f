//! Whether what concurrent callers saw can have happened one call after another.
//!
//! A history is linearizable if there is an order of its calls, each at an instant between its
//! start and its answer, that the model accepts (Herlihy and Wing, "Linearizability: a correctness
//! condition for concurrent objects", 1990). The search is that of Wing and Gong (1993) with the
//! states that were met before left out (Lowe, "Testing for linearizability", 2017).

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::model::{Answer, Call, Model};
use crate::{Effect, SessionKey, SessionStore, StoreError, Timestamp, lock};

/// The calls on one key.
#[derive(Clone, Default)]
pub(crate) struct History {
    clock: Arc<AtomicU64>,
    events: Arc<Mutex<Vec<Event>>>,
}

#[derive(Clone)]
struct Event {
    call: Call,
    /// Nothing if it is unknown whether it took effect.
    answer: Option<Answer>,
    begun: u64,
    ended: u64,
}

/// More would not fit the search's bit set, and take long.
pub(crate) const MOST_EVENTS: usize = 64;

impl History {
    /// Makes a call and writes down when it began and ended.
    pub(crate) async fn call<S: SessionStore>(
        &self,
        store: &S,
        key: &SessionKey,
        call: Call,
    ) -> Result<Answer, StoreError> {
        let begun = self.clock.fetch_add(1, Ordering::SeqCst);
        let answer = call.send(store, key).await;
        let ended = self.clock.fetch_add(1, Ordering::SeqCst);
        let event = match &answer {
            Ok(answer) => Event {
                call,
                answer: Some(answer.clone()),
                begun,
                ended,
            },
            // It took no effect, so it is as if it had not been made.
            Err(error) if error.effect() == Effect::NotApplied => return answer,
            // It may take effect at any time from here on.
            Err(_) => Event {
                call,
                answer: None,
                begun,
                ended: u64::MAX,
            },
        };
        lock(&self.events).push(event);
        answer
    }

    /// Panics unless the calls can have been made one after another at `now`, from `start`.
    pub(crate) fn assert_linearizable(&self, start: &Model, now: Timestamp) {
        let events = lock(&self.events).clone();
        assert!(
            events.len() <= MOST_EVENTS,
            "a history of at most {MOST_EVENTS} calls"
        );
        if !linearizable(&events, start, now) {
            let mut story = String::from("no order of these calls gives these answers:");
            for event in &events {
                let Event {
                    call,
                    answer,
                    begun,
                    ended,
                } = event;
                let _ = write!(story, "\n  [{begun}, {ended}] {call:?} -> ");
                let _ = match answer {
                    Some(answer) => write!(story, "{answer:?}"),
                    None => write!(story, "unknown"),
                };
            }
            panic!("{story}");
        }
    }
}

fn linearizable(events: &[Event], start: &Model, now: Timestamp) -> bool {
    let certain = |done: u64| {
        let mut open = events.iter().enumerate();
        open.all(|(n, event)| done & (1 << n) != 0 || event.answer.is_none())
    };
    let mut met = HashSet::new();
    let mut ways = vec![(0_u64, start.clone())];
    while let Some((done, model)) = ways.pop() {
        if certain(done) {
            return true;
        }
        // Whatever is next began before the first of those that are left ended.
        let left = || {
            events
                .iter()
                .enumerate()
                .filter(|(n, _)| done & (1 << n) == 0)
        };
        let first_end = left()
            .map(|(_, event)| event.ended)
            .min()
            .unwrap_or(u64::MAX);
        for (n, event) in left().filter(|(_, event)| event.begun <= first_end) {
            let mut next = model.clone();
            let accepted = if let Some(answer) = &event.answer {
                next.accepts(&event.call, answer, now)
            } else {
                next.apply_unseen(&event.call, now);
                true
            };
            if accepted && met.insert((done | 1 << n, next.clone())) {
                ways.push((done | 1 << n, next));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::rewritten;
    use crate::{Create, Delete, Record, Touch, Update};

    fn record() -> Record {
        Record {
            key: "AAAAAAAAAAAAAAAA".parse().unwrap(),
            revision: crate::conformance::revision(),
            subject: None,
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(1000),
            body: b"".into(),
        }
    }

    fn event(call: Call, answer: impl Into<Option<Answer>>, begun: u64, ended: u64) -> Event {
        Event {
            call,
            answer: answer.into(),
            begun,
            ended,
        }
    }

    fn check(events: &[Event], start: &Model) -> bool {
        linearizable(events, start, Timestamp::from_millis(10))
    }

    #[test]
    fn one_after_another_is_what_the_model_says() {
        let (one, two) = (record(), rewritten(&record(), b""));
        let create = event(
            Call::Create(one.clone()),
            Answer::Create(Create::Created),
            0,
            1,
        );
        let taken = event(
            Call::Create(two.clone()),
            Answer::Create(Create::KeyTaken),
            2,
            3,
        );
        assert!(check(&[create.clone(), taken.clone()], &Model::default()));
        let both = event(
            Call::Create(two.clone()),
            Answer::Create(Create::Created),
            2,
            3,
        );
        assert!(!check(&[create.clone(), both], &Model::default()));
        let load = event(Call::Load, Answer::Load(Some(one.clone())), 4, 5);
        assert!(check(
            &[load.clone(), taken, create.clone()],
            &Model::default()
        ));
        let stale = event(Call::Load, Answer::Load(None), 2, 3);
        assert!(!check(&[create.clone(), stale], &Model::default()));
        // The same load at the same time as the create may come before it.
        let early = event(Call::Load, Answer::Load(None), 0, 3);
        assert!(check(&[create, early], &Model::default()));
    }

    #[test]
    fn two_winners_of_one_revision_are_found() {
        let start = record();
        let update = |begun| {
            let call = Call::Update(start.revision, rewritten(&start, b""));
            event(call, Answer::Update(Update::Updated), begun, begun + 2)
        };
        let model = Model::of(&start);
        assert!(check(&[update(0)], &model));
        assert!(!check(&[update(0), update(1)], &model));
    }

    #[test]
    fn what_is_unknown_may_have_happened_or_not_or_happen_later() {
        let start = record();
        let model = Model::of(&start);
        let unknown = event(Call::Delete, None, 0, u64::MAX);
        let there = event(Call::Load, Answer::Load(Some(start.clone())), 2, 3);
        let gone = event(Call::Load, Answer::Load(None), 4, 5);
        assert!(check(&[unknown.clone(), there.clone()], &model));
        assert!(check(&[unknown.clone(), gone.clone()], &model));
        assert!(check(
            &[unknown.clone(), there.clone(), gone.clone()],
            &model
        ));
        // But not both ways.
        let back = event(Call::Load, Answer::Load(Some(start)), 6, 7);
        assert!(!check(&[unknown, there, gone, back], &model));
    }

    #[test]
    fn a_revived_record_is_found() {
        let start = record();
        let model = Model::of(&start);
        let deleted = event(Call::Delete, Answer::Delete(Delete::Deleted), 0, 1);
        let touched = event(
            Call::Touch(start.revision, Timestamp::from_millis(2000)),
            Answer::Touch(Touch::Touched),
            2,
            3,
        );
        assert!(!check(&[deleted, touched], &model));
    }
}
