//! What tests need to treat stores badly: processes that can be killed, servers that are thrown
//! away, a network that misbehaves, and chance that can be repeated.

mod account;
pub mod behaviour;
pub mod breaks;
mod browser;
mod certificates;
mod child;
mod daemon;
mod kill;
mod mariadb_server;
mod pg_bouncer;
mod postgres_server;
mod proxy;
mod random;
pub mod records;
mod redis_cluster;
mod redis_monitor;
mod redis_sentinel;
mod redis_server;
mod servers;
mod shared;
mod synced;
mod template;

pub use browser::Browser;
pub use certificates::Certificates;
pub use child::Child;
pub use kill::{Kills, Outcome, Victim, kill_while_it_writes, write_until_killed};
pub use mariadb_server::MariadbServer;
pub use pg_bouncer::PgBouncer;
pub use postgres_server::PostgresServer;
pub use proxy::{Mode, Proxy};
pub use random::Random;
pub use redis_cluster::RedisCluster;
pub use redis_monitor::RedisMonitor;
pub use redis_sentinel::RedisSentinel;
pub use redis_server::RedisServer;
pub use servers::Servers;
pub use shared::{Shared, setup, share};
