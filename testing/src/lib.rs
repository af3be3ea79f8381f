//! What tests need to treat stores badly: processes that can be killed, servers that are thrown
//! away, a network that misbehaves, and chance that can be repeated.

mod certificates;
mod child;
mod kill;
mod proxy;
mod random;
mod redis_cluster;
mod redis_monitor;
mod redis_sentinel;
mod redis_server;
mod redis_servers;

pub use certificates::Certificates;
pub use child::Child;
pub use kill::{Kills, Outcome, Victim, kill_while_it_writes, write_until_killed};
pub use proxy::{Mode, Proxy};
pub use random::Random;
pub use redis_cluster::RedisCluster;
pub use redis_monitor::RedisMonitor;
pub use redis_sentinel::RedisSentinel;
pub use redis_server::RedisServer;
pub use redis_servers::RedisServers;
