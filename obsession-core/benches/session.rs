//! What a request costs in process, on the memory store: `cargo bench -p obsession-core`.
//!
//! Sessions of 10 keys and about 256 bytes. Each line is a whole request: a handle is opened, used
//! and finished. Allocations are counted first, then criterion measures the time.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking, and its macro makes an undocumented function"
)]

use std::alloc::System;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use obsession_core::{ClientAction, MemoryStore, SessionId, SessionManager};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNTED: usize = 1000;

struct Site {
    runtime: Runtime,
    manager: SessionManager,
    id: SessionId,
}

impl Site {
    fn new() -> Self {
        // `new` makes a session an iteration, so nothing may be refused.
        let store = MemoryStore::builder().capacity(usize::MAX).build();
        let manager = SessionManager::new(store);
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let id = runtime.block_on(async {
            let session = manager.open(None);
            for n in 0..9 {
                session
                    .insert(&format!("key-{n}"), "0123456789abcdef")
                    .unwrap();
            }
            session.insert("visits", &1000).unwrap();
            session.save().await.unwrap();
            session.id().await.unwrap().unwrap()
        });
        Self {
            runtime,
            manager,
            id,
        }
    }

    /// One request, and the token that the client has after it.
    async fn request(&self, work: Work, id: SessionId) -> SessionId {
        let session = self.manager.open((work != Work::New).then(|| id.clone()));
        match work {
            Work::Open => {}
            Work::ReadOneKey => {
                black_box(session.get::<u64>("visits").await.unwrap());
            }
            Work::ReadAndWrite => {
                session
                    .update("visits", |n: &mut u64| *n += 1)
                    .await
                    .unwrap();
            }
            Work::New => session.insert("visits", &1).unwrap(),
            Work::Cycle => {
                black_box(session.get::<u64>("visits").await.unwrap());
                session.cycle().unwrap();
            }
        }
        match session.finish(true).await.unwrap() {
            ClientAction::Set { id, .. } if work == Work::Cycle => id,
            _ => id,
        }
    }

    /// Allocations of one request.
    fn allocations(&self, work: Work) -> usize {
        self.runtime.block_on(async {
            let mut id = self.request(work, self.id.clone()).await;
            let region = Region::new(ALLOCATOR);
            for _ in 0..COUNTED {
                id = self.request(work, id).await;
            }
            let change = region.change();
            (change.allocations + change.reallocations + COUNTED / 2) / COUNTED
        })
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Work {
    Open,
    ReadOneKey,
    ReadAndWrite,
    New,
    Cycle,
}

const WORKS: [(&str, Work); 5] = [
    ("open", Work::Open),
    ("read one key", Work::ReadOneKey),
    ("read and write", Work::ReadAndWrite),
    ("new", Work::New),
    ("cycle", Work::Cycle),
];

fn bench(criterion: &mut Criterion) {
    for (name, work) in WORKS {
        println!("{name}: {} allocations", Site::new().allocations(work));
    }
    for (name, work) in WORKS {
        let site = Site::new();
        let mut id = site.id.clone();
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                site.runtime.block_on(async {
                    let start = std::time::Instant::now();
                    for _ in 0..iterations {
                        id = site.request(work, id.clone()).await;
                    }
                    start.elapsed()
                })
            });
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
