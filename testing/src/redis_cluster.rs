//! A Redis Cluster that is thrown away.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Certificates, RedisServer};

const MASTERS: usize = 3;
/// How long it may take until all nodes agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three masters and three replicas, all on this machine.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, then their replicas in the same order, as they were at the start.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts one, and waits until it is whole. A master that does not answer is replaced after a
    /// second.
    ///
    /// # Errors
    ///
    /// `redis-server` is not installed, or the nodes do not find each other.
    pub fn start(settings: &[(&str, &str)]) -> io::Result<Self> {
        Self::start_as(settings, None)
    }

    /// The same, and all nodes speak TLS to each other and to clients.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn start_tls(settings: &[(&str, &str)], certificates: &Certificates) -> io::Result<Self> {
        let own = [("tls-cluster", "yes"), ("tls-replication", "yes")];
        Self::start_as(&[&own[..], settings].concat(), Some(certificates))
    }

    fn start_as(settings: &[(&str, &str)], tls: Option<&Certificates>) -> io::Result<Self> {
        let own = [
            ("cluster-enabled", "yes"),
            ("cluster-node-timeout", "1000"),
            ("cluster-replica-validity-factor", "0"),
            ("repl-diskless-sync-delay", "0"),
        ];
        let settings = [&own[..], settings].concat();
        let nodes = (0..2 * MASTERS).map(|_| RedisServer::start_as(&[], &settings, tls));
        let cluster = Self {
            nodes: nodes.collect::<io::Result<_>>()?,
        };
        cluster.join().map_err(io::Error::other)?;
        Ok(cluster)
    }

    /// `redis+cluster://` with all nodes, or `rediss+cluster://`.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, hosts) = crate::redis_server::places(&self.nodes);
        format!("{scheme}+cluster://{hosts}")
    }

    /// Waits until every node that runs knows of `masters` masters and finds all well.
    ///
    /// # Errors
    ///
    /// It takes too long.
    pub fn wait_until_whole(&self, masters: usize, replicas: usize) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        let well = |node: &RedisServer| {
            let info = node.text(&["CLUSTER", "INFO"]);
            let nodes = node.text(&["CLUSTER", "NODES"]);
            let of = |role| {
                let good = |line: &&str| {
                    let flags: Vec<_> = line.split(' ').nth(2).unwrap_or("").split(',').collect();
                    flags.contains(&role) && !flags.contains(&"fail") && !flags.contains(&"fail?")
                };
                nodes.lines().filter(good).count()
            };
            let synced = !node
                .text(&["INFO", "replication"])
                .contains("master_link_status:down");
            info.contains("cluster_state:ok")
                && of("master") >= masters
                && of("slave") >= replicas
                && synced
        };
        while !self
            .nodes
            .iter()
            .filter(|node| node.ask(&["PING"]).is_ok())
            .all(well)
        {
            if Instant::now() > until {
                return Err(io::Error::other("the Cluster did not become whole"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn join(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let first = self.nodes[0].public_port().to_string();
        for (n, node) in self.nodes.iter().enumerate() {
            if n < MASTERS {
                let slots = (n * 16_384 / MASTERS)..((n + 1) * 16_384 / MASTERS);
                let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
                let words = ["CLUSTER", "ADDSLOTS"].into_iter();
                let words = words.chain(slots.iter().map(String::as_str));
                node.ask(&words.collect::<Vec<_>>())?;
            }
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()])?;
        }
        for node in &self.nodes[1..] {
            node.ask(&["CLUSTER", "MEET", "127.0.0.1", &first])?;
        }
        self.wait_until_known()?;
        for n in 0..MASTERS {
            let id = self.nodes[n].text(&["CLUSTER", "MYID"]);
            self.nodes[MASTERS + n].ask(&["CLUSTER", "REPLICATE", &id])?;
        }
        self.wait_until_whole(MASTERS, MASTERS)?;
        Ok(())
    }

    /// Waits until every node knows every other one.
    fn wait_until_known(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        let knows_all = |node: &RedisServer| {
            let nodes = node.text(&["CLUSTER", "NODES"]);
            nodes.lines().count() == self.nodes.len() && !nodes.contains("handshake")
        };
        while !self.nodes.iter().all(knows_all) {
            if Instant::now() > until {
                return Err(io::Error::other("the nodes did not meet"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
