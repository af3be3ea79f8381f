//! Where and when it was measured.

use std::fs;
use std::process::Command;

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    memory: String,
    rustc: String,
    date: String,
    command: String,
    /// How many processes wanted to run, on average of the last minute.
    load_before: String,
    pub(crate) load_after: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: line("/proc/cpuinfo", "model name"),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            memory: line("/proc/meminfo", "MemTotal"),
            rustc: said("rustc", &["--version"]),
            date: said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            command: command(),
            load_before: load(),
            load_after: String::new(),
        }
    }
}

pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Without where the program is.
fn command() -> String {
    let words = std::env::args().skip(1);
    let words = ["scale".to_owned()].into_iter().chain(words);
    words.collect::<Vec<_>>().join(" ")
}

fn line(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or(String::new(), |(_, value)| value.trim().to_owned())
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let text = output.map_or(Vec::new(), |output| output.stdout);
    String::from_utf8_lossy(&text).trim().to_owned()
}
