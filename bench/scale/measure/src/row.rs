//! What was measured of one library on one store.

use serde::{Deserialize, Serialize};

use crate::Outcome;

#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    pub store: String,
    pub library: String,
    pub sessions: usize,
    /// How many of them were to expire.
    pub dying: usize,
    pub fill: Fill,
    /// With all sessions there, the expired ones included.
    pub bytes: Vec<Bytes>,
    /// The same after cleanup.
    pub bytes_after: Vec<Bytes>,
    /// From opening the store to the answer to the first load, in milliseconds: the least, the median and the
    /// most of several times.
    pub start_ms: Option<[f64; 3]>,
    /// While there was nothing to clean up.
    pub baseline: Saves,
    pub self_expiry: Option<SelfExpiry>,
    pub cleanup: Option<Cleanup>,
    /// How many sessions the store kept before and after what has expired was removed, as it says itself.
    pub held: [Option<usize>; 2],
    pub note: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Fill {
    pub seconds: f64,
    /// Sessions a second.
    pub rate: f64,
    /// How many clients made them at once.
    pub tasks: usize,
}

/// How much room something takes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bytes {
    pub what: String,
    pub total: f64,
    pub per_session: f64,
}

impl Bytes {
    /// Of so many sessions.
    pub fn of(what: &str, total: f64, sessions: usize) -> Self {
        Self {
            what: what.to_owned(),
            total,
            per_session: total / sessions as f64,
        }
    }
}

/// How long it took one client to read and write a session, one after the other, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saves {
    pub count: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// How a store removed what had expired by itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct SelfExpiry {
    /// How long it was waited for, from the last deadline on.
    pub seconds: f64,
    /// How many expired sessions it still kept then.
    pub left: usize,
    pub saves: Saves,
}

/// The passes of a library's cleanup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cleanup {
    pub seconds: f64,
    /// How many sessions the library says that it has removed, if it says that.
    pub removed: Option<usize>,
    pub batches: usize,
    pub longest_batch_ms: f64,
    pub median_batch_ms: f64,
    /// The pass right after, with nothing left to remove.
    pub second_pass_ms: f64,
    /// The median of five more of these.
    pub idle_pass_ms: f64,
    /// While the first pass was under way.
    pub saves: Saves,
}

impl Row {
    /// Says it to the program that has started this one.
    pub fn print(&self) -> Outcome<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
