//! The Python side, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;
use work::Outcome;

pub(crate) struct Python {
    pub(crate) version: String,
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Python {
    /// Fetches the library and makes the sessions.
    pub(crate) fn start(sessions: usize) -> Outcome<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir()?;
        let made = Command::new(own.join("venv"))
            .arg(folder.path())
            .stderr(Stdio::inherit())
            .output()?;
        if !made.status.success() {
            return Err("the Python library could not be fetched".into());
        }
        let python = String::from_utf8(made.stdout)?;
        let mut child = Command::new(python.trim())
            .arg(own.join("loop.py"))
            .arg(sessions.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = child.stdin.take().ok_or("no standard input")?;
        let answers = child.stdout.take().ok_or("no standard output")?;
        let mut side = Self {
            version: String::new(),
            child,
            ask,
            answers: BufReader::new(answers),
            _folder: folder,
        };
        let ready = side.answer()?;
        let version = ready.strip_prefix("ready ").ok_or("Python has ended")?;
        side.version = version.to_owned();
        Ok(side)
    }

    /// Requests a second.
    pub(crate) fn round(&mut self, kind: &str, seconds: f64) -> Outcome<f64> {
        writeln!(self.ask, "{kind} {seconds}")?;
        Ok(self.answer()?.parse()?)
    }

    fn answer(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
