//! Requests that another site made a browser send.

use http::header::{HOST, HeaderName, ORIGIN, UPGRADE};
use http::{HeaderMap, Method, Request};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Tells requests of a site's own pages from those that others made its visitors' browsers send.
///
/// | the request | verdict |
/// |---|---|
/// | GET, HEAD, OPTIONS or TRACE, but for a WebSocket: it must change nothing | [`Pass`](Verdict::Pass) |
/// | its `Origin` is one that is trusted | `Pass` |
/// | `Sec-Fetch-Site: same-origin` or `none` | `Pass` |
/// | `Sec-Fetch-Site` says anything else, or twice | [`Refuse`](Verdict::Refuse) |
/// | its `Origin` has the host that it was sent to | `Pass` |
/// | its `Origin` is another one, `null` or there twice | `Refuse` |
/// | neither header | [`AskToken`](Verdict::AskToken) |
///
/// A WebSocket begins with a GET that has `Upgrade: websocket`, comes with the cookie from whatever page, and
/// has neither preflight nor rule of origins (RFC 6455 10.2), so it is looked at like a POST.
///
/// Every browser since 2020 sends `Origin` with a POST, and since 2023 `Sec-Fetch-Site` over https.
/// What is left are programs, which nobody tricks into sending a cookie, and older browsers: for a
/// form of these, compare what [`Session::form_token`](obsession_core::Session::form_token) put into it.
/// `SameSite` on the cookie is no substitute: it lets other hosts of the same site through.
///
/// ```
/// use http::Request;
/// use obsession_hyper::{CsrfGuard, Verdict};
///
/// let guard = CsrfGuard::new().trust("https://shop.example");
/// let request = |origin| {
///     Request::post("/sign-out").header("host", "example.org").header("origin", origin).body(())
/// };
/// assert_eq!(guard.check(&request("https://example.org")?), Verdict::Pass);
/// assert_eq!(guard.check(&request("https://shop.example")?), Verdict::Pass);
/// assert_eq!(guard.check(&request("https://evil.example")?), Verdict::Refuse);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CsrfGuard {
    trusted: Vec<String>,
}

/// What to do with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Verdict {
    /// It is of the site itself, or changes nothing.
    Pass,
    /// Nobody can say where it comes from: if it comes with a session, ask for the form's token.
    AskToken,
    /// Another site made the browser send it: 403.
    Refuse,
}

impl CsrfGuard {
    /// A guard that trusts the site's own pages alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the pages of `origin` as well, written as browsers do: `https://shop.example`, with a
    /// port where it is not the scheme's own.
    #[must_use]
    pub fn trust(mut self, origin: impl Into<String>) -> Self {
        self.trusted.push(origin.into());
        self
    }

    /// Looks at a request's method and headers. No I/O.
    pub fn check<B>(&self, request: &Request<B>) -> Verdict {
        let headers = request.headers();
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
        if safe.contains(request.method()) && !asks_for_websocket(headers) {
            return Verdict::Pass;
        }
        let (Ok(origin), Ok(site)) = (one(headers, &ORIGIN), one(headers, &SEC_FETCH_SITE)) else {
            return Verdict::Refuse;
        };
        if origin.is_some_and(|origin| self.trusted.iter().any(|t| t.as_bytes() == origin)) {
            return Verdict::Pass;
        }
        let own = match (site, origin) {
            (Some(site), _) => site == b"same-origin" || site == b"none",
            (None, Some(origin)) => is_of_host(origin, request),
            (None, None) => return Verdict::AskToken,
        };
        if own { Verdict::Pass } else { Verdict::Refuse }
    }
}

/// A list of protocols, whose names have no case (RFC 9110 7.8).
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(UPGRADE).iter();
    let mut protocols = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// The value of a header that may be there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(()),
        None => Ok(first.map(http::HeaderValue::as_bytes)),
    }
}

/// Whether `origin` is of the host that the request was sent to. The scheme is not compared: behind a
/// proxy that ends TLS it is not known.
fn is_of_host<B>(origin: &[u8], request: &Request<B>) -> bool {
    let Some(scheme) = origin.windows(3).position(|part| part == b"://") else {
        return false;
    };
    let asked = request
        .uri()
        .authority()
        .map(|host| host.as_str().as_bytes());
    let named = || one(request.headers(), &HOST).ok().flatten();
    asked
        .or_else(named)
        .is_some_and(|host| host.eq_ignore_ascii_case(&origin[scheme + 3..]))
}
