//! What was counted, and what it should be.

use std::fs;
use std::path::PathBuf;

use crate::Outcome;
use crate::site::{Size, Work};

/// How much more instructions there may be, of a hundred: another compiler or another processor's
/// `memcpy` makes others, and where blocks of memory lie makes some.
const SLACK: u64 = 10;

/// How many allocations of one request may differ: a store that grows does so once in a while.
const GROWTH: f64 = 0.5;

/// One request.
pub(crate) struct Row {
    pub(crate) work: Work,
    pub(crate) size: Size,
    pub(crate) allocations: f64,
    pub(crate) calls: f64,
    pub(crate) instructions: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Row {
    fn name(&self) -> String {
        format!("{} {}", self.work, self.size)
    }
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(crate) fn print(&self) {
        println!("| a request | session | allocations | store calls | instructions |");
        println!("|---|---|---:|---:|---:|");
        for Row {
            work,
            size,
            allocations,
            calls,
            instructions,
        } in &self.0
        {
            let instructions = instructions.map_or("-".to_owned(), |n| n.to_string());
            println!("| {work} | {size} | {allocations} | {calls} | {instructions} |");
        }
    }

    pub(crate) fn write(&self) -> Outcome<()> {
        let mut text = "# request, session, allocations, store calls, instructions\n".to_owned();
        for row in &self.0 {
            let instructions = row.instructions.ok_or("only with valgrind")?;
            let [allocations, calls] = [row.allocations, row.calls];
            text.push_str(&format!(
                "{} {allocations} {calls} {instructions}\n",
                row.name()
            ));
        }
        Ok(fs::write(expected(), text)?)
    }

    /// What is not as it should be.
    pub(crate) fn compare(&self) -> Outcome<Vec<String>> {
        let text = fs::read_to_string(expected())?;
        let mut faults = Vec::new();
        for row in &self.0 {
            let name = row.name();
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            let line = line.ok_or(format!("{name} is not in expected.txt"))?;
            let [allocations, calls, instructions] =
                line.split_whitespace().collect::<Vec<_>>()[..]
            else {
                return Err(format!("expected.txt: {line}").into());
            };
            for (what, is, should) in [
                ("allocations", row.allocations, allocations),
                ("calls of the store", row.calls, calls),
            ] {
                if (is - should.parse::<f64>()?).abs() > GROWTH {
                    faults.push(format!("{name}: {is} {what}, and not {should}"));
                }
            }
            let should: u64 = instructions.parse()?;
            if let Some(is) = row.instructions
                && is > should + should * SLACK / 100
            {
                faults.push(format!("{name}: {is} instructions, and not {should}"));
            }
        }
        Ok(faults)
    }
}

fn expected() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "expected.txt"]
        .iter()
        .collect()
}
