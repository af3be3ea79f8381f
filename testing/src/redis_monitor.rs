//! What clients send to a Redis server.

use std::fmt;
use std::time::Duration;

use crate::RedisServer;

/// How long a server may take to say what it was sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// What clients send to a server, as it says itself.
pub struct RedisMonitor {
    connection: redis::Connection,
    marks: u32,
}

impl RedisMonitor {
    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// What the server or the connection says.
    pub fn start(server: &RedisServer) -> redis::RedisResult<Self> {
        let mut connection = redis::Client::open(server.url())?.get_connection()?;
        connection.set_read_timeout(Some(PATIENCE))?;
        redis::cmd("MONITOR").exec(&mut connection)?;
        Ok(Self {
            connection,
            marks: 0,
        })
    }

    /// The names of the commands that clients have sent since the last time, without those that
    /// scripts call and those with which connections and replicas introduce themselves.
    ///
    /// # Errors
    ///
    /// What the server or the connection says.
    pub fn sent(&mut self, server: &RedisServer) -> redis::RedisResult<Vec<String>> {
        const OWN: [&str; 8] = [
            "client", "cluster", "hello", "info", "ping", "psync", "replconf", "role",
        ];
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        server.ask(&["ECHO", &mark])?;
        let mut sent = Vec::new();
        loop {
            let line: String = redis::from_redis_value(self.connection.recv_response()?)?;
            // 1700000000.000000 [0 127.0.0.1:6000] "GET" "key"
            let (source, words) = line.split_once("] ").unwrap_or_default();
            if words.contains(&mark) {
                return Ok(sent);
            }
            let name = words.split('"').nth(1).unwrap_or_default().to_lowercase();
            if !source.ends_with(" lua") && !OWN.contains(&&*name) {
                sent.push(name);
            }
        }
    }
}

impl fmt::Debug for RedisMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisMonitor").finish_non_exhaustive()
    }
}
