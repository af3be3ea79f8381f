//! What reading costs: counted allocations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "common/count.rs"]
mod count;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use count::{allocations, requests};
use http::header::HeaderValue;
use http::{Request, Response};
use hyper::service::Service;
use obsession_core::{MemoryStore, Session, SessionManager};
use obsession_hyper::{Cookie, SessionService};

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

/// However many cookies there are, and however long, reading them takes no memory.
#[test]
fn ci_05_reading_cookies_allocates_nothing() {
    let manager = SessionManager::new(MemoryStore::new());
    let service = SessionService::new(Looking, manager, Cookie::default());
    let with = |line: &str| {
        let line = HeaderValue::from_str(line).unwrap();
        allocations(&service, requests(&line, true))
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
        assert_eq!(many, one, "as for one cookie");
    }
}
