//! Redis behind Sentinel that is thrown away.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Certificates, RedisServer};

const PATIENCE: Duration = Duration::from_secs(60);

/// A master, two replicas and three Sentinels, which call the master `main`.
#[derive(Debug)]
pub struct RedisSentinel {
    /// The master, then its replicas, as they were at the start.
    pub servers: Vec<RedisServer>,
    /// The Sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts them, and waits until the Sentinels know everybody. A master that does not answer is
    /// replaced after a second.
    ///
    /// # Errors
    ///
    /// `redis-server` is not installed, or they do not find each other.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Self> {
        Self::start_as(settings, "127.0.0.1", None)
    }

    /// The same, and all of them speak TLS to each other and to clients.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn start_tls(settings: &[(&str, &str)], certificates: &Certificates) -> io::Result<Self> {
        let settings = [&[("tls-replication", "yes")], settings].concat();
        Self::start_as(&settings, "127.0.0.1", Some(certificates))
    }

    /// The same as [`start`](Self::start), and the Sentinels call the servers `localhost`.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn start_named(settings: &[(&str, &str)]) -> io::Result<Self> {
        let settings = [&[("replica-announce-ip", "localhost")], settings].concat();
        Self::start_as(&settings, "localhost", None)
    }

    fn start_as(
        settings: &[(&str, &str)],
        host: &str,
        tls: Option<&Certificates>,
    ) -> io::Result<Self> {
        let settings = [&[("repl-diskless-sync-delay", "0")], settings].concat();
        let mut servers = vec![RedisServer::start_as(&[], &settings, tls)?];
        let port = servers[0].public_port().to_string();
        for _ in 0..2 {
            let server = RedisServer::start_as(&[], &settings, tls)?;
            server
                .ask(&["REPLICAOF", host, &port])
                .map_err(io::Error::other)?;
            servers.push(server);
        }
        let monitor = format!("monitor main {host} {port} 2");
        let mut watch = vec![];
        if host != "127.0.0.1" {
            watch.extend([
                ("sentinel", "resolve-hostnames yes"),
                ("sentinel", "announce-hostnames yes"),
            ]);
        }
        if tls.is_some() {
            watch.push(("tls-replication", "yes"));
        }
        watch.extend([
            ("sentinel", &*monitor),
            ("sentinel", "down-after-milliseconds main 1000"),
            ("sentinel", "failover-timeout main 5000"),
        ]);
        let sentinels = (0..3).map(|_| RedisServer::start_as(&["--sentinel"], &watch, tls));
        let all = Self {
            servers,
            sentinels: sentinels.collect::<io::Result<_>>()?,
        };
        all.wait_until_whole(2)?;
        Ok(all)
    }

    /// `redis+sentinel://` with all Sentinels, or `rediss+sentinel://`.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, hosts) = crate::redis_server::places(&self.sentinels);
        format!("{scheme}+sentinel://{hosts}?master=main")
    }

    /// Has the Sentinels replace a master that has not answered for so many milliseconds.
    ///
    /// # Errors
    ///
    /// What a Sentinel or the connection says.
    pub fn give_up_after(&self, millis: u32) -> io::Result<()> {
        let millis = millis.to_string();
        let set = [
            "SENTINEL",
            "SET",
            "main",
            "down-after-milliseconds",
            &millis,
        ];
        for sentinel in &self.sentinels {
            sentinel.ask(&set).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// The public port of the server that the Sentinels call the master.
    #[must_use]
    pub fn master(&self) -> u16 {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
        let answer = self.sentinels[0].ask(&words);
        let address = answer.and_then(|a| Ok(redis::from_redis_value::<(String, u16)>(a)?));
        address.map_or(0, |(_, port)| port)
    }

    /// Waits until all Sentinels know each other and so many replicas that are in step.
    ///
    /// # Errors
    ///
    /// It takes too long.
    pub fn wait_until_whole(&self, replicas: usize) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        let well = |node: &RedisServer| {
            let info = node.text(&["INFO", "sentinel"]);
            info.contains("status=ok,address=")
                && info.contains(&format!(":{},", self.master()))
                && info.contains(&format!("slaves={replicas},sentinels=3"))
        };
        let in_step = |port| {
            let master = self
                .servers
                .iter()
                .find(|server| server.public_port() == port);
            let info = master.map(|master| master.text(&["INFO", "replication"]));
            info.is_some_and(|info| info.matches("state=online").count() >= replicas)
        };
        while !(self.sentinels.iter().all(well) && in_step(self.master())) {
            if Instant::now() > until {
                return Err(io::Error::other("the Sentinels did not find everybody"));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
