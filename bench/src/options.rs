//! What is asked for.

use std::path::PathBuf;
use std::time::Duration;

use work::{Kind, Outcome, Size};

use crate::table::{OURS, THEIRS, THEIRS_NORMAL};

pub(crate) const HELP: &str = "\
The same work on obsession and on its peers, in turns, in one run, through the session handles of both.

cargo run --release -- [memory] [redis] [postgres] [sqlite] [sled] [--large]
    [--request NAME]... [--clients N]... [--only LIBRARY]
    [--seconds S] [--rounds N] [--json FILE] [--svg FILE]

Without a name all are measured. Each round is S seconds (2) of each; the table has the median, the least
and the most of N rounds (5), with 1, 32 and 64 clients at once. The servers are started for it, with
fsync as they come. SQLite syncs every write (FULL); tower-sessions is measured with fewer syncs (NORMAL)
as well. sled is measured for obsession alone: tower-sessions has no store for it.

A request reads one key, reads it and writes it, signs in (reads, writes and replaces the id; each client
has sessions of its own for that) or makes a session of all keys (at most 20,000 a round, or 2,000 large
ones, since they stay). There are 10,000 sessions of 10 keys and about 256 bytes.

--large    1,000 sessions of 100 keys and 16 KiB instead
--request, --clients, --only
           these requests, so many clients, this library only, by the names that the table has
--json     writes all figures, with the machine, the date and the command line
--svg      draws the requests a second as a multiple of those of tower-sessions

For the record, on a quiet machine:
    cargo run --release -- --json stores.json --svg stores.svg
    cargo run --release -- --large --json stores-large.json --svg stores-large.svg
What goes through the middleware, and over HTTP, is `cargo run --release -p middleware -- --help`.
";

pub(crate) struct Options {
    stores: Vec<String>,
    pub(crate) size: Size,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) clients: Vec<usize>,
    only: Option<String>,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
}

impl Options {
    /// Nothing if help is asked for.
    pub(crate) fn of(mut arguments: impl Iterator<Item = String>) -> Outcome<Option<Self>> {
        let mut options = Self {
            stores: Vec::new(),
            size: Size::Small,
            kinds: Vec::new(),
            clients: Vec::new(),
            only: None,
            time: Duration::from_secs(2),
            rounds: 5,
            json: None,
            svg: None,
        };
        while let Some(argument) = arguments.next() {
            let mut next = || {
                arguments
                    .next()
                    .ok_or(format!("{argument} takes something"))
            };
            match &*argument {
                "--help" | "-h" => return Ok(None),
                "--large" => options.size = Size::Large,
                "--request" => options.kinds.push(Kind::named(&next()?)?),
                "--clients" => options.clients.push(next()?.parse()?),
                "--only" => options.only = Some(library(next()?)?),
                "--seconds" => options.time = Duration::try_from_secs_f64(next()?.parse()?)?,
                "--rounds" => options.rounds = next()?.parse()?,
                "--json" => options.json = Some(next()?.into()),
                "--svg" => options.svg = Some(next()?.into()),
                name if crate::stores::NAMES.contains(&name) => options.stores.push(argument),
                other => return Err(format!("{other} is not known; --help says what is").into()),
            }
        }
        if options.kinds.is_empty() {
            options.kinds.extend(Kind::ALL);
        }
        if options.clients.is_empty() {
            options.clients.extend([1, 32, 64]);
        }
        if options.clients.contains(&0) || options.rounds == 0 {
            return Err("nobody measures nothing".into());
        }
        Ok(Some(options))
    }

    pub(crate) fn wants_library(&self, library: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == library)
    }

    pub(crate) fn wants(&self, store: &str) -> bool {
        self.stores.is_empty() || self.stores.iter().any(|name| name == store)
    }
}

fn library(name: String) -> Outcome<String> {
    match &*name {
        OURS | THEIRS | THEIRS_NORMAL => Ok(name),
        other => Err(format!("there is no library {other}").into()),
    }
}
