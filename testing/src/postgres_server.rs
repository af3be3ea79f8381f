//! A Postgres server that is thrown away.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::Certificates;
use crate::account::{Account, find_program};
use crate::daemon::{Daemon, on_a_free_port};
use crate::template::{Template, run};

/// Debian does not put the programs of a server on the path.
const FOLDERS: [&str; 2] = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"];
const PACKAGE: &str = "postgresql";

static TEMPLATE: Template = Template::new();

/// A `postgres` of its own on a free port of 127.0.0.1, in a temporary folder. It ends with this
/// value, and at the latest with this process.
///
/// It counts what it is asked: [`calls`](Self::calls). Whoever connects as `postgres` is believed.
#[derive(Debug)]
pub struct PostgresServer {
    daemon: Daemon,
    port: u16,
    command: Vec<OsString>,
    psql: PathBuf,
}

impl PostgresServer {
    /// Settings for a server that need not outlive a machine: it does not wait for the disk.
    pub const FAST: [(&'static str, &'static str); 2] =
        [("fsync", "off"), ("full_page_writes", "off")];

    /// Starts one with these settings, each a name and a value as in `postgresql.conf`. Without any,
    /// what it has acknowledged is on disk.
    ///
    /// # Errors
    ///
    /// Postgres is not installed, or does not start.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Self> {
        on_a_free_port(|port| Self::start_on(port, settings, None))
    }

    /// The same, of a server that speaks TLS as well.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn start_tls(settings: &[(&str, &str)], certificates: &Certificates) -> io::Result<Self> {
        on_a_free_port(|port| Self::start_on(port, settings, Some(certificates)))
    }

    fn start_on(
        port: u16,
        settings: &[(&str, &str)],
        tls: Option<&Certificates>,
    ) -> io::Result<Self> {
        let account = Account::choose(&["postgres", "nobody"])?;
        let find = |name| find_program(name, &FOLDERS, PACKAGE);
        let (initdb, postgres, psql) = (find("initdb")?, find("postgres")?, find("psql")?);
        // SIGQUIT: at once, and its children with it.
        let daemon = Daemon::owned_by(&account, Signal::QUIT)?;
        TEMPLATE.copy(&account, daemon.folder(), |data| {
            let mut words = account.command(&initdb);
            words.extend(["-D".into(), data.into()]);
            let more = "--auth=trust --username=postgres --encoding=UTF8 --no-locale --no-sync";
            words.extend(more.split(' ').map(OsString::from));
            words
        })?;
        let mut command = account.command(&postgres);
        command.extend(["-D".into(), daemon.folder().join("data").into()]);
        let port_number = port.to_string();
        let own = [
            ("port", port_number.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("shared_preload_libraries", "pg_stat_statements"),
        ];
        for (name, value) in own.iter().chain(settings) {
            command.extend(["-c".into(), format!("{name}={value}").into()]);
        }
        if let Some(tls) = tls {
            let [certificate, key] = tls.give(&account, daemon.folder())?;
            for (setting, file) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
                command.extend(["-c".into(), format!("{setting}={}", file.display()).into()]);
            }
            command.extend(["-c".into(), "ssl=on".into()]);
        }
        let mut server = Self {
            daemon,
            port,
            command,
            psql,
        };
        server.restart()?;
        server.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")?;
        Ok(server)
    }

    /// Starts it again after a [`kill`](Self::kill) or a [`stop`](Self::stop), with what it has on
    /// disk.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.start_process()?;
        self.daemon.wait_until(|| self.sql("SELECT 1").map(drop))
    }

    /// Starts the process without waiting until it answers.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start_process(&mut self) -> io::Result<()> {
        self.daemon.start(&self.command)
    }

    /// Kills it with all of its processes by SIGKILL, and waits until they are gone.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Shuts it down as an operator does: its clients are disconnected, and everything is written.
    pub fn stop(&mut self) {
        self.daemon.signal(Signal::INT);
        let ended = || {
            let running = self.daemon.is_running();
            (!running)
                .then_some(())
                .ok_or(io::ErrorKind::TimedOut.into())
        };
        // If it does not, it is ended the other way.
        let _ = self.daemon.wait_until(ended);
        self.daemon.end();
    }

    /// Stops it in its tracks, as a machine does that hangs, or lets it go on. Its processes for those
    /// who are connected already run on.
    pub fn freeze(&self, frozen: bool) {
        self.daemon
            .signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        url_at(self.port)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.daemon.folder()
    }

    /// What it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Has it run SQL on a connection of its own, and gives the rows: a line each, their columns parted
    /// by `|`. Several statements are one transaction, as far as they can be.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn sql(&self, sql: &str) -> io::Result<String> {
        self.sql_at(self.port, sql)
    }

    /// The same with several statements, each a transaction of its own.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn sql_each(&self, statements: &[&str]) -> io::Result<String> {
        self.psql(self.port, statements)
    }

    /// The same by way of what listens on another port.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn sql_at(&self, port: u16, sql: &str) -> io::Result<String> {
        self.psql(port, &[sql])
    }

    /// How many statements it has run since it began to count, on whatever connections, but for those
    /// that look at it.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn calls(&self) -> io::Result<u64> {
        let count = "SELECT COALESCE(sum(calls), 0) FROM pg_stat_statements \
                     WHERE query NOT ILIKE '%pg_stat_statements%'";
        self.sql(count)?.parse().map_err(io::Error::other)
    }

    fn psql(&self, port: u16, statements: &[&str]) -> io::Result<String> {
        let mut words: Vec<OsString> = vec![self.psql.clone().into()];
        words.extend(["-XqAt", "-vON_ERROR_STOP=1", "-d"].map(OsString::from));
        words.push(format!("{}?connect_timeout=5", url_at(port)).into());
        for statement in statements {
            words.extend(["-c".into(), statement.into()]);
        }
        run(&words).map(|rows| rows.trim_end().to_owned())
    }
}

pub(crate) fn url_at(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}
