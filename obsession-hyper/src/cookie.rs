//! The cookie that carries a token: built and checked once, written many times.
//!
//! The rules are those of RFC 6265bis (draft-ietf-httpbis-rfc6265bis-22): section 4.1 for what a
//! server may send, section 5 for what a browser ignores. The prefixes `__Http-` and `__Host-Http-`
//! are of its successor (draft-ietf-httpbis-layered-cookies), `Partitioned` is of CHIPS.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use obsession_core::SessionId;

/// Longer than this, and browsers cut it (RFC 6265bis 5.5): 400 days.
const MAX_AGE_LIMIT: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// Of a name and its value together; browsers ignore a longer cookie (RFC 6265bis 5.6).
const MAX_PAIR: usize = 4096;
/// Of an attribute's value; browsers ignore a longer attribute (RFC 6265bis 5.6).
const MAX_ATTRIBUTE: usize = 1024;

/// The name and attributes of a session's cookie.
///
/// [`Cookie::default`] is `__Host-id; Path=/; Secure; HttpOnly; SameSite=Lax`, forgotten when the
/// browser is closed: a cookie that no other host can set or overwrite (OWASP ASVS 5.0 3.3.1 to
/// 3.3.4).
///
/// ```
/// use std::time::Duration;
/// use obsession_hyper::{Cookie, CookieError, SameSite};
///
/// let cookie = Cookie::builder("__Secure-shop")
///     .domain("example.org")
///     .same_site(SameSite::Strict)
///     .max_age(Duration::from_secs(30 * 24 * 60 * 60))
///     .build()?;
/// assert_eq!(cookie.name(), "__Secure-shop");
///
/// // What a browser would silently ignore is an error here.
/// let refused = Cookie::builder("__Host-shop").domain("example.org").build();
/// assert_eq!(refused.unwrap_err(), CookieError::HostPrefix);
/// # Ok::<(), CookieError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cookie {
    name: String,
    /// From `; Path` on, in the form in which it is sent.
    attributes: String,
    max_age: Option<Duration>,
    lookups: u8,
}

impl Cookie {
    /// A cookie of this name, with the attributes of the default one.
    pub fn builder(name: impl Into<String>) -> CookieBuilder {
        CookieBuilder {
            name: name.into(),
            path: "/".to_owned(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            max_age: None,
            lookups: 0,
        }
    }

    /// `id; Path=/; HttpOnly; SameSite=Lax`, without `Secure`, for a server without TLS on the
    /// developer's own machine. It logs a warning, since anybody on the way can read such a cookie.
    #[must_use]
    pub fn for_development() -> Self {
        tracing::warn!("the session cookie is sent without TLS: for development only");
        Self::plain(Self::builder("id").secure(false))
    }

    /// The name, as it is sent.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the browser is told to keep it; `None`: until it is closed.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// How many of several different values of this name may be looked up.
    pub(crate) fn lookups(&self) -> usize {
        self.lookups.into()
    }

    /// The `Set-Cookie` value that gives the client `id`.
    pub(crate) fn set(&self, id: &SessionId, max_age: Option<Duration>) -> HeaderValue {
        // Less than a second is a second: zero would delete it.
        let max_age = max_age.map(|age| age.min(MAX_AGE_LIMIT).as_secs().max(1));
        self.header(id.expose(), max_age)
    }

    /// The `Set-Cookie` value that makes the client forget its cookie: the same attributes, since
    /// a browser replaces only a cookie of the same name, domain and path, and lets an insecure
    /// one not touch a secure one.
    pub(crate) fn clear(&self) -> HeaderValue {
        self.header("", Some(0))
    }

    fn header(&self, value: &str, max_age: Option<u64>) -> HeaderValue {
        let max_age = max_age.map(|age| ("; Max-Age=", age.to_string()));
        let (label, age) = max_age
            .as_ref()
            .map_or(("", ""), |(label, age)| (label, age));
        // In one go, and of exactly their length, which is not copied again.
        let line = [&*self.name, "=", value, &*self.attributes, label, age].concat();
        // All of its parts were checked when they came in, so it is a header value.
        let mut header = HeaderValue::try_from(line).unwrap_or(HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }

    /// A cookie of attributes that are known to be right.
    fn plain(builder: CookieBuilder) -> Self {
        Self {
            attributes: builder.attributes(),
            name: builder.name,
            max_age: builder.max_age,
            lookups: builder.lookups,
        }
    }
}

impl Default for Cookie {
    fn default() -> Self {
        Self::plain(Self::builder("__Host-id"))
    }
}

/// When a browser sends the cookie with requests that other sites cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only when the user follows a link to here.
    Lax,
    /// Always; such a cookie must be `Secure`.
    None,
}

/// Builds a [`Cookie`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieBuilder {
    name: String,
    path: String,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    partitioned: bool,
    max_age: Option<Duration>,
    lookups: u8,
}

impl CookieBuilder {
    /// The paths to which it is sent; `/` unless set.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends it to this host and all below it, instead of to the very host that set it.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether it is kept from plain http; true unless set.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether it is kept from scripts; true unless set.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// When it is sent with requests that other sites cause; [`SameSite::Lax`] unless set.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Whether each site that embeds this one has a cookie of its own (CHIPS); false unless set.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// How long the browser keeps it, in whole seconds, renewed while the session is used; until it
    /// is closed unless set. The server ends the session by the manager's
    /// [`Lifetime`](obsession_core::Lifetime) all the same.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// What to do with a request that has several different values under this name. None of them is
    /// used unless this is set: with the prefix `__Host-` no browser can hold two, so somebody has
    /// planted one. Set to a number, the first values up to that many are looked up, and the first
    /// with a session behind it is used.
    ///
    /// That is for cookies with a domain or a path, of which a browser may have kept an old one. It
    /// lets whoever can set a cookie from a neighbouring host choose the session, so it is no good
    /// where that matters.
    pub fn duplicates(mut self, lookups: u8) -> Self {
        self.lookups = lookups;
        self
    }

    /// The cookie, if every browser would take it as it is meant.
    ///
    /// # Errors
    ///
    /// The first rule of [`CookieError`] that it breaks.
    pub fn build(self) -> Result<Cookie, CookieError> {
        match self.broken_rule() {
            Some(error) => Err(error),
            None => Ok(Cookie::plain(self)),
        }
    }

    fn broken_rule(&self) -> Option<CookieError> {
        let prefixed = |prefix: &str| {
            let start = self.name.as_bytes().get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let host = self.secure && self.path == "/" && self.domain.is_none();
        let http = self.secure && self.http_only;
        let name = !self.name.is_empty() && self.name.bytes().all(is_token);
        let domain = self.domain.as_deref().is_none_or(is_host_name);
        let max_age = |age: Duration| (Duration::from_secs(1)..=MAX_AGE_LIMIT).contains(&age);
        [
            (name, CookieError::Name),
            (
                self.name.len() + SessionId::LEN <= MAX_PAIR,
                CookieError::NameTooLong,
            ),
            (is_path(&self.path), CookieError::Path),
            (domain, CookieError::Domain),
            (self.max_age.is_none_or(max_age), CookieError::MaxAge),
            (
                self.same_site != SameSite::None || self.secure,
                CookieError::SameSiteNone,
            ),
            (!self.partitioned || self.secure, CookieError::Partitioned),
            (
                !prefixed("__Secure-") || self.secure,
                CookieError::SecurePrefix,
            ),
            (!prefixed("__Host-") || host, CookieError::HostPrefix),
            (!prefixed("__Http-") || http, CookieError::HttpPrefix),
            (
                !prefixed("__Host-Http-") || http && host,
                CookieError::HostHttpPrefix,
            ),
        ]
        .into_iter()
        .find_map(|(kept, error)| (!kept).then_some(error))
    }

    fn attributes(&self) -> String {
        let mut attributes = format!("; Path={}", self.path);
        if let Some(domain) = &self.domain {
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        for (set, attribute) in [
            (self.secure, "; Secure"),
            (self.http_only, "; HttpOnly"),
            (self.partitioned, "; Partitioned"),
        ] {
            if set {
                attributes.push_str(attribute);
            }
        }
        attributes.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        attributes
    }
}

/// Why a cookie can not be built: a browser would ignore it, or take it otherwise than meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is empty or has other characters than a token's (RFC 9110 5.6.2).
    Name,
    /// Name and value have more than 4,096 bytes.
    NameTooLong,
    /// The path does not begin with `/`, has a control character, a `;`, a space at its end or a
    /// character outside ASCII, or is longer than 1,024 bytes.
    Path,
    /// The domain is not a host name: labels of letters, digits and inner hyphens, without a dot
    /// at either end, and not an IP address.
    Domain,
    /// Max-Age is less than a second or more than 400 days.
    MaxAge,
    /// `SameSite=None` needs `Secure`.
    SameSiteNone,
    /// `Partitioned` needs `Secure`.
    Partitioned,
    /// A name that begins with `__Secure-` needs `Secure`.
    SecurePrefix,
    /// A name that begins with `__Host-` needs `Secure` and `Path=/`, and may have no `Domain`.
    HostPrefix,
    /// A name that begins with `__Http-` needs `Secure` and `HttpOnly`.
    HttpPrefix,
    /// A name that begins with `__Host-Http-` needs `Secure`, `HttpOnly` and `Path=/`, and may have
    /// no `Domain`.
    HostHttpPrefix,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a cookie's name is one or more letters, digits and !#$%&'*+-.^_`|~",
            Self::NameTooLong => "a cookie's name and value have at most 4096 bytes",
            Self::Path => "a cookie's path begins with / and is ASCII without ; and controls",
            Self::Domain => "a cookie's domain is a host name without a dot at either end",
            Self::MaxAge => "a cookie's Max-Age is from one second to 400 days",
            Self::SameSiteNone => "a cookie with SameSite=None must be Secure",
            Self::Partitioned => "a cookie that is Partitioned must be Secure",
            Self::SecurePrefix => "a cookie named __Secure- must be Secure",
            Self::HostPrefix => "a cookie named __Host- must be Secure with Path=/ and no Domain",
            Self::HttpPrefix => "a cookie named __Http- must be Secure and HttpOnly",
            Self::HostHttpPrefix => {
                "a cookie named __Host-Http- must be Secure and HttpOnly with Path=/ and no Domain"
            }
        })
    }
}

impl std::error::Error for CookieError {}

/// Whether a `Set-Cookie` value sets a cookie of this name.
pub(crate) fn sets(value: &HeaderValue, name: &str) -> bool {
    let value = value.as_bytes();
    let pair = value.split(|b| *b == b';').next().unwrap_or_default();
    pair.iter()
        .position(|b| *b == b'=')
        .is_some_and(|equals| trim(&pair[..equals]) == name.as_bytes())
}

/// Without spaces and tabs at its ends: the white space of RFC 6265bis, and no other.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn is_path(path: &str) -> bool {
    path.len() <= MAX_ATTRIBUTE
        && path.starts_with('/')
        && !path.ends_with(' ')
        && path.bytes().all(|b| matches!(b, b' '..=b'~') && b != b';')
}

fn is_host_name(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.len() <= 253 && domain.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}
