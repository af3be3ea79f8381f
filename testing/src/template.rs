//! The files of a new database server, made once a process and copied for each server.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::account::Account;

/// Removes the folder when this process ends, however it does.
const GUARD: &str = r#"read -r word; rm -rf -- "$0""#;

/// What an installation program makes in a folder `data`.
#[derive(Debug)]
pub(crate) struct Template(Mutex<Option<(PathBuf, Child)>>);

impl Template {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Gives `folder` a `data` of its own. The words install one where the path that they are called
    /// with says.
    pub(crate) fn copy(
        &self,
        account: &Account,
        folder: &Path,
        install: impl Fn(&Path) -> Vec<OsString>,
    ) -> io::Result<()> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_none() {
            let new = tempfile::tempdir()?.keep();
            let guard = Command::new("sh")
                .args(["-c", GUARD])
                .arg(&new)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()?;
            account.give(&new)?;
            run(&install(&new.join("data")))?;
            *made = Some((new, guard));
        }
        if let Some((path, _)) = &*made {
            let copy = [
                "cp".into(),
                "-a".into(),
                path.join("data").into(),
                folder.into(),
            ];
            run(&copy)?;
        }
        Ok(())
    }
}

/// Runs a program to its end, and gives what it printed.
pub(crate) fn run(words: &[OsString]) -> io::Result<String> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().to_owned()))
}
