//! Cookies out: what is built, what is refused, and what a browser makes of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{call, cookie_of, ok, seen, stored};
use http::Request;
use hyper::service::service_fn;
use obsession_core::{Lifetime, MemoryStore, Session, SessionId, SessionManager};
use obsession_hyper::{Cookie, CookieBuilder, CookieError, SameSite, SessionService};
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn co_02_rules_are_checked_at_construction() {
    use CookieError::*;
    let long = "n".repeat(4096 - SessionId::LEN + 1);
    let table: Vec<(CookieBuilder, CookieError)> = vec![
        (Cookie::builder(""), Name),
        (Cookie::builder("a b"), Name),
        (Cookie::builder("a=b"), Name),
        (Cookie::builder("a;b"), Name),
        (Cookie::builder("\u{2000}id"), Name),
        (Cookie::builder("id\r\nx"), Name),
        (Cookie::builder("\"id\""), Name),
        (Cookie::builder(long), NameTooLong),
        (Cookie::builder("id").path(""), Path),
        (Cookie::builder("id").path("shop"), Path),
        (Cookie::builder("id").path("/a;b"), Path),
        (Cookie::builder("id").path("/a\r\nSet-Cookie: x=y"), Path),
        (Cookie::builder("id").path("/a\0"), Path),
        (Cookie::builder("id").path("/a "), Path),
        (Cookie::builder("id").path("/ä"), Path),
        (
            Cookie::builder("id").path(format!("/{}", "p".repeat(1024))),
            Path,
        ),
        (Cookie::builder("id").domain(""), Domain),
        (Cookie::builder("id").domain(".example.org"), Domain),
        (Cookie::builder("id").domain("example.org."), Domain),
        (Cookie::builder("id").domain("example..org"), Domain),
        (Cookie::builder("id").domain("-a.org"), Domain),
        (Cookie::builder("id").domain("a-.org"), Domain),
        (Cookie::builder("id").domain("a_b.org"), Domain),
        (Cookie::builder("id").domain("a.org; Secure"), Domain),
        (Cookie::builder("id").domain("127.0.0.1"), Domain),
        (Cookie::builder("id").domain("a.org:80"), Domain),
        (Cookie::builder("id").domain("bücher.example"), Domain),
        (Cookie::builder("id").domain("l".repeat(64)), Domain),
        (Cookie::builder("id").domain(["l"; 128].join(".")), Domain),
        (Cookie::builder("id").max_age(Duration::ZERO), MaxAge),
        (
            Cookie::builder("id").max_age(Duration::from_millis(999)),
            MaxAge,
        ),
        (
            Cookie::builder("id").max_age(400 * DAY + Duration::from_secs(1)),
            MaxAge,
        ),
        (
            Cookie::builder("id")
                .same_site(SameSite::None)
                .secure(false),
            SameSiteNone,
        ),
        (
            Cookie::builder("id").partitioned(true).secure(false),
            Partitioned,
        ),
        (Cookie::builder("__Secure-id").secure(false), SecurePrefix),
        (Cookie::builder("__secure-id").secure(false), SecurePrefix),
        (Cookie::builder("__Host-id").secure(false), HostPrefix),
        (Cookie::builder("__HOST-id").path("/a"), HostPrefix),
        (Cookie::builder("__Host-id").domain("a.org"), HostPrefix),
        (Cookie::builder("__Http-id").http_only(false), HttpPrefix),
        (Cookie::builder("__Http-id").secure(false), HttpPrefix),
        (
            Cookie::builder("__Host-Http-id").http_only(false),
            HostHttpPrefix,
        ),
        (Cookie::builder("__Host-Http-id").path("/a"), HostPrefix),
    ];
    for (builder, error) in table {
        let shown = format!("{builder:?}");
        assert_eq!(builder.build().unwrap_err(), error, "{shown}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn what_is_right_is_built() {
    for builder in [
        Cookie::builder("_obs"),
        Cookie::builder("n".repeat(4096 - SessionId::LEN)),
        Cookie::builder("!#$%&'*+-.^_`|~"),
        Cookie::builder("id").secure(false).http_only(false),
        Cookie::builder("id")
            .path("/shop/a b/~%20")
            .domain("shop.example.org"),
        Cookie::builder("id").domain("localhost"),
        Cookie::builder("id").domain("xn--bcher-kva.example"),
        Cookie::builder("id").max_age(400 * DAY),
        Cookie::builder("id")
            .same_site(SameSite::None)
            .partitioned(true),
        Cookie::builder("__Host-Http-id").same_site(SameSite::Strict),
    ] {
        let shown = format!("{builder:?}");
        assert!(builder.build().is_ok(), "{shown}");
    }
}

/// The `Set-Cookie` lines that a service with this cookie sends for a new session and for its end.
async fn lines(cookie: Cookie) -> (String, String, SessionId) {
    // A session that lasts longer than every cookie, which would be cut to its end otherwise.
    let manager = SessionManager::builder(MemoryStore::new())
        .lifetime(Lifetime::new(DAY, 1000 * DAY))
        .build();
    let inner = service_fn(|request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        match request.body().as_str() {
            "end" => session.delete().await.unwrap(),
            _ => session.insert("a", &1).unwrap(),
        }
        Ok(ok())
    });
    let name = cookie.name().to_owned();
    let service = SessionService::new(inner, manager, cookie);
    let set = call(&service, None).await;
    let set = cookie_of(set.headers()).unwrap().to_owned();
    let id = set[name.len() + 1..][..SessionId::LEN]
        .parse::<SessionId>()
        .unwrap();
    let mut request = common::request(Some(&format!("{name}={}", id.expose())));
    request.body_mut().push_str("end");
    let clear = hyper::service::Service::call(&service, request).await;
    let clear = clear.unwrap_or_else(|never: std::convert::Infallible| match never {});
    let clear = cookie_of(clear.headers()).unwrap().to_owned();
    (set, clear, id)
}

#[tokio::test]
async fn the_lines_are_these() {
    let all = Cookie::builder("__Secure-shop")
        .path("/shop")
        .domain("example.org")
        .same_site(SameSite::None)
        .partitioned(true)
        .max_age(30 * DAY);
    let tail = "; Path=/shop; Domain=example.org; Secure; HttpOnly; Partitioned; SameSite=None";
    let (set, clear, id) = lines(all.build().unwrap()).await;
    assert_eq!(
        set,
        format!("__Secure-shop={}{tail}; Max-Age=2592000", id.expose())
    );
    assert_eq!(clear, format!("__Secure-shop={tail}; Max-Age=0"));

    let (set, clear, id) = lines(Cookie::default()).await;
    let tail = "; Path=/; Secure; HttpOnly; SameSite=Lax";
    assert_eq!(set, format!("__Host-id={}{tail}", id.expose()));
    assert_eq!(clear, format!("__Host-id={tail}; Max-Age=0"));

    let (set, _, id) = lines(Cookie::for_development()).await;
    assert_eq!(
        set,
        format!("id={}; Path=/; HttpOnly; SameSite=Lax", id.expose())
    );
}

#[tokio::test]
async fn co_06_the_header_is_marked_sensitive_and_shows_no_token() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    let service = common::site(&manager, |session| async move {
        session.cycle().unwrap();
        ok()
    });
    let answer = call(&service, Some(&id)).await;
    assert!(answer.headers()["set-cookie"].is_sensitive());
    let shown = format!("{answer:?} {manager:?}");
    let (old, new) = (id.expose(), common::token_of(&answer));
    assert!(!shown.contains(&old[16..]) && !shown.contains(&new.expose()[16..]));
}

/// A session's own lifetime never makes a cookie that a browser would cut or drop at once.
#[tokio::test]
async fn a_lifetime_of_years_is_sent_as_400_days() {
    let (_, manager) = seen();
    let years = obsession_core::Lifetime::new(4000 * DAY, 4000 * DAY).persistent();
    let service = common::site(&manager, move |session| async move {
        session.insert("a", &1).unwrap();
        session.set_lifetime(years).unwrap();
        ok()
    });
    let answer = call(&service, None).await;
    let cookie = cookie_of(answer.headers()).unwrap();
    assert!(cookie.ends_with("; Max-Age=34560000"));
}

/// What a browser keeps of a `Set-Cookie` line from `https://shop.example.org/shop/cart`, after
/// RFC 6265bis 5.6 and 5.7. `None`: it ignores the cookie.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: Option<String>,
    max_age: Option<i64>,
}

fn browser(line: &str) -> Option<Kept> {
    if line.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return None;
    }
    let white = |c| c == ' ' || c == '\t';
    let mut parts = line.split(';');
    let (name, value) = parts
        .next()?
        .split_once('=')
        .unwrap_or(("", parts.clone().next()?));
    let (name, value) = (name.trim_matches(white), value.trim_matches(white));
    if name.is_empty() || name.len() + value.len() > 4096 {
        return None;
    }
    let mut kept = Kept {
        name: name.to_owned(),
        value: value.to_owned(),
        path: "/shop".to_owned(),
        domain: None,
        secure: false,
        http_only: false,
        same_site: None,
        max_age: None,
    };
    let mut partitioned = false;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim_matches(white), value.trim_matches(white));
        if value.len() > 1024 {
            continue;
        }
        match name.to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut kept.path),
            "path" => "/shop".clone_into(&mut kept.path),
            "domain" => {
                let domain = value
                    .strip_prefix('.')
                    .unwrap_or(value)
                    .to_ascii_lowercase();
                kept.domain = (!domain.is_empty()).then_some(domain);
            }
            "secure" => kept.secure = true,
            "httponly" => kept.http_only = true,
            "partitioned" => partitioned = true,
            "samesite" => kept.same_site = Some(value.to_ascii_lowercase()),
            "max-age" => kept.max_age = value.parse().ok().map(|age: i64| age.min(34_560_000)),
            _ => {}
        }
    }
    if let Some(domain) = &kept.domain {
        let host = "shop.example.org";
        let suffix = host.strip_suffix(domain.as_str());
        if domain == "org" || !suffix.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) {
            return None;
        }
    }
    let lower = name.to_ascii_lowercase();
    let host = kept.secure && kept.path == "/" && kept.domain.is_none();
    let rules = [
        (kept.same_site.as_deref() == Some("none"), kept.secure),
        (partitioned, kept.secure),
        (lower.starts_with("__secure-"), kept.secure),
        (lower.starts_with("__http-"), kept.secure && kept.http_only),
        (lower.starts_with("__host-"), host),
        (lower.starts_with("__host-http-"), kept.http_only),
    ];
    let ok = rules.iter().all(|(applies, kept)| !applies || *kept);
    ok.then_some(kept)
}

/// Attributes before they are checked.
#[derive(Clone, Debug)]
struct Meant {
    name: String,
    path: String,
    domain: Option<String>,
    max_age: Option<u64>,
    secure: bool,
    http_only: bool,
    partitioned: bool,
    same_site: SameSite,
}

impl Meant {
    fn builder(&self) -> CookieBuilder {
        let mut builder = Cookie::builder(&self.name)
            .path(&self.path)
            .secure(self.secure)
            .http_only(self.http_only)
            .partitioned(self.partitioned)
            .same_site(self.same_site);
        if let Some(domain) = &self.domain {
            builder = builder.domain(domain);
        }
        match self.max_age {
            Some(seconds) => builder.max_age(Duration::from_secs(seconds)),
            None => builder,
        }
    }
}

fn meant() -> impl Strategy<Value = Meant> {
    let name = prop_oneof![
        4 => "(__Host-|__host-|__Secure-|__Http-|__Host-Http-|__HOST-HTTP-)?[a-z]{0,3}",
        1 => "[!-~]{1,8}",
        1 => "\\PC{0,4}",
        1 => "a{4050,4060}",
    ];
    let path = prop_oneof![
        4 => "/",
        1 => "/[!-~ ]{0,6}",
        1 => "\\PC{0,6}",
        1 => "/a{1020,1026}",
        1 => "[\\x00-\\x7f]{0,5}",
    ];
    let domain = prop_oneof![
        Just(None),
        "(\\.?(shop\\.)?example\\.org\\.?|[!-~]{0,6})".prop_map(Some),
    ];
    let max_age = prop_oneof![Just(None), (0..40_000_000_u64).prop_map(Some)];
    let same_site = prop_oneof![
        Just(SameSite::Strict),
        Just(SameSite::Lax),
        Just(SameSite::None)
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), same_site);
    (name, path, domain, max_age, flags).prop_map(|(name, path, domain, max_age, flags)| {
        let (secure, http_only, partitioned, same_site) = flags;
        Meant {
            name,
            path,
            domain,
            max_age,
            secure,
            http_only,
            partitioned,
            same_site,
        }
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is built, a browser stores as it is meant, and forgets when it is told to.
    #[test]
    fn a_browser_keeps_what_is_built(meant in meant()) {
        let Ok(cookie) = meant.builder().build() else { return Ok(()) };
        let (set, clear, id) = block_on(lines(cookie));
        let same_site = format!("{:?}", meant.same_site).to_ascii_lowercase();
        let kept = Kept {
            name: meant.name,
            value: id.expose().to_owned(),
            path: meant.path,
            domain: meant.domain.map(|domain| domain.to_ascii_lowercase()),
            secure: meant.secure,
            http_only: meant.http_only,
            same_site: Some(same_site),
            max_age: meant.max_age.map(|age| i64::try_from(age).unwrap()),
        };
        if matches!(kept.domain.as_deref(), None | Some("example.org" | "shop.example.org")) {
            // The same cookie, so that it is this one which is forgotten.
            let forgotten = Kept { value: String::new(), max_age: Some(0), ..kept.clone() };
            prop_assert_eq!(browser(&set), Some(kept));
            prop_assert_eq!(browser(&clear), Some(forgotten));
        } else {
            prop_assert_eq!(browser(&set), None, "another host's");
        }
    }

    /// What a browser would take otherwise than it is meant is refused when it is built.
    #[test]
    fn what_a_browser_would_change_is_refused(meant in meant()) {
        let text = |value: &str| format!("; Path={value}");
        let mut line = format!("{}={}{}", meant.name, "v".repeat(40), text(&meant.path));
        for (set, attribute) in [
            (meant.secure, "; Secure"),
            (meant.http_only, "; HttpOnly"),
            (meant.partitioned, "; Partitioned"),
            (meant.same_site == SameSite::None, "; SameSite=None"),
        ] {
            if set {
                line.push_str(attribute);
            }
        }
        let kept = browser(&line).filter(|kept| kept.name == meant.name && kept.path == meant.path);
        if kept.is_none() && meant.domain.is_none() {
            prop_assert!(meant.builder().build().is_err(), "{:?}", meant);
        }
    }
}
