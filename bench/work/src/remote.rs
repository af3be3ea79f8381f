//! Rounds in another process, asked for by lines of JSON: SQLite can be in a program once only.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{Contestant, Kind, Outcome, Round, Subject};

#[derive(Serialize, Deserialize)]
struct Ask {
    kind: Kind,
    tasks: usize,
    time: Duration,
}

/// Answers what a [`Remote`] asks on standard input, on standard output, until it ends.
pub async fn serve(mut subject: Subject) -> Outcome<()> {
    println!("ready");
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let Ask { kind, tasks, time } = serde_json::from_str(&line)?;
        let round = subject.round(kind, tasks, time).await?;
        println!("{}", serde_json::to_string(&round)?);
    }
    Ok(())
}

/// A program that [serves](serve). It ends with this value.
pub struct Remote {
    _child: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Remote {
    /// Starts it, and waits until its sessions are there.
    pub async fn start(program: &Path, arguments: &[&str]) -> Outcome<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let ask = child.stdin.take().ok_or("no standard input")?;
        let answers = child.stdout.take().ok_or("no standard output")?;
        let mut answers = BufReader::new(answers).lines();
        answers.next_line().await?.ok_or("it has ended")?;
        Ok(Self {
            _child: child,
            ask,
            answers,
        })
    }
}

#[async_trait]
impl Contestant for Remote {
    async fn round(&mut self, kind: Kind, tasks: usize, time: Duration) -> Outcome<Round> {
        let ask = serde_json::to_string(&Ask { kind, tasks, time })?;
        self.ask.write_all(format!("{ask}\n").as_bytes()).await?;
        let answer = self.answers.next_line().await?.ok_or("it has ended")?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// Builds a program that is a workspace of its own in `folder`, and says where it is.
pub fn built(folder: &Path, program: &str) -> Outcome<PathBuf> {
    let target = folder.join("target");
    // Of the toolchain that runs this.
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let built = std::process::Command::new(cargo)
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !built.success() {
        return Err(format!("{program} could not be built").into());
    }
    Ok(target.join("release").join(program))
}
