//! Figures, and where and when they were seen.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Outcome;

/// Several rounds of the same.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Not a number if there were no rounds.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.into_iter().collect();
        figures.sort_unstable_by(f64::total_cmp);
        let at = |n: usize| figures.get(n).copied().unwrap_or(f64::NAN);
        Self {
            median: at(figures.len() / 2),
            min: at(0),
            max: at(figures.len().saturating_sub(1)),
        }
    }
}

/// Writes these rows as JSON, with the machine, the date and the command line.
pub fn write_json(path: &Path, rows: &impl Serialize) -> Outcome<()> {
    let report = json!({
        "date": OffsetDateTime::now_utc().format(&Rfc3339)?,
        "command": command_line(),
        "machine": {
            "cores": available_parallelism()?.get(),
            "cpu": cpu(),
            "kernel": text(fs::read_to_string("/proc/sys/kernel/osrelease").ok()),
            "rustc": rustc(),
        },
        "rows": rows,
    });
    fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(())
}

/// As it was given, with the name of the program only.
fn command_line() -> String {
    let mut words: Vec<_> = std::env::args().collect();
    if let Some(program) = words.first_mut() {
        let name = Path::new(program)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        *program = name.unwrap_or_default();
    }
    words.join(" ")
}

fn cpu() -> Option<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpus.lines().find(|line| line.starts_with("model name"))?;
    text(line.split_once(':').map(|(_, model)| model.to_owned()))
}

fn rustc() -> Option<String> {
    let said = Command::new("rustc").arg("-V").output().ok()?;
    text(String::from_utf8(said.stdout).ok())
}

fn text(text: Option<String>) -> Option<String> {
    Some(text?.trim().to_owned()).filter(|text| !text.is_empty())
}
