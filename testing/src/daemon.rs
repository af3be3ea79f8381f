//! A server process that is thrown away with its folder.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Random;
use crate::account::Account;

/// What watches over a server. When this process ends, however it does, its end of the pipe closes:
/// then the server is ended by its process id, and its folder removed, unless it is kept.
const GUARD: &str = r#"
folder=$0
signal=$1
shift
"$@" >>"$folder/out" 2>&1 &
echo $!
read -r word
kill -"$signal" $! 2>/dev/null
wait $! 2>/dev/null
[ "$word" = keep ] || rm -rf -- "$folder"
"#;

/// How long a server may take to its first answer, and to its end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A process, and the temporary folder where it works.
#[derive(Debug)]
pub(crate) struct Daemon {
    guard: Option<Child>,
    pid: Option<Pid>,
    ending: Signal,
    folder: TempDir,
}

impl Daemon {
    /// A folder for a process that does not run yet. The signal ends it quickly, with its children.
    pub(crate) fn new(ending: Signal) -> io::Result<Self> {
        Ok(Self {
            guard: None,
            pid: None,
            ending,
            folder: tempfile::tempdir()?,
        })
    }

    /// The same, in a folder that belongs to the account.
    pub(crate) fn owned_by(account: &Account, ending: Signal) -> io::Result<Self> {
        let daemon = Self::new(ending)?;
        account.give(daemon.folder())?;
        Ok(daemon)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the process, and does not wait until it answers.
    pub(crate) fn start(&mut self, command: &[OsString]) -> io::Result<()> {
        self.end();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD])
            .arg(self.folder.path())
            .arg(self.ending.as_raw().to_string())
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = guard.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        self.guard = Some(guard);
        self.pid = line.trim().parse().ok().and_then(Pid::from_raw);
        self.pid
            .map(drop)
            .ok_or_else(|| io::Error::other("no process id"))
    }

    /// Waits until a server that has been started answers.
    pub(crate) fn wait_until(&self, answers: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match answers() {
                Ok(()) => return Ok(()),
                Err(_) if Instant::now() < until && self.is_running() => {
                    sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(io::Error::other(format!("{error}: {}", self.log()))),
            }
        }
    }

    /// Sends a signal. The process may have ended by itself; then nothing happens.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and its children with SIGKILL, and waits until they are gone.
    pub(crate) fn kill(&mut self) {
        let Some(pid) = self.pid else { return };
        // Stopped, it starts no further ones.
        self.signal(Signal::STOP);
        let children = children(pid);
        self.signal(Signal::KILL);
        for child in &children {
            let _ = kill_process(*child, Signal::KILL);
        }
        let until = Instant::now() + PATIENCE;
        while children.iter().any(|child| is_alive(*child)) && Instant::now() < until {
            sleep(Duration::from_millis(1));
        }
        self.end();
    }

    /// Ends it, and waits until it is gone. The folder stays until this value ends.
    pub(crate) fn end(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            if let Some(stdin) = &mut guard.stdin {
                // If it is gone, so is what it guarded.
                let _ = stdin.write_all(b"keep\n");
            }
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
        self.pid = None;
    }

    /// Whether the process is there.
    pub(crate) fn is_running(&self) -> bool {
        self.pid.is_some_and(is_alive)
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that is free, and whose neighbour 10,000 further is: a Cluster talks there. Both are below
/// those that the system gives to clients, so that none of them takes it while the server is down.
pub(crate) fn free_port() -> io::Result<u16> {
    let mut random = Random::new(RandomState::new().hash_one(std::process::id()));
    for _ in 0..1000 {
        let port = 10_000 + u16::try_from(random.below(12_000)).unwrap_or_default();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Starts a server on a free port: somebody else may take it in the moment before the server does.
pub(crate) fn on_a_free_port<T>(start: impl Fn(u16) -> io::Result<T>) -> io::Result<T> {
    let mut last = None;
    for _ in 0..5 {
        match start(free_port()?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => last = Some(error),
            result => return result,
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::Other.into()))
}

fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

/// One that has ended and that nobody has asked about still has an entry, and is no more.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    match stat {
        Ok(stat) => !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => rustix::process::test_kill_process(pid).is_ok(),
    }
}
