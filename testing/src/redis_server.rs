//! A Redis server that is thrown away.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::synced::Synced;
use crate::{Certificates, Random};

/// How long a server may take to answer its first `PING`.
const PATIENCE: Duration = Duration::from_secs(20);

/// What watches over a server. When this process ends, however it does, its end of the pipe closes:
/// then the server is killed by its process id, and its folder removed, unless it is kept.
const GUARD: &str = r#"
folder=$0
"$@" >"$folder/out" 2>&1 &
echo $!
read -r word
kill -9 $! 2>/dev/null
[ "$word" = keep ] || rm -rf -- "$folder"
"#;

/// A `redis-server` of its own on a free port of 127.0.0.1, in a temporary folder. It ends with this
/// value, and at the latest with this process.
///
/// Another program than `redis-server` is started if `OBSESSION_REDIS_SERVER` names one, such as
/// `valkey-server` or an older release.
#[derive(Debug)]
pub struct RedisServer {
    guard: Option<Child>,
    pid: Option<Pid>,
    port: u16,
    tls_port: Option<u16>,
    arguments: Vec<String>,
    folder: TempDir,
    synced: Option<Synced>,
}

impl RedisServer {
    /// Starts one with these settings, each a name and a value as in `redis.conf`. Without any, it
    /// keeps nothing on disk.
    ///
    /// # Errors
    ///
    /// `redis-server` is not installed, or does not start.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Self> {
        Self::start_as(&[], settings, None)
    }

    /// The same, of a server with an append-only file that can [lose power](Self::lose_power).
    ///
    /// # Errors
    ///
    /// The same, or `cc` is not installed.
    pub fn start_mortal(settings: &[(&str, &str)]) -> io::Result<Self> {
        let mut server = Self::start(settings)?;
        server.kill();
        server.synced = Some(Synced::new(&server.appended())?);
        server.restart()?;
        Ok(server)
    }

    /// The same, with a second port where it speaks TLS.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn start_tls(settings: &[(&str, &str)], certificates: &Certificates) -> io::Result<Self> {
        Self::start_as(&[], settings, Some(certificates))
    }

    /// The same with other arguments ahead, such as `--sentinel`.
    pub(crate) fn start_as(
        first: &[&str],
        settings: &[(&str, &str)],
        tls: Option<&Certificates>,
    ) -> io::Result<Self> {
        let mut last = None;
        // Somebody else may take the port in the moment before the server does.
        for _ in 0..5 {
            match Self::start_once(first, settings, tls) {
                Ok(server) => return Ok(server),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::Other.into()))
    }

    fn start_once(
        first: &[&str],
        settings: &[(&str, &str)],
        tls: Option<&Certificates>,
    ) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let tls_port = tls.map(|_| free_port()).transpose()?;
        let mut arguments: Vec<String> = first.iter().map(|&word| word.to_owned()).collect();
        let path = folder.path().to_string_lossy().into_owned();
        if first.is_empty() {
            let own = [("save", ""), ("appendonly", "no")];
            for (name, value) in own.iter().chain(settings) {
                arguments.extend([format!("--{name}"), (*value).to_owned()]);
            }
        } else {
            // A sentinel wants a file, which it rewrites.
            let file = folder.path().join("server.conf");
            let lines = settings
                .iter()
                .map(|(name, value)| format!("{name} {value}\n"));
            std::fs::write(&file, lines.collect::<String>())?;
            arguments.insert(0, file.to_string_lossy().into_owned());
        }
        for (name, value) in [
            ("port", port.to_string()),
            ("bind", "127.0.0.1".to_owned()),
            ("dir", path),
        ] {
            arguments.extend([format!("--{name}"), value]);
        }
        if let (Some(tls), Some(port)) = (tls, tls_port) {
            arguments.extend(["--tls-port".to_owned(), port.to_string()]);
            for (name, value) in tls.settings() {
                arguments.extend([format!("--{name}"), value]);
            }
        }
        let mut server = Self {
            guard: None,
            pid: None,
            port,
            tls_port,
            arguments,
            folder,
            synced: None,
        };
        server.restart()?;
        Ok(server)
    }

    /// Starts it again after a [`kill`](Self::kill), with what it has on disk.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.start_process()?;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.ask(&["PING"]) {
                Ok(_) => return Ok(()),
                // It is there, and does not want to talk to strangers.
                Err(error) if error.kind() != redis::ErrorKind::Io && !is_loading(&error) => {
                    return Ok(());
                }
                Err(_) if Instant::now() < until && self.is_running() => {
                    sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(io::Error::other(format!("{error}: {}", self.log()))),
            }
        }
    }

    /// Starts the process without waiting until it answers.
    ///
    /// # Errors
    ///
    /// `redis-server` is not installed.
    pub fn start_process(&mut self) -> io::Result<()> {
        self.end_guard(true);
        let program = std::env::var_os("OBSESSION_REDIS_SERVER");
        let program = program.unwrap_or_else(|| "redis-server".into());
        let found = Command::new(&program).arg("--version").output();
        found.map_err(|error| {
            let say = "is not installed (Debian and Ubuntu: apt-get install redis-server)";
            io::Error::new(error.kind(), format!("{} {say}", program.display()))
        })?;
        let mut guard = Command::new("sh")
            .args(["-c", GUARD])
            .arg(self.folder.path())
            .arg(program)
            .args(&self.arguments)
            .envs(self.synced.iter().flat_map(Synced::environment))
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

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        while self.ask(&["PING"]).is_ok() {
            sleep(Duration::from_millis(1));
        }
        self.end_guard(true);
    }

    /// Kills it, and takes from its append-only files what it had not synced: that is what a machine
    /// may lose that loses power. Says how many bytes those were.
    ///
    /// # Errors
    ///
    /// It was not started for that, or what the system says of the files.
    pub fn lose_power(&mut self) -> io::Result<u64> {
        self.kill();
        let synced = self.synced.as_ref();
        let synced = synced.ok_or_else(|| io::Error::other("it was not started as mortal"))?;
        synced.lose(&self.appended())
    }

    fn appended(&self) -> std::path::PathBuf {
        self.folder.path().join("appendonlydir")
    }

    /// Stops it in its tracks, as a machine does that hangs, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        if let Some(pid) = self.pid {
            let _ = kill_process(pid, signal);
        }
    }

    /// Cuts its replicas off for good, as a network does that has broken between them, while clients
    /// that are connected go on: the replicas do not know the password that it has from now on.
    ///
    /// # Errors
    ///
    /// What the server or the connection says.
    pub fn cut_off_replicas(&self) -> redis::RedisResult<()> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection()?;
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("requirepass").arg("unknown to others");
        set.exec(&mut connection)?;
        let mut cut = redis::cmd("CLIENT");
        cut.arg("KILL").arg("TYPE").arg("replica");
        cut.exec(&mut connection)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on which others are to speak to it: the one with TLS, if it has one.
    #[must_use]
    pub fn public_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// `rediss://localhost:port`, if it speaks TLS; else as [`url`](Self::url).
    #[must_use]
    pub fn public_url(&self) -> String {
        match self.tls_port {
            Some(port) => format!("rediss://localhost:{port}"),
            None => self.url(),
        }
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends a command on a connection of its own.
    ///
    /// # Errors
    ///
    /// What the server or the connection says.
    pub fn ask(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut cmd = redis::Cmd::new();
        for word in words {
            cmd.arg(*word);
        }
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        cmd.query(&mut connection)
    }

    /// The same, when the answer is a text.
    #[must_use]
    pub fn text(&self, words: &[&str]) -> String {
        let answer = self
            .ask(words)
            .and_then(|text| Ok(redis::from_redis_value(text)?));
        answer.unwrap_or_default()
    }

    /// Whether the process is there.
    fn is_running(&self) -> bool {
        self.pid
            .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    fn end_guard(&mut self, keep: bool) {
        if let Some(mut guard) = self.guard.take() {
            if let (true, Some(stdin)) = (keep, &mut guard.stdin) {
                // If it is gone, so is what it guarded.
                let _ = stdin.write_all(b"keep\n");
            }
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
        self.pid = None;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.end_guard(true);
    }
}

/// The scheme and the hosts of a URL that leads to all of them.
pub(crate) fn places(servers: &[RedisServer]) -> (&'static str, String) {
    let tls = servers.iter().any(|server| server.tls_port.is_some());
    let host = |server: &RedisServer| format!("127.0.0.1:{}", server.public_port());
    let hosts: Vec<_> = servers.iter().map(host).collect();
    (if tls { "rediss" } else { "redis" }, hosts.join(","))
}

fn is_loading(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::BusyLoading)
}

/// A port that is free, and whose neighbour 10,000 further is: a Cluster talks there. Both are below
/// those that the system gives to clients, so that none of them takes it while the server is down.
fn free_port() -> io::Result<u16> {
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
