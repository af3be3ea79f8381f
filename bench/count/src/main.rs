//! What a request costs on the memory store, counted: allocations, calls of the store, and instructions
//! where there is valgrind, each without those of the same service without sessions. Compared with `expected.txt`, so that a regression fails without a clock.
//!
//! `cargo run --release -p count`, and with `--write` the file is written anew.

mod site;
mod table;

use std::alloc::System;
use std::process::{Command, ExitCode};

use site::{Site, Size, Work};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use table::{Row, Table};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How many requests are counted, after as many that are not.
const REQUESTS: usize = 500;

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => count(false),
        ["--write"] => count(true),
        ["--run", work, size, requests, service] => {
            let site = Site::new(size.parse()?)?;
            site.requests(work.parse()?, requests.parse()?, service == "bare")?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("cargo run --release -p count [-- --write]".into()),
    }
}

fn count(write: bool) -> Outcome<ExitCode> {
    let valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    if !valgrind {
        println!("valgrind is not there: instructions are not counted");
    }
    let mut table = Table::default();
    for size in Size::ALL {
        for work in Work::ALL {
            eprintln!("{work}, {size}");
            let (allocations, calls) = in_process(work, size)?;
            let instructions = valgrind.then(|| instructions(work, size)).transpose()?;
            table.add(Row {
                work,
                size,
                allocations,
                calls,
                instructions,
            });
        }
    }
    table.print();
    if write {
        table.write()?;
        return Ok(ExitCode::SUCCESS);
    }
    let faults = table.compare()?;
    for fault in &faults {
        println!("{fault}");
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Allocations and calls of the store of one request: of all together, so that what is done once in a
/// while counts as well.
fn in_process(work: Work, size: Size) -> Outcome<(f64, f64)> {
    let each = |n: usize| (n as f64 / REQUESTS as f64 * 10.0).round() / 10.0;
    let allocations = |bare| {
        let site = Site::new(size)?;
        site.requests(work, REQUESTS, bare)?;
        let region = Region::new(ALLOCATOR);
        site.requests(work, REQUESTS, bare)?;
        let change = region.change();
        Outcome::Ok(change.allocations + change.reallocations)
    };
    let allocations = allocations(false)?.saturating_sub(allocations(true)?);
    let (site, calls) = Site::counting(size)?;
    site.requests(work, REQUESTS, false)?;
    Ok((each(allocations), each(calls.made())))
}

/// Instructions of one request, without those of the same service without sessions: of many more
/// requests than of some, so that the start does not count.
fn instructions(work: Work, size: Size) -> Outcome<u64> {
    let each = |service| {
        let few = collected(work, size, REQUESTS, service)?;
        let many = collected(work, size, 3 * REQUESTS, service)?;
        Outcome::Ok((many - few) / (2 * REQUESTS as u64))
    };
    Ok(each("ours")?.saturating_sub(each("bare")?))
}

fn collected(work: Work, size: Size, requests: usize, service: &str) -> Outcome<u64> {
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([
            "--run",
            &work.to_string(),
            &size.to_string(),
            &requests.to_string(),
            service,
        ])
        .output()?;
    let said = String::from_utf8(ran.stderr)?;
    if !ran.status.success() {
        return Err(said.into());
    }
    let line = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = line.ok_or("valgrind counted nothing")?;
    Ok(count.trim().parse()?)
}
