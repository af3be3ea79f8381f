//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use measure::{Outcome, Plan};

pub(crate) const HELP: &str = "\
What many sessions cost, on obsession and on its peers.

cargo run --release -p scale -- [memory] [redis] [postgres] [sqlite] [sled] [--sessions N,N...]
    [--seconds S] [--postcard] [--json FILE]

Without a name all stores are measured. Each is filled with N sessions (100000) of ten keys and about 256
bytes, a tenth of which expires. Then the table says what they take, how long it took to make them, how
long the store takes from its start to the first load, how long cleanup takes, and how long one client
waits who reads and writes sessions meanwhile, beside S seconds (5) before it. The servers are started for
it, with fsync as they come. Each library on each store is a process of its own. An error if a session is
there that should not be, or the other way round. --postcard has obsession write that in place of JSON.
";

const STORES: [&str; 5] = ["memory", "redis", "postgres", "sqlite", "sled"];

pub(crate) struct Options {
    stores: Vec<String>,
    pub(crate) sessions: Vec<usize>,
    seconds: f64,
    postcard: bool,
    pub(crate) json: Option<PathBuf>,
}

/// What this process is for.
pub(crate) enum Asked {
    Help,
    All(Options),
    /// One library on one store, for another process of this program.
    One {
        store: String,
        library: String,
        plan: Plan,
    },
}

impl Options {
    pub(crate) fn stores(&self) -> impl Iterator<Item = &'static str> {
        let all = self.stores.is_empty();
        let wanted = move |name: &&str| all || self.stores.iter().any(|store| store == name);
        STORES.into_iter().filter(wanted)
    }

    pub(crate) fn plan(&self, store: &str, sessions: usize) -> Plan {
        Plan {
            sessions,
            baseline: Duration::from_secs_f64(self.seconds),
            real: store == "redis",
            postcard: self.postcard,
        }
    }
}

pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Outcome<Asked> {
    let mut options = Options {
        stores: Vec::new(),
        sessions: vec![100_000],
        seconds: 5.0,
        postcard: false,
        json: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs more"));
        match &*word {
            "--help" | "-h" => return Ok(Asked::Help),
            "--sessions" => options.sessions = numbers(&value()?)?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--postcard" => options.postcard = true,
            "--json" => options.json = Some(value()?.into()),
            "--one" => {
                return Ok(Asked::One {
                    store: value()?,
                    library: value()?,
                    plan: Plan::from_arguments(words)?,
                });
            }
            store if STORES.contains(&store) => options.stores.push(word),
            other => return Err(format!("{other} is not known; --help says what is").into()),
        }
    }
    Ok(Asked::All(options))
}

fn numbers(list: &str) -> Outcome<Vec<usize>> {
    let numbers: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
    let numbers = numbers?;
    // There are several starts, each with a session of its own.
    if numbers.iter().any(|n| *n < 1000 || *n % 10 != 0) {
        return Err("--sessions takes numbers from 1000 on that end in 0".into());
    }
    Ok(numbers)
}
