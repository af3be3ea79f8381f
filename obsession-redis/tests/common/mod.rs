//! Records and stores for tests.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails by panicking"
)]

pub mod loads_first;
pub mod shared;

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use obsession_core::StoreError;
use obsession_redis::{CallError, FailureKind, RedisStore};
pub use testing::records::{create, full, key, of, record, rewritten, touch};
use testing::{RedisMonitor, RedisServer};

/// A server, and what clients send to it.
pub struct Monitored {
    server: RedisServer,
    monitor: RedisMonitor,
}

impl Monitored {
    pub fn start() -> Self {
        let server = RedisServer::start(&[]).unwrap();
        let monitor = RedisMonitor::start(&server).unwrap();
        Self { server, monitor }
    }

    /// The commands since the last time.
    pub fn sent(&mut self) -> Vec<String> {
        self.monitor.sent(&self.server).unwrap()
    }
}

impl Deref for Monitored {
    type Target = RedisServer;

    fn deref(&self) -> &RedisServer {
        &self.server
    }
}

/// A prefix that no other test of this process has.
pub fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("case-{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A store under a prefix of its own.
pub async fn store(url: &str) -> RedisStore {
    let builder = RedisStore::builder(url).prefix(&prefix());
    builder
        .deadline(Duration::from_secs(10))
        .connect()
        .await
        .unwrap()
}

/// Why a call failed.
pub fn kind(error: &StoreError) -> FailureKind {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<CallError>().unwrap().kind()
}

/// Whether `SET` compares. Of a Cluster, the node that has the key says so.
pub fn compares(servers: &[testing::RedisServer]) -> bool {
    let compared = servers
        .iter()
        .map(|server| server.ask(&["SET", "nothing", "new", "IFEQ", "old"]));
    compared.into_iter().any(|answer| answer.is_ok())
}
