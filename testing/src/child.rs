//! A process to be killed: this program again, in another role.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

/// This program, started again with other arguments, and what it prints.
///
/// It is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start(role: &str, path: &Path, arguments: &[String]) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(role)
            .arg(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let (send, lines) = channel();
        let stdout = process.stdout.take();
        let reader = thread::spawn(move || {
            for line in stdout.into_iter().flat_map(whole_lines) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            process,
            lines,
            reader: Some(reader),
        })
    }

    /// The next line, or nothing when it has ended.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// Kills it with SIGKILL, and gives the lines that it had printed and nobody has read.
    ///
    /// # Errors
    ///
    /// The system would not.
    pub fn kill(mut self) -> io::Result<Vec<String>> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(self.lines.iter().collect())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have been killed or have ended; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// The lines that were printed to their end. One that the kill has cut says nothing.
fn whole_lines(stdout: ChildStdout) -> impl Iterator<Item = String> {
    let mut input = BufReader::new(stdout);
    std::iter::from_fn(move || {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        line.pop().filter(|end| *end == '\n').map(|_| line)
    })
}
