//! Deliberately broken stores and wrappers of stores, each with one bug that real stores have had. The suite must catch each
//! of them, by the case that is there for it, and each of its cases must catch one.
//!
//! `cargo test -p obsession-core --test mutants [part of a name]` prints which case caught which.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../wrappers/around.rs"]
mod around;
mod bug;
mod bytes;
#[path = "../wrappers/cache.rs"]
mod cache;
mod caches;
mod cleanups;
mod creates;
mod durability;
mod ends;
mod entries;
#[path = "../wrappers/forged.rs"]
mod forged;
mod lists;
#[path = "../wrappers/migrating.rs"]
mod migrating;
#[path = "../wrappers/moves.rs"]
mod moves;
mod pushes;
mod races;
#[path = "../wrappers/sealed.rs"]
mod sealed;
mod servers;
mod sound;
mod touches;
mod unflushed;
mod updates;
mod walks;
mod wrapping;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bug::{Entry, NoBug};
use obsession_core::conformance::Report;

fn mutants() -> Vec<Entry> {
    [
        creates::all(),
        updates::all(),
        bytes::all(),
        touches::all(),
        ends::all(),
        cleanups::all(),
        lists::all(),
        entries::all(),
        walks::all(),
        races::all(),
        durability::all(),
        servers::all(),
        caches::all(),
        pushes::all(),
        wrapping::caches(),
        wrapping::seals(),
        wrapping::migrations(),
    ]
    .concat()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let is_wanted = |entry: &Entry| wanted.is_none_or(|part| entry.name.contains(part.as_str()));
    let chosen: Vec<_> = mutants().into_iter().filter(is_wanted).collect();
    // Cases fail here by the thousand, and that is what they are to do.
    std::panic::set_hook(Box::new(|_| {}));

    let start = Instant::now();
    let mut faults = Vec::new();
    let sound = Entry::of::<NoBug>().run();
    for failure in sound.failures() {
        faults.push(format!("the sound store fails {}", failure.case));
    }
    faults.extend(unknown_cases(&chosen, &sound));
    let failed = run(&chosen);
    print!("{}", table(&chosen, &failed, &mut faults));
    if wanted.is_none() {
        faults.extend(toothless(&sound, &failed));
    }
    println!(
        "\n{} mutants, {} cases, {:.1} s",
        chosen.len(),
        sound.outcomes.len(),
        start.elapsed().as_secs_f64()
    );
    if faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nmutants FAILED\n{}", faults.join("\n"));
    ExitCode::FAILURE
}

/// The cases that caught a mutant.
type Failed = BTreeSet<&'static str>;

/// Runs the suite on each, a few at a time: the cases that drop calls mostly wait.
fn run(mutants: &[Entry]) -> Vec<Failed> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(BTreeMap::new());
    let workers = 4 * std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutant) = mutants.get(n) else { break };
                    let failed = mutant.failed();
                    all.lock().unwrap().insert(n, failed);
                }
            });
        }
    });
    let mut all: Vec<_> = all.into_inner().unwrap().into_values().collect();
    for (mutant, failed) in mutants.iter().zip(&mut all) {
        again(mutant, failed);
    }
    all
}

/// Some bugs are a race of two threads, which may not meet while other programs have the processors:
/// what was not caught is run again by itself, a few times. A case without teeth never bites.
fn again(mutant: &Entry, failed: &mut Failed) {
    for run in 2..=4 {
        if failed.contains(mutant.caught_by) {
            return;
        }
        println!("{}: run {run}", mutant.name);
        failed.extend(mutant.failed());
    }
}

/// Which case caught which mutant; what was not caught as it should be goes to `faults`.
fn table(mutants: &[Entry], failed: &[Failed], faults: &mut Vec<String>) -> String {
    let mut text = format!("{:34}  {:66}  others\n", "mutant", "caught by");
    for (mutant, cases) in mutants.iter().zip(failed) {
        let caught = cases.contains(mutant.caught_by);
        let by = if caught { mutant.caught_by } else { "-" };
        let others = cases.len() - usize::from(caught);
        let _ = writeln!(text, "{:34}  {by:66}  {others:6}", mutant.name);
        if !caught {
            let instead = if cases.is_empty() {
                "survives".to_owned()
            } else {
                format!("is caught by {cases:?} alone")
            };
            faults.push(format!(
                "{} {instead}, not by {}",
                mutant.name, mutant.caught_by
            ));
        }
    }
    text
}

/// The names that the mutants have for cases are of cases.
fn unknown_cases(mutants: &[Entry], sound: &Report) -> Vec<String> {
    let known: BTreeSet<_> = sound.outcomes.iter().map(|outcome| outcome.case).collect();
    let unknown = mutants
        .iter()
        .filter(|mutant| mutant.is_of_the_suite() && !known.contains(mutant.caught_by));
    unknown
        .map(|mutant| format!("there is no case {}", mutant.caught_by))
        .collect()
}

/// A case that no mutant fails shows nothing.
fn toothless(sound: &Report, failed: &[Failed]) -> Vec<String> {
    let biting: BTreeSet<_> = failed.iter().flatten().collect();
    let all = sound.outcomes.iter();
    let toothless = all.filter(|outcome| !biting.contains(&outcome.case));
    toothless
        .map(|outcome| format!("no mutant fails {}", outcome.case))
        .collect()
}
