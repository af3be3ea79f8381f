//! From an outcome to the headers of a response.

use http::Response;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, SET_COOKIE, VARY};
use obsession_core::{ClientAction, Session};

use crate::body::SessionBody;
use crate::layer::Shared;

/// The inner service's answer, with what the client is to be told.
pub(crate) fn tell<R>(
    mut response: Response<R>,
    action: ClientAction,
    session: &Session,
    shared: &Shared,
) -> Response<SessionBody<R>> {
    set_cookie(response.headers_mut(), action, shared);
    if session.activity().looked && !varies_by_cookie(response.headers()) {
        response
            .headers_mut()
            .append(VARY, HeaderValue::from_static("cookie"));
    }
    response.map(SessionBody::new)
}

/// The answer where the session could not be finished. The client is told what an earlier save has
/// done all the same: were it not, it would be left with a token that is dead.
pub(crate) fn refuse<R>(
    head: Response<()>,
    session: &Session,
    shared: &Shared,
) -> Response<SessionBody<R>> {
    let mut response = head.map(|()| SessionBody::empty());
    set_cookie(response.headers_mut(), session.acknowledged(), shared);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn set_cookie(headers: &mut HeaderMap, action: ClientAction, shared: &Shared) {
    let cookie = match action {
        ClientAction::Keep => return,
        ClientAction::Set { id, max_age } => shared.cookie.set(&id, max_age),
        ClientAction::Clear => shared.cookie.clear(),
    };
    replace_cookie(headers, shared.cookie.name(), cookie);
    if !has_directive(headers, "no-store") {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Adds `cookie` in the place of any other of its name (RFC 6265bis 4.1.1: one a response).
fn replace_cookie(headers: &mut HeaderMap, name: &str, cookie: HeaderValue) {
    let ours = |value: &HeaderValue| crate::cookie::sets(value, name);
    if headers.get_all(SET_COOKIE).iter().any(ours) {
        let values: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for value in values.into_iter().filter(|value| !ours(value)) {
            headers.append(SET_COOKIE, value);
        }
    }
    headers.append(SET_COOKIE, cookie);
}

fn has_directive(headers: &HeaderMap, directive: &str) -> bool {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .any(|value| lists(value, directive))
        && !headers
            .get_all(CACHE_CONTROL)
            .iter()
            .any(|value| lists(value, "public"))
}

fn varies_by_cookie(headers: &HeaderMap) -> bool {
    headers
        .get_all(VARY)
        .iter()
        .any(|value| lists(value, "cookie") || lists(value, "*"))
}

fn lists(value: &HeaderValue, member: &str) -> bool {
    value
        .as_bytes()
        .split(|b| *b == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
}
