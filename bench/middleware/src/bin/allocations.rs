//! Counts allocations: a program of its own, since counting them takes time.
//!
//! It prints a line for each workload and library: the median of many requests.

use std::alloc::System;

use middleware::libraries::Library;
use middleware::measure::allocations;
use middleware::request::WORKLOADS;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use work::{Outcome, Size};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn meter() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    for size in [Size::Small, Size::Large] {
        for workload in WORKLOADS {
            for library in Library::ALL {
                let count = allocations(library, size, workload, meter).await?;
                println!("{size:?}\t{}\t{}\t{count}", workload.name, library.name());
            }
        }
    }
    Ok(())
}
