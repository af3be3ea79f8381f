//! How a session's id comes with a request and goes with a response.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderName};
use http::{request, response};
use obsession_core::{ClientAction, Presented};

use crate::cookie::Cookie;

/// How ids travel: a cookie, an `Authorization: Bearer` line, a header of any other name, a way of
/// the application's own, or several of these in turn.
///
/// A [`Cookie`] is one by itself, wherever a transport is asked for. Of a chain the first that is
/// presented something decides, be it an id or not: a client that shows a bad bearer token is not
/// taken for who its cookie says. What there is to tell goes the way the id came, and to a client
/// that presented nothing by the first way that can tell. A way that is read only tells nothing, so
/// an id that came by it never becomes a cookie; the application hands out new ones itself, from
/// [`Session::id`](obsession_core::Session::id), and once saved they are good.
///
/// ```
/// use http::HeaderName;
/// use obsession_hyper::{Cookie, Transport};
///
/// // Programs present a token, browsers a cookie.
/// let both = Transport::bearer().or(Cookie::default());
///
/// // Clients without cookies that take the id from a header and give it back in the same.
/// let header = Transport::header(HeaderName::from_static("x-session"))?;
///
/// // A name that is given up: it is read while it lives, and nobody gets it any more.
/// let old = Transport::from(Cookie::builder("sid").build()?).read_only();
/// let renamed = Transport::from(Cookie::default()).or(old);
/// # let _ = (both, header, renamed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transport {
    /// One at least.
    links: Vec<Link>,
}

/// One of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) way: Way,
    pub(crate) tells: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Way {
    Cookie(Cookie),
    Bearer,
    Header(HeaderName),
    Custom(Arc<dyn IdTransport>),
}

impl Transport {
    /// `Authorization: Bearer <id>` (RFC 6750 2.1). It is read only, since no response has such a
    /// line. Other schemes are none of its business; two different tokens are none.
    #[must_use]
    pub fn bearer() -> Self {
        Self::one(Way::Bearer, false)
    }

    /// A header of this name, whose whole value is the id, in requests and responses alike; an empty
    /// one in a response means that the client is to forget its id. How long to keep one is not
    /// said.
    ///
    /// # Errors
    ///
    /// [`ReservedHeader`] if the name has a meaning in HTTP that this would break.
    pub fn header(name: HeaderName) -> Result<Self, ReservedHeader> {
        if is_reserved(&name) {
            return Err(ReservedHeader);
        }
        Ok(Self::one(Way::Header(name), true))
    }

    /// A way of the application's own.
    pub fn custom(transport: impl IdTransport) -> Self {
        Self::one(Way::Custom(Arc::new(transport)), true)
    }

    /// This, and `next` where nothing was presented by it.
    #[must_use]
    pub fn or(mut self, next: impl Into<Self>) -> Self {
        self.links.extend(next.into().links);
        self
    }

    /// The same, but it tells the client nothing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        for link in &mut self.links {
            link.tells = false;
        }
        self
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// How long a client keeps what it is told: the first cookie that is sent says.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        self.links.iter().find_map(|link| match &link.way {
            Way::Cookie(cookie) if link.tells => cookie.max_age(),
            _ => None,
        })
    }

    fn one(way: Way, tells: bool) -> Self {
        Self {
            links: vec![Link { way, tells }],
        }
    }
}

impl From<Cookie> for Transport {
    fn from(cookie: Cookie) -> Self {
        Self::one(Way::Cookie(cookie), true)
    }
}

impl Default for Transport {
    fn default() -> Self {
        Cookie::default().into()
    }
}

impl Way {
    /// The header of requests that it reads; nothing where that is not known.
    pub(crate) fn reads(&self) -> Option<&HeaderName> {
        match self {
            Self::Cookie(_) => Some(&header::COOKIE),
            Self::Bearer => Some(&header::AUTHORIZATION),
            Self::Header(name) => Some(name),
            Self::Custom(_) => None,
        }
    }
}

/// A way for ids of the application's own, given to [`Transport::custom`].
///
/// It reads the head of every request, also where nobody looks at the session then, so it should do
/// no more than find the id: no I/O, no log line with what it found. A response that looked at such a
/// session says `Vary: *`, since it is not known what of the request was read.
///
/// ```
/// use http::{HeaderValue, request, response};
/// use obsession_core::{ClientAction, Presented, SessionId};
/// use obsession_hyper::{IdTransport, Transport};
///
/// /// `X-Device: <model>/<id>`.
/// #[derive(Debug)]
/// struct Device;
///
/// impl IdTransport for Device {
///     fn extract(&self, head: &request::Parts) -> Presented {
///         let Some(line) = head.headers.get("x-device") else {
///             return Presented::Nothing;
///         };
///         let id = line.as_bytes().rsplit(|b| *b == b'/').next();
///         match id.map(SessionId::parse) {
///             Some(Ok(id)) => Presented::Id(id),
///             _ => Presented::Malformed,
///         }
///     }
///
///     fn tell(&self, action: &ClientAction, head: &mut response::Parts) {
///         let id = match action {
///             ClientAction::Set { id, .. } => id.expose(),
///             _ => "",
///         };
///         if let Ok(mut value) = HeaderValue::from_str(id) {
///             value.set_sensitive(true);
///             head.headers.insert("x-device", value);
///         }
///     }
/// }
///
/// let transport = Transport::custom(Device);
/// # let _ = transport;
/// ```
pub trait IdTransport: fmt::Debug + Send + Sync + 'static {
    /// What the head of a request presents.
    fn extract(&self, head: &request::Parts) -> Presented;

    /// Says in the head of a response what the client is to do: to use an id or to forget its own.
    /// It is not asked where there is nothing to say.
    fn tell(&self, action: &ClientAction, head: &mut response::Parts);
}

/// A header that HTTP gives a meaning of its own, which no session's id can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReservedHeader;

impl fmt::Display for ReservedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header has a meaning of its own, so it can not carry session ids")
    }
}

impl std::error::Error for ReservedHeader {}

fn is_reserved(name: &HeaderName) -> bool {
    const CONNECTION: [&str; 2] = ["keep-alive", "proxy-connection"];
    let reserved = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::DATE,
        header::EXPECT,
        header::HOST,
        header::LOCATION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VARY,
        header::WWW_AUTHENTICATE,
    ];
    reserved.contains(name) || CONNECTION.contains(&name.as_str())
}
