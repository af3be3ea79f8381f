//! From an outcome to the headers of a response.

use std::sync::Arc;

use http::Response;
use http::header::{CACHE_CONTROL, Entry, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY};
use obsession_core::{ClientAction, Error, Session};

use crate::body::SessionBody;
use crate::cookie::{self, Cookie};
use crate::finishing::Places;
use crate::head;
use crate::layer::Shared;
use crate::policy::SavePolicy;
use crate::source::CameBy;
use crate::transport::Way;

/// What is meant for some caches alone, and goes before Cache-Control with them (RFC 9213, and what
/// was used before it).
const TARGETED: [HeaderName; 2] = [
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
];
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Tells the client of one request.
pub(crate) struct Teller {
    came_by: CameBy,
    shared: Arc<Shared>,
}

impl Teller {
    pub(crate) fn new(came_by: CameBy, shared: Arc<Shared>) -> Self {
        Self { came_by, shared }
    }

    /// Puts what there is to tell into the inner service's answer.
    pub(crate) fn tell<R>(
        &self,
        response: &mut Response<R>,
        action: &ClientAction,
        session: &Session,
    ) {
        self.act(response, action);
        if session.activity().looked {
            self.vary(response.headers_mut());
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn places(&self) -> &Places {
        &self.shared.places
    }

    pub(crate) fn policy(&self) -> SavePolicy {
        self.shared.save_policy
    }

    /// The answer to a request whose handler gave an error: that one, unless it was the session's
    /// failure, for which there is a better answer.
    pub(crate) fn instead_of<R, E>(
        &self,
        error: E,
        failure: Option<Error>,
        session: &Session,
    ) -> Result<Response<SessionBody<R>>, E> {
        match failure {
            Some(failure) => Ok(self.refuse(self.failed(&failure), session)),
            None => Err(error),
        }
    }

    /// The head of the answer where the session could not be finished.
    pub(crate) fn failed(&self, error: &Error) -> Response<()> {
        (self.shared.on_failure)(error)
    }

    /// The whole of it. The client is told what an earlier save has done all the same: were it not,
    /// it would be left with a token that is dead.
    pub(crate) fn refuse<R>(
        &self,
        head: Response<()>,
        session: &Session,
    ) -> Response<SessionBody<R>> {
        let mut response = head.map(|()| SessionBody::empty());
        self.act(&mut response, &session.acknowledged());
        forbid_storing(response.headers_mut());
        response
    }

    fn act<R>(&self, response: &mut Response<R>, action: &ClientAction) {
        if *action == ClientAction::Keep {
            return;
        }
        let Some(link) = self.came_by.teller(self.shared.transport.links()) else {
            return;
        };
        match &link.way {
            Way::Cookie(cookie) => set_cookie(response.headers_mut(), action, cookie),
            Way::Header(name) => set_header(response.headers_mut(), action, name),
            Way::Custom(custom) => {
                head::of_response(response, |head| custom.tell(action, head));
            }
            Way::Bearer => return,
        }
        let headers = response.headers_mut();
        forbid_storing(headers);
        if self.shared.clear_site_data && *action == ClientAction::Clear {
            let data = HeaderValue::from_static(r#""cache", "storage""#);
            headers.entry(CLEAR_SITE_DATA).or_insert(data);
        }
    }

    /// Adds the request's headers that the answer depends on, and of which it does not yet say so.
    fn vary(&self, headers: &mut HeaderMap) {
        for link in self.came_by.asked(self.shared.transport.links()) {
            let name = link.way.reads();
            let depends = || match name.cloned() {
                Some(name) => HeaderValue::from(name),
                None => HeaderValue::from_static("*"),
            };
            match headers.entry(VARY) {
                Entry::Vacant(nowhere) => _ = nowhere.insert(depends()),
                Entry::Occupied(mut values) => {
                    let name = name.map_or("*", HeaderName::as_str);
                    if !says(values.iter(), &[name, "*"]) {
                        values.append(depends());
                    }
                }
            }
        }
    }
}

/// Sets `cookie` in the place of any other of its name (RFC 6265bis 4.1.1: one a response).
fn set_cookie(headers: &mut HeaderMap, action: &ClientAction, cookie: &Cookie) {
    let line = match action {
        ClientAction::Set { id, max_age } => cookie.set(id, *max_age),
        _ => cookie.clear(),
    };
    let ours = |value: &HeaderValue| cookie::sets(value, cookie.name());
    if headers.get_all(SET_COOKIE).iter().any(ours) {
        let values: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for value in values.into_iter().filter(|value| !ours(value)) {
            headers.append(SET_COOKIE, value);
        }
    }
    headers.append(SET_COOKIE, line);
}

fn set_header(headers: &mut HeaderMap, action: &ClientAction, name: &HeaderName) {
    let id = match action {
        ClientAction::Set { id, .. } => id.expose(),
        _ => "",
    };
    // An id has letters, digits, dots and hyphens only.
    let mut value = HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    headers.insert(name, value);
}

/// The response has a token: no cache may keep it. What the handler said of caching stays if it
/// forbids it as well, and nothing that it said allows it.
fn forbid_storing(headers: &mut HeaderMap) {
    let said = |members: &[&str]| says(headers.get_all(CACHE_CONTROL).iter(), members);
    if !said(&["no-store"]) || said(&["public", "s-maxage"]) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
    for name in TARGETED {
        if headers.contains_key(&name) {
            headers.insert(name, NO_STORE);
        }
    }
}

/// Whether one of `members` is in the lists that the `values` of a header are, with or without an
/// argument.
fn says<'a>(values: impl Iterator<Item = &'a HeaderValue>, members: &[&str]) -> bool {
    let mut items = values.flat_map(|value| list(value.as_bytes()));
    items.any(|item| {
        let end = item.iter().position(|b| *b == b'=').unwrap_or(item.len());
        let item = item[..end].trim_ascii();
        members
            .iter()
            .any(|member| item.eq_ignore_ascii_case(member.as_bytes()))
    })
}

/// The items of a list. A comma in a quoted string is a part of its item (RFC 9110 5.6.1, 5.6.4):
/// `private="x, no-store"` does not forbid to store.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |b| {
        if escaped {
            escaped = false;
        } else if quoted && *b == b'\\' {
            escaped = true;
        } else if *b == b'"' {
            quoted = !quoted;
        }
        *b == b',' && !quoted
    })
}
