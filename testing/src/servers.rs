//! What all servers have in common for whoever makes them fail.

use std::io;

use crate::{MariadbServer, PostgresServer, RedisCluster, RedisSentinel, RedisServer};

/// Servers that can be killed and started again together, on their ports and with what they have
/// on disk.
pub trait Servers: Send + Sync + 'static {
    /// Where a store connects to.
    fn url(&self) -> String;

    /// Kills every server that keeps data, with SIGKILL.
    fn kill(&mut self);

    /// Starts them again, and waits until they can be written to.
    ///
    /// # Errors
    ///
    /// One does not start, or they do not find each other.
    fn restart(&mut self) -> io::Result<()>;
}

impl Servers for RedisServer {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) -> io::Result<()> {
        self.restart()
    }
}

impl Servers for RedisSentinel {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.servers.iter_mut().for_each(RedisServer::kill);
    }

    /// The first is the master again, so no failover may have been under way.
    fn restart(&mut self) -> io::Result<()> {
        let master = self.servers[0].public_port().to_string();
        for (n, server) in self.servers.iter_mut().enumerate() {
            server.restart()?;
            if n > 0 {
                let follow = server.ask(&["REPLICAOF", "127.0.0.1", &master]);
                follow.map_err(io::Error::other)?;
            }
        }
        self.wait_until_whole(2)
    }
}

impl Servers for RedisCluster {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.nodes.iter_mut().for_each(RedisServer::kill);
    }

    fn restart(&mut self) -> io::Result<()> {
        self.nodes.iter_mut().try_for_each(RedisServer::restart)?;
        self.wait_until_whole(3, 3)
    }
}

impl Servers for PostgresServer {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) -> io::Result<()> {
        self.restart()
    }
}

impl Servers for MariadbServer {
    fn url(&self) -> String {
        self.url()
    }

    fn kill(&mut self) {
        self.kill();
    }

    fn restart(&mut self) -> io::Result<()> {
        self.restart()
    }
}
