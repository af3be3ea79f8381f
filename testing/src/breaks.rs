//! Breaks on purpose, which tests must notice.

use std::error::Error;
use std::fs;
use std::path::Path;

/// One break, and the tests that are to notice it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Break {
    /// What the names of the tests begin with.
    pub row: String,
    /// The package of the tests.
    pub package: String,
    /// The test target of that package.
    pub target: String,
    /// Whether they are ignored unless there is a browser.
    pub in_browser: bool,
    /// What is changed.
    pub changes: Vec<Change>,
}

/// What stands in a file once, and what takes its place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// The file, from the top of the workspace.
    pub file: String,
    /// Whole lines.
    pub from: String,
    /// Whole lines.
    pub to: String,
}

impl Change {
    /// `source` with the change in it.
    ///
    /// # Errors
    ///
    /// The lines are not there, or more than once.
    pub fn apply(&self, source: &str) -> Result<String, Box<dyn Error>> {
        match source.matches(&self.from).count() {
            1 => Ok(source.replacen(&self.from, &self.to, 1)),
            n => Err(format!("{} has these lines {n} times:\n{}", self.file, self.from).into()),
        }
    }
}

/// Reads a list of breaks.
///
/// # Errors
///
/// What is wrong with it.
pub fn breaks(list: &Path) -> Result<Vec<Break>, Box<dyn Error>> {
    let list = fs::read_to_string(list)?;
    let blocks = list.split("\n\n").map(str::trim_end);
    let blocks = blocks.filter(|block| !block.is_empty() && !block.starts_with('#'));
    blocks.map(block).collect()
}

fn block(text: &str) -> Result<Break, Box<dyn Error>> {
    let (head, rest) = text.split_once('\n').ok_or("a break without a change")?;
    let words: Vec<_> = head.split(' ').collect();
    let [row, package, target, ref more @ ..] = words[..] else {
        return Err(format!("not a row, a package and a target: {head}").into());
    };
    let mut changes: Vec<Change> = Vec::new();
    let mut file = "";
    for line in rest.lines() {
        if let Some(from) = line.strip_prefix('-') {
            let new = changes
                .last()
                .is_none_or(|last| !last.to.is_empty() || last.file != file);
            if new {
                let file = file.to_owned();
                changes.push(Change {
                    file,
                    ..Change::default()
                });
            }
            push(&mut changes, |last| &mut last.from, from)?;
        } else if let Some(to) = line.strip_prefix('+') {
            push(&mut changes, |last| &mut last.to, to)?;
        } else {
            file = line;
        }
    }
    Ok(Break {
        row: row.to_owned(),
        package: package.to_owned(),
        target: target.to_owned(),
        in_browser: *more == ["ignored"],
        changes,
    })
}

fn push(
    changes: &mut [Change],
    side: impl Fn(&mut Change) -> &mut String,
    line: &str,
) -> Result<(), Box<dyn Error>> {
    let last = changes
        .last_mut()
        .ok_or("lines that take the place of none")?;
    let side = side(last);
    side.push_str(line);
    side.push('\n');
    Ok(())
}
