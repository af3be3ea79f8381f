//! What holds of the suite as a whole.

use std::collections::BTreeSet;
use std::time::Duration;

use super::case::{self, Case};
use super::{CLAUSES, Report, Setup, Time, check, run, run_index};
use crate::{Clock, MemoryStore, Timestamp};

fn all() -> Vec<Case<MemoryStore>> {
    case::all().collect()
}

async fn memory(time: Time) -> MemoryStore {
    MemoryStore::builder().clock(time.clock()).build()
}

#[test]
fn every_case_has_a_sentence_under_a_clause_and_every_clause_a_case() {
    let mut clauses = BTreeSet::new();
    for case in all() {
        let clause = case.clause();
        assert!(clause.is_some(), "{}: {:?}", case.name, case.sentence());
        clauses.extend(clause.map(|clause| clause.name));
        assert!(case.sentence().ends_with('.'), "{}", case.name);
    }
    let named: BTreeSet<_> = CLAUSES.iter().map(|clause| clause.name).collect();
    assert_eq!(clauses, named);
}

#[test]
fn names_are_unique_and_begin_with_their_file() {
    let names: BTreeSet<_> = all().iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all().len());
    assert!(names.len() >= 80, "{} cases", names.len());
}

/// A case that the list does not name would never run.
#[test]
fn the_list_names_every_case_of_every_file() {
    let names: BTreeSet<_> = all().iter().map(|case| case.name).collect();
    let sources: BTreeSet<_> = all().iter().map(|case| case.source).collect();
    for source in sources {
        let found: Vec<_> = source.split("\npub async fn ").skip(1).collect();
        assert!(!found.is_empty());
        for case in found {
            let name = case.split(['<', '(']).next().unwrap();
            assert!(names.contains(name), "{name} is not run");
        }
    }
}

#[test]
fn what_the_constructor_does_not_give_is_reported_as_not_checked() {
    let report = run(memory);
    let text = report.to_string();
    assert!(report.is_passed(), "{text}");
    let unchecked = case::of_reopening::<MemoryStore>().len()
        + case::of_outages::<MemoryStore>().len()
        + case::of_neighbours::<MemoryStore>().len()
        + case::of_peers::<MemoryStore>().len()
        + case::of_pushing::<MemoryStore>().len();
    assert!(
        text.contains(&format!(" 0 failed, 0 timed out, {unchecked} not checked")),
        "{text}"
    );
    assert!(report.to_json().contains(r#""verdict":"not checked""#));
    assert!(!Report::default().is_passed(), "nothing ran");
}

#[test]
fn a_store_that_reopens_is_checked_for_it() {
    let report = run_index(async |time: Time| {
        // What a process that never ends does when it is asked to come back.
        Setup::new(memory(time).await).reopen(|store| async { store })
    });
    assert!(report.is_passed(), "{report}");
    assert!(
        report
            .to_json()
            .contains(r#""case":"reopen_keeps_what_was_created""#)
    );
    let checked = |case: &str| report.outcomes.iter().any(|o| o.case == case);
    assert!(checked("reopen_index_agrees_with_the_records"));
}

/// Blocks the thread that asks, for ever.
#[derive(Debug)]
struct Stuck;

impl Clock for Stuck {
    fn now(&self) -> Timestamp {
        loop {
            std::thread::park();
        }
    }
}

#[test]
#[should_panic(expected = "it did not end within 100ms")]
fn a_store_that_blocks_every_thread_does_not_block_the_suite() {
    let stuck = async |_: Time| {
        let store = MemoryStore::builder().clock(Stuck).build();
        Setup::new(store).time_limit(Duration::from_millis(100))
    };
    check(stuck, "race_of_calls_on_different_keys_mixes_up_nothing");
}
