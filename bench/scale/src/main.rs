//! What many sessions cost, on obsession and on its peers: each library on each store in a process of its own.

mod machine;
mod memory;
mod options;
mod postgres;
mod redis_server;
mod run;
mod sled;
mod table;

use std::alloc::System;

use measure::Outcome;
use options::Asked;
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OURS: &str = "obsession";
const THEIRS: &str = "tower-sessions";

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    machine: machine::Machine,
    rows: Vec<measure::Row>,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let options = match options::read(std::env::args().skip(1))? {
        Asked::Help => {
            print!("{}", options::HELP);
            return Ok(());
        }
        Asked::One {
            store,
            library,
            plan,
        } => return run::here(&store, &library, plan).await,
        Asked::All(options) => options,
    };
    let mut report = Report {
        machine: machine::Machine::here(),
        rows: Vec::new(),
    };
    for sessions in &options.sessions {
        for store in options.stores() {
            for library in [OURS, THEIRS] {
                let plan = options.plan(store, *sessions);
                if let Some(row) = run::apart(store, library, plan)? {
                    report.rows.push(row);
                }
                // After each, so that a long run that is cut short has not been for nothing.
                if let Some(file) = &options.json {
                    report.machine.load_after = machine::load();
                    std::fs::write(file, serde_json::to_string_pretty(&report)?)?;
                }
            }
        }
    }
    table::print(&report.rows);
    Ok(())
}
