//! The document for people who come from Python says of every behaviour and of every bug which test
//! shows it: all rows are there, and so are all tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = "obsession-core/docs/coming-from-python.md";
const SUITE: &str = "obsession-core/src/conformance/case.rs";
const BEHAVIOURS: &str = "## The 63 behaviours";
const BUGS: &str = "## The 30 bugs";

/// A file below the workspace's root.
fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of the table under `heading`: their cells.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = document.split_once(heading).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let cells = |line: &'a str| {
        let line = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(line.split('|').map(str::trim).collect())
    };
    // The first two are the names of the columns and a rule.
    let lines = section.lines().filter(|line| line.starts_with('|'));
    lines.skip(2).map(|line| cells(line).expect(line)).collect()
}

/// The tests that a cell names: the file without its extension, and the function.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let spans = cell.split('`').skip(1).step_by(2);
    spans.filter_map(|span| span.split_once(".rs::")).collect()
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Found {
    Runs,
    Ignored,
}

/// Looks for a test of this name in the source of `file`: a function with a test's attribute, or a
/// case that the suite runs.
fn find(file: &str, source: &str, suite: &str, name: &str) -> Option<Found> {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let is_it = |line: &&str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let line = line.strip_prefix("async ").unwrap_or(line);
        let rest = line.strip_prefix("fn ");
        rest.and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let at = lines.iter().position(is_it)?;
    if file.starts_with("obsession-core/src/conformance/") {
        let runs = suite.lines().any(|line| line.trim() == name);
        return runs.then_some(Found::Runs);
    }
    let attribute = |start: &str| {
        let above = lines[..at].iter().rev();
        above
            .take_while(|line| line.starts_with("#["))
            .any(|line| line.starts_with(start))
    };
    if !attribute("#[test") && !attribute("#[tokio::test") {
        return None;
    }
    Some(if attribute("#[ignore") {
        Found::Ignored
    } else {
        Found::Runs
    })
}

/// Whether a cell says more than the names of tests.
fn gives_a_reason(cell: &str) -> bool {
    cell.split_whitespace().count() >= 6
}

#[test]
fn every_row_is_there_once_and_in_order() {
    let document = read(DOCUMENT);
    for (heading, count) in [(BEHAVIOURS, 63), (BUGS, 30)] {
        let rows = rows(&document, heading);
        let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "{heading}");
    }
}

#[test]
fn every_behaviour_is_kept_changed_or_replaced_and_has_a_test_or_a_reason() {
    for row in rows(&read(DOCUMENT), BEHAVIOURS) {
        let [number, was, fate, shown] = row[..] else {
            panic!("{row:?}");
        };
        assert!(!was.is_empty(), "row {number}");
        let known = ["kept", "changed", "replaced"].contains(&fate);
        assert!(known, "row {number}: {fate}");
        let tested = !named(shown).is_empty();
        let explained = fate != "kept" && gives_a_reason(shown);
        assert!(tested || explained, "row {number}: {shown}");
    }
}

#[test]
fn every_bug_has_a_test() {
    for row in rows(&read(DOCUMENT), BUGS) {
        let [number, was, shown] = row[..] else {
            panic!("{row:?}");
        };
        assert!(!was.is_empty(), "row {number}");
        assert!(!named(shown).is_empty(), "row {number} has no test");
    }
}

/// A test that is ignored shows nothing yet, and its row has to say so; and no row may go on saying
/// so when its test runs.
#[test]
fn every_test_that_is_named_exists_and_runs() {
    let document = read(DOCUMENT);
    let suite = read(SUITE);
    let mut sources = HashMap::new();
    let mut checked = 0;
    for heading in [BEHAVIOURS, BUGS] {
        for row in rows(&document, heading) {
            let shown = row.last().unwrap();
            let (running, waiting) = shown.split_once("Not yet:").unwrap_or((shown, ""));
            for (part, expected) in [(running, Found::Runs), (waiting, Found::Ignored)] {
                for (file, name) in named(part) {
                    let path = format!("{file}.rs");
                    let source = sources.entry(file).or_insert_with(|| read(&path));
                    let found = find(file, source, &suite, name);
                    let place = format!("{heading}, row {}: {path}::{name}", row[0]);
                    assert_eq!(found, Some(expected), "{place}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100, "{checked} tests are named");
}

/// The control: what is not there, or does not run, is noticed.
#[test]
fn a_missing_test_is_noticed() {
    let source = "
        #[tokio::test]
        async fn it_is_there() {}

        #[test]
        #[ignore = \"not yet\"]
        fn it_waits() {}

        fn it_only_helps() {}

        #[test]
        pub fn it_is_there_too<T>() {}
    ";
    let find_in = |file, name| find(file, source, "it_is_there\n", name);
    let tests = "obsession-core/tests/a";
    assert_eq!(find_in(tests, "it_is_there"), Some(Found::Runs));
    assert_eq!(find_in(tests, "it_is_there_too"), Some(Found::Runs));
    assert_eq!(find_in(tests, "it_waits"), Some(Found::Ignored));
    assert_eq!(find_in(tests, "it_is"), None);
    assert_eq!(find_in(tests, "it_only_helps"), None);
    let cases = "obsession-core/src/conformance/a";
    assert_eq!(find_in(cases, "it_is_there"), Some(Found::Runs));
    let not_run = find_in(cases, "it_only_helps");
    assert_eq!(not_run, None, "the suite does not name it");

    let cell = "Because. `a/b.rs::one`, `c.rs::two`, `three`";
    assert_eq!(named(cell), [("a/b", "one"), ("c", "two")]);
    assert!(!gives_a_reason("no"));
}
