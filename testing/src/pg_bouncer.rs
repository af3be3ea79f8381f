//! A PgBouncer that is thrown away.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::TcpStream;

use rustix::process::Signal;

use crate::PostgresServer;
use crate::account::{Account, find_program};
use crate::daemon::{Daemon, on_a_free_port};
use crate::postgres_server::url_at;

/// A `pgbouncer` in transaction mode in front of a Postgres: each transaction of a client is on
/// whichever of a few connections is free. It ends with this value, and at the latest with this
/// process.
#[derive(Debug)]
pub struct PgBouncer {
    daemon: Daemon,
    port: u16,
    command: Vec<OsString>,
}

impl PgBouncer {
    /// Starts one that has so many connections to the server.
    ///
    /// # Errors
    ///
    /// `pgbouncer` is not installed, or does not start.
    pub fn start(server: &PostgresServer, connections: usize) -> io::Result<Self> {
        on_a_free_port(|port| Self::start_on(port, server.port(), connections))
    }

    fn start_on(port: u16, server: u16, connections: usize) -> io::Result<Self> {
        let account = Account::choose(&["postgres", "nobody"])?;
        let program = find_program("pgbouncer", &["/usr/sbin"], "pgbouncer")?;
        let daemon = Daemon::owned_by(&account, Signal::TERM)?;
        let file = daemon.folder().join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n\
             postgres = host=127.0.0.1 port={server} dbname=postgres user=postgres\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {connections}\n\
             server_login_retry = 1\n"
        );
        fs::write(&file, settings)?;
        account.give(&file)?;
        let mut command = account.command(&program);
        command.push(file.into());
        let mut bouncer = Self {
            daemon,
            port,
            command,
        };
        bouncer.restart()?;
        Ok(bouncer)
    }

    /// Starts it again after a [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.daemon.start(&self.command)?;
        let address = ("127.0.0.1", self.port);
        self.daemon
            .wait_until(|| TcpStream::connect(address).map(drop))
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        self.daemon.kill();
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
}
