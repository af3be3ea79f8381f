//! Heads in the form that an application's own transport takes, with the rest left where it is: a
//! message is large, and taking it apart would move all of it twice.

use std::mem::swap;

use http::{Request, Response, request, response};

/// Shows the head of a request.
pub(crate) fn of_request<B, T>(
    request: &mut Request<B>,
    show: impl FnOnce(&request::Parts) -> T,
) -> T {
    let (mut head, ()) = Request::new(()).into_parts();
    let mut exchange = |head: &mut request::Parts| {
        swap(&mut head.method, request.method_mut());
        swap(&mut head.uri, request.uri_mut());
        swap(&mut head.version, request.version_mut());
        swap(&mut head.headers, request.headers_mut());
        swap(&mut head.extensions, request.extensions_mut());
    };
    exchange(&mut head);
    let shown = show(&head);
    exchange(&mut head);
    shown
}

/// Lets the head of a response be changed.
pub(crate) fn of_response<R>(
    response: &mut Response<R>,
    change: impl FnOnce(&mut response::Parts),
) {
    let (mut head, ()) = Response::new(()).into_parts();
    let mut exchange = |head: &mut response::Parts| {
        swap(&mut head.status, response.status_mut());
        swap(&mut head.version, response.version_mut());
        swap(&mut head.headers, response.headers_mut());
        swap(&mut head.extensions, response.extensions_mut());
    };
    exchange(&mut head);
    change(&mut head);
    exchange(&mut head);
}
