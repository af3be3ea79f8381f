//! What is measured, and how: the same for every library, and in every process.

#[cfg(feature = "ours")]
mod ours;
mod remote;
#[cfg(feature = "tower")]
mod tower;

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
#[cfg(feature = "ours")]
pub use ours::Ours;
pub use remote::{Remote, serve};
use serde::{Deserialize, Serialize};
#[cfg(feature = "tower")]
pub use tower::Tower;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How many sessions there are while it is measured.
pub const SESSIONS: usize = 10_000;

/// A session library with a store of its own, as an application uses it.
#[async_trait]
pub trait Library: Send + Sync + 'static {
    /// Makes a session of these values, and says what its client is to send.
    async fn make(&self, values: &[(String, String)]) -> Outcome<String>;

    /// A request that reads one key.
    async fn read(&self, id: &str, key: &str) -> Outcome<()>;

    /// A request that reads one key and writes it.
    async fn read_and_write(&self, id: &str, key: &str, value: &str) -> Outcome<()>;
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    Read,
    ReadAndWrite,
}

/// Ten keys and about 256 bytes.
pub fn values() -> Vec<(String, String)> {
    (0..10)
        .map(|n| (format!("key-{n}"), format!("a value of {n:05}")))
        .collect()
}

/// One round of one library.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Round {
    /// Requests a second.
    pub rate: f64,
    /// Times of requests in microseconds: of the median, and of 99 and 99.9 in a hundred.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

/// What can be measured: in this process or in another one.
#[async_trait]
pub trait Contestant: Send {
    /// So many clients at once, each one request after the other, each of any session.
    async fn round(&mut self, kind: Kind, tasks: usize, time: Duration) -> Outcome<Round>;
}

/// A library, and the clients of its sessions.
pub struct Subject {
    library: Arc<dyn Library>,
    ids: Arc<[String]>,
}

impl Subject {
    /// Makes the sessions, and sees that they are there.
    pub async fn new(library: impl Library) -> Outcome<Self> {
        let library: Arc<dyn Library> = Arc::new(library);
        let values = Arc::new(values());
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (library, values) = (Arc::clone(&library), Arc::clone(&values));
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    for _ in 0..SESSIONS / 50 {
                        ids.push(library.make(&values).await?);
                    }
                    Outcome::Ok(ids)
                })
            })
            .collect();
        let mut ids = Vec::new();
        for task in tasks {
            ids.extend(task.await??);
        }
        for id in ids.iter().step_by(997) {
            library.read_and_write(id, "key-3", "checked").await?;
            library.read(id, "key-3").await?;
        }
        let ids = ids.into();
        Ok(Self { library, ids })
    }
}

#[async_trait]
impl Contestant for Subject {
    async fn round(&mut self, kind: Kind, tasks: usize, time: Duration) -> Outcome<Round> {
        let start = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let (library, ids) = (Arc::clone(&self.library), Arc::clone(&self.ids));
                let mut chance = Chance::new();
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    while start.elapsed() < time {
                        let chance = chance.next();
                        let id = &ids[usize::try_from(chance)? % ids.len()];
                        let key = ["key-0", "key-3", "key-7"][usize::try_from(chance >> 20)? % 3];
                        let began = Instant::now();
                        match kind {
                            Kind::Read => library.read(id, key).await?,
                            Kind::ReadAndWrite => {
                                let value = format!("{:016x}", chance);
                                library.read_and_write(id, key, &value).await?;
                            }
                        }
                        times.push(began.elapsed());
                    }
                    Outcome::Ok(times)
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        let seconds = start.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 1000].as_secs_f64() * 1e6;
        Ok(Round {
            rate: f64::from(u32::try_from(times.len())?) / seconds,
            p50: at(500),
            p99: at(990),
            p999: at(999),
        })
    }
}

/// Numbers that nobody can foresee and nobody needs to: splitmix64.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
