//! What a request costs that does not look at its session: counted allocations.

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

use count::{allocations, least, requests};
use http::header::HeaderValue;
use http::{Request, Response};
use hyper::service::Service;
use obsession_core::{MemoryStore, SessionManager};
use obsession_hyper::{Cookie, SessionService};

const LINE: HeaderValue =
    HeaderValue::from_static("a=b; __Host-id=AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBBB.; c=d");

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

/// The session is one allocation and its place in the extensions another. A request without
/// extensions gets its map first, which is two more of the `http` crate's, whatever is put in.
#[test]
fn an_untouched_request_allocates_twice() {
    let store = MemoryStore::new();
    let service = SessionService::new(Untouched, SessionManager::new(store), Cookie::default());
    let bare = allocations(&Untouched, requests(&LINE, true));
    let with_sessions = allocations(&service, requests(&LINE, true));
    assert!(
        with_sessions <= bare + 2,
        "{with_sessions} and {bare} without"
    );

    // The map alone: one box for it and one for its table, and nothing for a value of no size.
    let map = least(|| {
        let mut request = Request::new(());
        request.extensions_mut().insert(());
        request
    });
    assert_eq!(map, 2);
    let with_sessions = allocations(&service, requests(&LINE, false));
    assert!(with_sessions <= 4, "{with_sessions} into new extensions");
}
