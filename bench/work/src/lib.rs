//! What is measured, and how: the same for every library, and in every process.

mod chance;
mod chart;
#[cfg(feature = "ours")]
mod ours;
mod remote;
mod report;
mod subject;
#[cfg(feature = "tower")]
mod tower;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
pub use chance::Chance;
pub use chart::{Chart, Group};
#[cfg(feature = "ours")]
pub use ours::Ours;
pub use remote::{Remote, built, serve};
pub use report::{Spread, write_json};
use serde::{Deserialize, Serialize};
pub use subject::Subject;
#[cfg(feature = "tower")]
pub use tower::Tower;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A session library with a store of its own, as an application uses it.
#[async_trait]
pub trait Library: Send + Sync + 'static {
    /// Makes a session of these values, and says what its client is to send.
    async fn make(&self, values: &[(String, String)]) -> Outcome<String>;

    /// A request that reads one key.
    async fn read(&self, id: &str, key: &str) -> Outcome<()>;

    /// A request that reads one key and writes it.
    async fn read_and_write(&self, id: &str, key: &str, value: &str) -> Outcome<()>;

    /// A request that reads one key, writes it and replaces the id: the new one.
    async fn sign_in(&self, id: &str, key: &str, value: &str) -> Outcome<String>;
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    Read,
    ReadAndWrite,
    New,
    SignIn,
}

impl Kind {
    /// In this order: what adds sessions comes last.
    pub const ALL: [Self; 4] = [Self::Read, Self::ReadAndWrite, Self::SignIn, Self::New];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadAndWrite => "read + write",
            Self::New => "new",
            Self::SignIn => "sign-in",
        }
    }

    pub fn named(name: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        Ok(found.ok_or_else(|| format!("there is no request {name}"))?)
    }
}

/// How much is in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Ten keys and about 256 bytes.
    Small,
    /// A hundred keys and 16 KiB.
    Large,
}

impl Size {
    /// Its keys and values. No value is the same if its first letter is moved to its end.
    pub fn values(self) -> Vec<(String, String)> {
        let (keys, length) = match self {
            Self::Small => (10, 16),
            Self::Large => (100, 157),
        };
        (0..keys)
            .map(|n| {
                (
                    format!("key-{n}"),
                    format!("{:.<length$}", format!("a value of {n:05}")),
                )
            })
            .collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    pub fn named(name: &str) -> Outcome<Self> {
        let found = [Self::Small, Self::Large]
            .into_iter()
            .find(|size| size.name() == name);
        Ok(found.ok_or_else(|| format!("there is no size {name}"))?)
    }

    /// How many sessions there are while it is measured.
    pub fn sessions(self) -> usize {
        match self {
            Self::Small => 10_000,
            Self::Large => 1_000,
        }
    }

    /// How many a round makes at most: they stay until the end.
    pub fn new_ones(self) -> usize {
        match self {
            Self::Small => 20_000,
            Self::Large => 2_000,
        }
    }
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

impl Round {
    /// Of the times that requests took, in so much time.
    pub fn of(mut times: Vec<Duration>, all: Duration) -> Outcome<Self> {
        times.sort_unstable();
        let last = times
            .len()
            .checked_sub(1)
            .ok_or("a round without requests")?;
        let at = |part: usize| times[last * part / 1000].as_secs_f64() * 1e6;
        Ok(Self {
            rate: f64::from(u32::try_from(times.len())?) / all.as_secs_f64(),
            p50: at(500),
            p99: at(990),
            p999: at(999),
        })
    }
}

/// What can be measured: in this process or in another one.
#[async_trait]
pub trait Contestant: Send {
    /// So many clients at once, each one request after the other, each of any session.
    async fn round(&mut self, kind: Kind, tasks: usize, time: Duration) -> Outcome<Round>;
}
