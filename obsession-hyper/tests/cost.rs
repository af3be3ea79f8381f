//! What a request costs that does not look at its session: counted allocations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::alloc::System;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use http::header::{COOKIE, HeaderValue};
use http::{Request, Response};
use hyper::service::Service;
use obsession_core::{MemoryStore, Session, SessionManager};
use obsession_hyper::{Cookie, SessionService};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 100;

#[derive(Debug)]
struct Untouched;

impl Service<Request<()>> for Untouched {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn call(&self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

/// A request as a server makes it: its header values share one buffer.
fn requests(extended: bool) -> Vec<Request<()>> {
    let line = "a=b; __Host-id=AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBBB.; c=d";
    let mut requests = Vec::new();
    for _ in 0..REQUESTS {
        let mut request = Request::new(());
        let line = HeaderValue::from_static(line);
        request.headers_mut().insert(COOKIE, line);
        if extended {
            request.extensions_mut().insert("a connection's address");
        }
        requests.push(request);
    }
    requests
}

/// The allocations of one request through `service`.
fn allocations<S>(service: &S, requests: Vec<Request<()>>) -> f64
where
    S: Service<Request<()>, Error = Infallible>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let region = Region::new(ALLOCATOR);
        for request in requests {
            drop(service.call(request).await);
        }
        let change = region.change();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let each = (change.allocations + change.reallocations) as f64 / REQUESTS as f64;
        each
    })
}

/// Looks at the session of each request.
#[derive(Debug)]
struct Looking;

impl Service<Request<()>> for Looking {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn call(&self, request: Request<()>) -> Self::Future {
        let session = request.extensions().get::<Session>().unwrap();
        // Without an id there is nobody to wait for.
        let look = pin!(session.is_empty());
        let looked = look.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(looked, Poll::Ready(Ok(true))));
        ready(Ok(Response::new(())))
    }
}

/// Counts are of the whole process, so one test counts at a time.
static COUNTING: Mutex<()> = Mutex::new(());

/// However many cookies there are, and however long, reading them takes no memory.
#[test]
fn reading_cookies_allocates_nothing() {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let manager = SessionManager::new(MemoryStore::new());
    let service = SessionService::new(Looking, manager, Cookie::default());
    let with = |line: &str| {
        let line = HeaderValue::from_str(line).unwrap();
        let mut requests = requests(true);
        for request in &mut requests {
            request.headers_mut().insert(COOKIE, line.clone());
        }
        allocations(&service, requests)
    };
    let one = with("a=b");
    let (copy, bad) = ("__Host-id=x;".repeat(1000), "__Host-id=y;".repeat(100));
    for line in [
        "a=;".repeat(1000),
        "a=;".repeat(10_000),
        "a".repeat(60_000),
        "a=b; ".repeat(80_000),
        copy.clone(),
        copy + &bad,
    ] {
        let many = with(&line);
        assert!(
            (many - one).abs() < 0.01,
            "{many}, and {one} for one cookie"
        );
    }
}

/// The session is one allocation and its place in the extensions another. A request without
/// extensions gets its map first, which is two more of the `http` crate's, whatever is put in.
#[test]
fn an_untouched_request_allocates_twice() {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let store = MemoryStore::new();
    let service = SessionService::new(Untouched, SessionManager::new(store), Cookie::default());
    let bare = allocations(&Untouched, requests(true));
    let with_sessions = allocations(&service, requests(true));
    assert!(
        with_sessions - bare <= 2.0,
        "{with_sessions} and {bare} without"
    );

    // The map alone: one box for it and one for its table, and nothing for a value of no size.
    let region = Region::new(ALLOCATOR);
    Request::new(()).extensions_mut().insert(());
    assert_eq!(region.change().allocations, 2);
    let with_sessions = allocations(&service, requests(false));
    assert!(with_sessions <= 4.0, "{with_sessions} into new extensions");
}
