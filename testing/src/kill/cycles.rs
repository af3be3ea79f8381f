//! Kills while it writes.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::ledger::{Found, Ledger, SURVIVORS};
use super::{Outcome, Victim};
use crate::{Child, Random};

/// How many kills a database lives through before a new one is begun.
const CYCLES_EACH: u64 = 50;
/// How often all of its sessions are looked at instead of those that were just written.
const CHECK_ALL: u64 = 10;

/// How often, by which chances, and whether of a store that acknowledges too early.
#[derive(Clone, Copy, Debug)]
pub struct Kills {
    /// How many kills.
    pub cycles: u64,
    /// What repeats the chances of a run, though not the kernel's.
    pub seed: u64,
    /// Whether the child's store is to acknowledge before anything is on disk.
    pub control: bool,
}

#[derive(Default)]
struct Totals {
    acknowledged: u64,
    found: Found,
    unopenable: u64,
}

/// Has a child, this program with the argument `writer`, write until it is killed, again and again.
///
/// Says how many kills left everything as it should be, and how many did not.
///
/// # Errors
///
/// A child could not be started, or it said what it never should.
pub async fn kill_while_it_writes<V: Victim>(options: &Kills) -> Outcome<(u64, u64)> {
    let mut random = Random::new(options.seed);
    let mut totals = Totals::default();
    let (mut passed, mut failed) = (0, 0);
    let start = Instant::now();
    let mut done = 0;
    while done < options.cycles {
        let folder = tempfile::tempdir()?;
        let mut ledger = Ledger::default();
        for n in 1..=CYCLES_EACH.min(options.cycles - done) {
            done += 1;
            fs::write(folder.path().join(SURVIVORS), ledger.survivors(24))?;
            let mode = if options.control { "early" } else { "flush" };
            let arguments = [random.next().to_string(), mode.to_owned()];
            let child = Child::start("writer", folder.path(), &arguments)?;
            if child.line().as_deref() != Some("ready") {
                eprintln!("cycle {done}: the child could not open");
                totals.unopenable += 1;
                failed += 1;
                break;
            }
            thread::sleep(random.between(Duration::from_millis(5), Duration::from_millis(250)));
            for line in child.kill()? {
                totals.acknowledged += u64::from(ledger.note(&line)?);
            }
            let store = match V::open(&folder.path().join("store"), false).await {
                Ok(store) => store,
                Err(error) => {
                    eprintln!("cycle {done}: {error}: {:?}", error.source());
                    totals.unopenable += 1;
                    failed += 1;
                    break;
                }
            };
            let all = n % CHECK_ALL == 0 || done == options.cycles;
            let found = ledger.check(&store, all).await?;
            V::close(store).await?;
            if found.violations() == 0 {
                passed += 1;
            } else {
                failed += 1;
            }
            totals.add(&found);
            if done % 10 == 0 {
                let time = start.elapsed().as_secs();
                eprintln!("{done} cycles in {time} s: {}", totals.line());
            }
        }
    }
    println!("cycles: {done}, {}", totals.line());
    Ok((passed, failed))
}

impl Totals {
    fn add(&mut self, found: &Found) {
        self.found.checked += found.checked;
        self.found.lost += found.lost;
        self.found.wrong_tokens += found.wrong_tokens;
        self.found.mismatches += found.mismatches;
    }

    fn line(&self) -> String {
        format!(
            "acks: {}, sessions checked: {}, lost: {}, tokens wrong: {}, index mismatches: {}, \
             open failures: {}",
            self.acknowledged,
            self.found.checked,
            self.found.lost,
            self.found.wrong_tokens,
            self.found.mismatches,
            self.unopenable,
        )
    }
}
