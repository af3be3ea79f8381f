//! A MariaDB server that is thrown away.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::Certificates;
use crate::account::{Account, find_program};
use crate::daemon::{Daemon, on_a_free_port};
use crate::template::{Template, run};

const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/libexec"];
const PACKAGE: &str = "mariadb-server";

static TEMPLATE: Template = Template::new();

/// A `mariadbd` of its own on a free port of 127.0.0.1, in a temporary folder, with an empty database
/// `test`. It ends with this value, and at the latest with this process.
///
/// Whoever connects as `root` is believed.
#[derive(Debug)]
pub struct MariadbServer {
    daemon: Daemon,
    port: u16,
    command: Vec<OsString>,
    client: PathBuf,
}

impl MariadbServer {
    /// Settings for a server that need not outlive a machine: it does not wait for the disk.
    pub const FAST: [(&'static str, &'static str); 1] = [("innodb-flush-log-at-trx-commit", "2")];

    /// Starts one with these settings, each a name and a value as on its command line. Without any,
    /// what it has acknowledged is on disk.
    ///
    /// # Errors
    ///
    /// MariaDB is not installed, or does not start.
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
        let account = Account::choose(&["mysql", "nobody"])?;
        let find = |name| find_program(name, &FOLDERS, PACKAGE);
        let (install, server) = (find("mariadb-install-db")?, find("mariadbd")?);
        let client = find_program("mariadb", &[], "mariadb-client")?;
        let daemon = Daemon::owned_by(&account, Signal::KILL)?;
        TEMPLATE.copy(&account, daemon.folder(), |data| {
            let mut words = account.command(&install);
            words.extend(["--no-defaults".into(), option("datadir", data.as_os_str())]);
            let more = "--auth-root-authentication-method=normal --skip-test-db \
                        --innodb-log-file-size=8M";
            words.extend(more.split_whitespace().map(OsString::from));
            words
        })?;
        let folder = daemon.folder();
        let mut command = account.command(&server);
        command.push("--no-defaults".into());
        command.push(option("datadir", folder.join("data").as_os_str()));
        command.push(option("socket", folder.join("socket").as_os_str()));
        command.push(option("tmpdir", folder.as_os_str()));
        let port_number = port.to_string();
        let own = [
            ("port", port_number.as_str()),
            ("bind-address", "127.0.0.1"),
            ("skip-name-resolve", "on"),
            ("innodb-log-file-size", "8M"),
            ("innodb-buffer-pool-size", "64M"),
            ("innodb-flush-log-at-trx-commit", "1"),
        ];
        for (name, value) in own.iter().chain(settings) {
            command.push(option(name, value.as_ref()));
        }
        if let Some(tls) = tls {
            let [certificate, key] = tls.give(&account, folder)?;
            command.push(option("ssl-cert", certificate.as_os_str()));
            command.push(option("ssl-key", key.as_os_str()));
        }
        let mut server = Self {
            daemon,
            port,
            command,
            client,
        };
        server.restart()?;
        server.run("", "CREATE DATABASE IF NOT EXISTS test")?;
        Ok(server)
    }

    /// Starts it again after a [`kill`](Self::kill), with what it has on disk.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.start_process()?;
        self.daemon
            .wait_until(|| self.run("", "SELECT 1").map(drop))
    }

    /// Starts the process without waiting until it answers.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start_process(&mut self) -> io::Result<()> {
        self.daemon.start(&self.command)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Stops it in its tracks, as a machine does that hangs, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.daemon
            .signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `mysql://root@127.0.0.1:port/test`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}/test", self.port)
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

    /// Has it run SQL in its database `test` on a connection of its own, and gives the rows: a line
    /// each, their columns parted by a tab.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn sql(&self, sql: &str) -> io::Result<String> {
        self.run("test", sql)
    }

    /// How many statements clients have sent since it started, but for those that this asks. It counts
    /// what is prepared as well.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn calls(&self) -> io::Result<u64> {
        let count = "SELECT sum(variable_value) FROM information_schema.global_status \
                     WHERE variable_name IN ('COM_STMT_EXECUTE', 'COM_STMT_PREPARE')";
        self.sql(count)?.parse().map_err(io::Error::other)
    }

    fn run(&self, database: &str, sql: &str) -> io::Result<String> {
        let mut words = vec![self.client.clone().into()];
        let fixed = "--no-defaults --protocol=tcp --host=127.0.0.1 --user=root --batch --raw \
                     --skip-column-names --connect-timeout=5";
        words.extend(fixed.split_whitespace().map(OsString::from));
        words.push(format!("--port={}", self.port).into());
        words.push(format!("--execute={sql}").into());
        words.push(database.into());
        run(&words).map(|rows| rows.trim_end().to_owned())
    }
}

fn option(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}
