//! The list of breaks is of these sources, and each has its tests. Whether they notice, the program
//! `breaks` shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

use testing::breaks::breaks;

#[test]
fn every_break_can_be_made_and_its_tests_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let breaks = breaks(&top.join("testing/breaks.txt")).unwrap();
    assert!(breaks.len() > 40);
    for one in &breaks {
        assert!(!one.changes.is_empty(), "{}", one.row);
        for change in &one.changes {
            let source = fs::read_to_string(top.join(&change.file)).unwrap();
            change
                .apply(&source)
                .unwrap_or_else(|why| panic!("{}: {why}", one.row));
        }
        let tests = top.join(&one.package).join("tests");
        let files = [
            format!("{}.rs", one.target),
            format!("{}/main.rs", one.target),
        ];
        let found = files
            .iter()
            .find_map(|file| fs::read_to_string(tests.join(file)).ok());
        assert!(
            found.unwrap().contains(&format!("fn {}_", one.row)),
            "{}",
            one.row
        );
    }
}
