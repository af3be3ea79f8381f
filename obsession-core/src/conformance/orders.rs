//! Two and three actors whose calls are made in every order: the answers are those of the model.

use super::Fixture;
use super::fixture::rewritten;
use super::model::{Answer, Call, Model};
use crate::{Record, SessionStore, Timestamp, Update};

/// What an actor does next, given what it has seen.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Load,
    Create,
    /// Against the revision that it has seen last.
    Update,
    /// The same update once more, as after an answer that was lost.
    UpdateAgain,
    Touch,
    Delete,
    Cleanup,
}

use Step::{Cleanup, Create, Delete, Load, Touch, Update as Change, UpdateAgain};

const PROGRAMS: [&[Step]; 8] = [
    &[Load, Change],
    &[Change, UpdateAgain],
    &[Load, Touch],
    &[Create],
    &[Delete],
    &[Delete, Create],
    &[Touch, Load],
    &[Cleanup],
];
const SHORT: [&[Step]; 5] = [&[Change], &[Delete], &[Touch], &[Create], &[Load, Change]];

/// A record before the actors come.
#[derive(Clone, Copy, Debug)]
enum Start {
    Absent,
    Live,
    Expired,
}

/// Atomic: two actors of two steps each, in every order, on a live and on an absent record.
pub async fn orders_of_two_actors_agree_with_the_model<S: SessionStore>(at: Fixture<S>) {
    for first in PROGRAMS {
        for second in PROGRAMS {
            for start in [Start::Live, Start::Absent] {
                every_order(&at, &[first, second], start).await;
            }
        }
    }
}

/// Live or absent: two actors in every order on a record that has expired.
pub async fn orders_of_two_actors_on_an_expired_record<S: SessionStore>(at: Fixture<S>) {
    for first in PROGRAMS {
        for second in [&[Load, Change][..], &[Create], &[Touch], &[Delete]] {
            every_order(&at, &[first, second], Start::Expired).await;
        }
    }
}

/// Atomic: three actors, in every order.
pub async fn orders_of_three_actors_agree_with_the_model<S: SessionStore>(at: Fixture<S>) {
    for (n, first) in SHORT.iter().enumerate() {
        for (m, second) in SHORT.iter().enumerate().skip(n) {
            for third in SHORT.iter().skip(m) {
                every_order(&at, &[first, second, third], Start::Live).await;
            }
        }
    }
}

async fn every_order<S: SessionStore>(at: &Fixture<S>, programs: &[&[Step]], start: Start) {
    let mut order = Vec::new();
    let mut orders = Vec::new();
    collect_orders(
        programs,
        &mut vec![0; programs.len()],
        &mut order,
        &mut orders,
    );
    for order in orders {
        run(at, programs, &order, start).await;
    }
}

/// All ways to merge the programs: each order names whose step is next.
fn collect_orders(
    programs: &[&[Step]],
    done: &mut Vec<usize>,
    order: &mut Vec<usize>,
    orders: &mut Vec<Vec<usize>>,
) {
    if programs
        .iter()
        .zip(done.iter())
        .all(|(program, done)| *done == program.len())
    {
        orders.push(order.clone());
    }
    for actor in 0..programs.len() {
        if done[actor] < programs[actor].len() {
            done[actor] += 1;
            order.push(actor);
            collect_orders(programs, done, order, orders);
            order.pop();
            done[actor] -= 1;
        }
    }
}

async fn run<S: SessionStore>(
    at: &Fixture<S>,
    programs: &[&[Step]],
    order: &[usize],
    start: Start,
) {
    let mut record = at.record();
    let mut model = Model::default();
    match start {
        Start::Absent => {}
        Start::Live => {
            at.create(&record).await;
            model = Model::of(&record);
        }
        Start::Expired => {
            // Created too late to be served.
            record.expires_at = Timestamp::from_millis(1);
            let _ = at.store.create(&record).await.expect("create");
            model = Model::of(&record);
            record.expires_at = at.time.later();
        }
    }
    let mut actors: Vec<_> = programs.iter().map(|_| Actor::new(&record)).collect();
    let mut next = vec![0; programs.len()];
    for actor in order {
        let step = programs[*actor][next[*actor]];
        next[*actor] += 1;
        let call = actors[*actor].call(step, at.time.later());
        let answer = call.send(&*at.store, &record.key).await.expect("an answer");
        actors[*actor].see(&answer);
        assert!(
            model.accepts(&call, &answer, at.time.now()),
            "actors {programs:?} in the order {order:?} on a record that is {start:?}: \
             {call:?} gave {answer:?}"
        );
    }
}

struct Actor {
    seen: Record,
    sent: Option<(Call, Record)>,
}

impl Actor {
    fn new(seen: &Record) -> Self {
        Self {
            seen: seen.clone(),
            sent: None,
        }
    }

    fn call(&mut self, step: Step, later: Timestamp) -> Call {
        match step {
            Load => Call::Load,
            Create => Call::Create(rewritten(&self.seen, b"created")),
            Change => {
                let next = rewritten(&self.seen, b"changed");
                let call = Call::Update(self.seen.revision, next.clone());
                self.sent = Some((call.clone(), next));
                call
            }
            UpdateAgain => self
                .sent
                .as_ref()
                .map_or(Call::Load, |(call, _)| call.clone()),
            Touch => Call::Touch(self.seen.revision, later),
            Delete => Call::Delete,
            Cleanup => Call::Cleanup,
        }
    }

    fn see(&mut self, answer: &Answer) {
        match answer {
            Answer::Load(Some(record)) | Answer::Update(Update::Conflict(record)) => {
                self.seen = record.clone();
            }
            Answer::Update(Update::Updated) => {
                if let Some((_, record)) = &self.sent {
                    self.seen = record.clone();
                }
            }
            _ => {}
        }
    }
}
