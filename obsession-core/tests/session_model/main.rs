//! Whole session lives, of any length and in any order, beside an exact model of them.
//!
//! A life is a list of actions: requests that begin with good, old and forged tokens, what they do,
//! several of them at once and step by step, what others do to their sessions, and the time that
//! passes. The library carries each out on a memory store, and the model says beforehand what the
//! answer is, what is stored after it, to the millisecond, and which token works. The model keeps
//! lists and makes everything anew from them; it shares no code with the library.
//!
//! A life that is not as promised is made as short as possible and told as a story.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod actions;
mod answer;
mod changes;
mod kept;
mod request;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use actions::{Action, actions};
use kept::Tally;
use world::World;

/// How many lives the quick test lives, and of how many actions each.
const LIVES: u32 = 150;
const LENGTH: usize = 300;

/// What a million operations are worth nothing without, and how often they meet it at least: about
/// a third of what they do.
const INTERESTING: [(&str, u64); 31] = [
    ("a load finds its session", 10_000),
    ("a load finds nothing", 3_000),
    ("a session expires", 4_000),
    ("a session is ended by its user", 800),
    ("a session is made", 10_000),
    ("a token is replaced", 2_500),
    ("a token that was just replaced is presented", 800),
    ("a token that was long replaced is presented", 70),
    ("a touch comes too late", 100),
    ("an overtaken request has nothing left to write", 3),
    ("an overtaken request signs in", 150),
    ("an overtaken request writes what it had changed", 150),
    ("another process", 5_000),
    ("changes are dropped: the session has ended", 3_000),
    ("changes are dropped: the token was replaced", 700),
    ("changes are made again on a newer record", 1_000),
    ("changes do not fit a newer record", 100),
    ("deleted", 1_000),
    ("deleted by another before", 200),
    ("dropped", 3_000),
    ("expired records are removed", 1_000),
    ("refused: Closed", 5_000),
    ("refused: Conflict", 100),
    ("refused: Ended", 8_000),
    ("sessions are listed", 600),
    ("taken", 3_000),
    ("taken by another", 15),
    ("the client is sent a token", 10_000),
    ("the client is told to forget its token", 300),
    ("the client's token is renewed", 300),
    ("touched", 500),
];

#[derive(Default)]
struct Lived {
    lives: u64,
    operations: u64,
    met: Tally,
}

impl Lived {
    fn add(&mut self, other: Self) {
        self.lives += other.lives;
        self.operations += other.operations;
        for (what, often) in other.met {
            *self.met.entry(what).or_default() += often;
        }
    }
}

/// Tries out `count` lives of fewer than `most` actions each.
fn try_out(count: u32, most: usize) -> Lived {
    let mut runner = TestRunner::new(Config {
        cases: count,
        failure_persistence: None,
        max_shrink_iters: 100_000,
        ..Config::default()
    });
    let all = RefCell::new(Lived::default());
    let outcome = runner.run(&actions(most), |actions| {
        let mut world = World::new(false);
        for action in actions {
            world.act(action).map_err(TestCaseError::fail)?;
        }
        all.borrow_mut().add(Lived {
            lives: 1,
            operations: world.operations,
            met: world.kept.met,
        });
        Ok(())
    });
    match outcome {
        Ok(()) => all.into_inner(),
        Err(TestError::Fail(_, actions)) => panic!("{}", story(actions)),
        Err(abort) => panic!("{abort}"),
    }
}

/// What happened in a life, a line an action.
fn story(actions: Vec<Action>) -> String {
    let mut world = World::new(true);
    let end = catch_unwind(AssertUnwindSafe(|| {
        actions.into_iter().try_for_each(|action| world.act(action))
    }));
    let mut story = world.story.unwrap_or_default();
    story.insert(0, format!("a life of {} actions:", story.len()));
    story.push(match end {
        Ok(Ok(())) => "as promised, this time".to_owned(),
        Ok(Err(mismatch)) => mismatch,
        Err(_) => "a panic".to_owned(),
    });
    story.join("\n  ")
}

#[test]
fn every_life_is_as_the_model_says() {
    try_out(LIVES, LENGTH);
}

/// A measurement too: `cargo test --release -p obsession-core --test session_model -- --ignored
/// --nocapture million`.
#[test]
#[ignore = "takes long without --release"]
fn a_million_operations_are_as_the_model_says() {
    let begun = Instant::now();
    let mut lived = Lived::default();
    while lived.operations < 1_000_000 {
        lived.add(try_out(200, LENGTH));
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} operations of {} lives in {seconds:.1} s",
        lived.operations, lived.lives
    );
    for (what, often) in &lived.met {
        println!("{often:>9} {what}");
    }
    for (what, least) in INTERESTING {
        let met = lived.met.get(what).copied().unwrap_or(0);
        assert!(met >= least, "met {met} times: {what}");
    }
}
