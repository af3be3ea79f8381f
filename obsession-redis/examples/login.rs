//! How long a login takes: `cargo run --release -p obsession-redis --example login`.
//!
//! Starts one server and a Cluster of its own, and makes one request after the other. On a Cluster a
//! login makes four round trips, since its index entry comes before its record.

#![allow(clippy::print_stdout, reason = "it is there to print")]

use std::error::Error;
use std::time::{Duration, Instant};

use obsession_core::SessionManager;
use obsession_redis::RedisStore;
use testing::{RedisCluster, RedisServer};

const SESSIONS: usize = 2_000;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn measure(name: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let manager = SessionManager::builder_indexed(RedisStore::connect(url).await?).build();
    let (mut changes, mut logins) = (Vec::new(), Vec::new());
    for n in 0..SESSIONS {
        let session = manager.open(None);
        session.insert("cart", "quince")?;
        let _ = session.finish(true).await?;
        let id = session.id().await?;

        let started = Instant::now();
        let session = manager.open(id.clone());
        session.insert("cart", "medlar")?;
        let _ = session.finish(true).await?;
        changes.push(started.elapsed());

        let started = Instant::now();
        let session = manager.open(id);
        session.sign_in(&format!("user {n}"))?;
        let _ = session.finish(true).await?;
        logins.push(started.elapsed());
    }
    let (change, login) = (median(changes), median(logins));
    println!("{name}: a change {change:?}, a login {login:?} (medians of {SESSIONS})");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = RedisServer::start(&[])?;
    measure("one server", &server.url()).await?;
    let cluster = RedisCluster::start(&[])?;
    measure("Cluster", &cluster.url()).await
}
