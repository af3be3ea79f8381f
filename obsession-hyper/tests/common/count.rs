//! Counted allocations, which are those of the whole process: one test a file.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::alloc::System;
use std::convert::Infallible;

use http::Request;
use http::header::{COOKIE, HeaderValue};
use hyper::service::Service;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 100;

/// A request as a server makes it: its header values share one buffer.
pub(crate) fn requests(line: &HeaderValue, extended: bool) -> Vec<Request<()>> {
    let mut requests = Vec::new();
    for _ in 0..REQUESTS {
        let mut request = Request::new(());
        request.headers_mut().insert(COOKIE, line.clone());
        if extended {
            request.extensions_mut().insert("a connection's address");
        }
        requests.push(request);
    }
    requests
}

/// The allocations of one request through `service`: of most of them, since the harness may allocate
/// beside one or the other.
pub(crate) fn allocations<S>(service: &S, requests: Vec<Request<()>>) -> usize
where
    S: Service<Request<()>, Error = Infallible>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut counts = [0; REQUESTS];
    runtime.block_on(async {
        for (count, request) in counts.iter_mut().zip(requests) {
            let region = Region::new(ALLOCATOR);
            drop(service.call(request).await);
            let change = region.change();
            *count = change.allocations + change.reallocations;
        }
    });
    counts.sort_unstable();
    counts[REQUESTS / 2]
}

/// The allocations of `make`, the least of a few times.
pub(crate) fn least<T>(make: impl Fn() -> T) -> usize {
    let counts = (0..20).map(|_| {
        let region = Region::new(ALLOCATOR);
        drop(make());
        region.change().allocations
    });
    counts.min().unwrap()
}
