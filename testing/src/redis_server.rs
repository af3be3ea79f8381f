//! A Redis server that is thrown away.

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::Certificates;
use crate::daemon::{Daemon, free_port, on_a_free_port};
use crate::synced::Synced;

/// A `redis-server` of its own on a free port of 127.0.0.1, in a temporary folder. It ends with this
/// value, and at the latest with this process.
///
/// Another program than `redis-server` is started if `OBSESSION_REDIS_SERVER` names one, such as
/// `valkey-server` or an older release.
#[derive(Debug)]
pub struct RedisServer {
    daemon: Daemon,
    port: u16,
    tls_port: Option<u16>,
    arguments: Vec<String>,
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
        on_a_free_port(|port| Self::start_on(port, first, settings, tls))
    }

    fn start_on(
        port: u16,
        first: &[&str],
        settings: &[(&str, &str)],
        tls: Option<&Certificates>,
    ) -> io::Result<Self> {
        let daemon = Daemon::new(Signal::KILL)?;
        let folder = daemon.folder();
        let tls_port = tls.map(|_| free_port()).transpose()?;
        let mut arguments: Vec<String> = first.iter().map(|&word| word.to_owned()).collect();
        let path = folder.to_string_lossy().into_owned();
        if first.is_empty() {
            let own = [("save", ""), ("appendonly", "no")];
            for (name, value) in own.iter().chain(settings) {
                arguments.extend([format!("--{name}"), (*value).to_owned()]);
            }
        } else {
            // A sentinel wants a file, which it rewrites.
            let file = folder.join("server.conf");
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
            daemon,
            port,
            tls_port,
            arguments,
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
        self.daemon.wait_until(|| match self.ask(&["PING"]) {
            Ok(_) => Ok(()),
            // It is there, and does not want to talk to strangers.
            Err(error) if error.kind() != redis::ErrorKind::Io && !is_loading(&error) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        })
    }

    /// Starts the process without waiting until it answers.
    ///
    /// # Errors
    ///
    /// `redis-server` is not installed.
    pub fn start_process(&mut self) -> io::Result<()> {
        let program = std::env::var_os("OBSESSION_REDIS_SERVER");
        let program = program.unwrap_or_else(|| "redis-server".into());
        let found = Command::new(&program).arg("--version").output();
        found.map_err(|error| {
            let say = "is not installed (Debian and Ubuntu: apt-get install redis-server)";
            io::Error::new(error.kind(), format!("{} {say}", program.display()))
        })?;
        let mut command = vec!["env".into()];
        command.extend(self.synced.iter().flat_map(Synced::environment));
        command.push(program);
        command.extend(self.arguments.iter().map(OsString::from));
        self.daemon.start(&command)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        self.daemon.kill();
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
        self.daemon.folder().join("appendonlydir")
    }

    /// Stops it in its tracks, as a machine does that hangs, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.daemon
            .signal(if frozen { Signal::STOP } else { Signal::CONT });
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
        self.daemon.folder()
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
