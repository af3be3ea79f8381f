//! A browser, written from RFC 6265bis (sections 5.6 and 5.7), that is sent whatever can be built.
//!
//! It is at `https://shop.example.org/shop/cart`. What it would take otherwise than it was meant, or
//! not at all, must have been refused when the cookie was built.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::random::Random;
use common::{ask, cookie_of, ok, wire::pair};
use http::Request;
use hyper::service::service_fn;
use obsession_core::{Lifetime, MemoryStore, Session, SessionManager};
use obsession_hyper::{Cookie, CookieBuilder, SameSite, SessionService};

const COMBINATIONS: usize = 100_000;
const HOST: &str = "shop.example.org";
const DEFAULT_PATH: &str = "/shop";
const LONGEST: i64 = 34_560_000;

/// A cookie as a browser keeps it.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    partitioned: bool,
    same_site: Option<String>,
    max_age: Option<i64>,
}

#[derive(Debug, Default)]
struct Browser {
    jar: Vec<Kept>,
}

impl Browser {
    /// 5.7: of the same name, domain and path there is one, and one that is over is forgotten.
    fn receive(&mut self, line: &str) {
        let Some(new) = accepted(line) else { return };
        let key = |kept: &Kept| {
            (
                kept.name.clone(),
                kept.domain.clone(),
                kept.path.clone(),
                kept.partitioned,
            )
        };
        self.jar.retain(|old| key(old) != key(&new));
        if new.max_age.is_none_or(|age| age > 0) {
            self.jar.push(new);
        }
    }
}

/// 5.6 and the conditions of 5.7. Nothing if the line is ignored.
fn accepted(line: &str) -> Option<Kept> {
    if line.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return None;
    }
    let white = |c| c == ' ' || c == '\t';
    let mut parts = line.split(';');
    let first = parts.next()?;
    let (name, value) = first.split_once('=').unwrap_or(("", first));
    let (name, value) = (name.trim_matches(white), value.trim_matches(white));
    if name.is_empty() || name.len() + value.len() > 4096 {
        return None;
    }
    let mut kept = Kept {
        name: name.to_owned(),
        value: value.to_owned(),
        path: DEFAULT_PATH.to_owned(),
        domain: None,
        secure: false,
        http_only: false,
        partitioned: false,
        same_site: None,
        max_age: None,
    };
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim_matches(white), value.trim_matches(white));
        if value.len() <= 1024 {
            attribute(&mut kept, &name.to_ascii_lowercase(), value);
        }
    }
    is_allowed(&kept).then_some(kept)
}

fn attribute(kept: &mut Kept, name: &str, value: &str) {
    match name {
        "path" if value.starts_with('/') => value.clone_into(&mut kept.path),
        "path" => DEFAULT_PATH.clone_into(&mut kept.path),
        "domain" => {
            let domain = value.strip_prefix('.').unwrap_or(value);
            kept.domain = (!domain.is_empty()).then(|| domain.to_ascii_lowercase());
        }
        "secure" => kept.secure = true,
        "httponly" => kept.http_only = true,
        "partitioned" => kept.partitioned = true,
        "samesite" => kept.same_site = Some(value.to_ascii_lowercase()),
        "max-age" => {
            if let Ok(age) = value.parse::<i64>() {
                kept.max_age = Some(age.min(LONGEST));
            }
        }
        _ => {}
    }
}

/// Whose host it may be for, and what its name, `SameSite=None` and `Partitioned` ask for.
fn is_allowed(kept: &Kept) -> bool {
    let lower = kept.name.to_ascii_lowercase();
    let host = kept.secure && kept.path == "/" && kept.domain.is_none();
    let rules = [
        (kept.same_site.as_deref() == Some("none"), kept.secure),
        (kept.partitioned, kept.secure),
        (lower.starts_with("__secure-"), kept.secure),
        (lower.starts_with("__http-"), kept.secure && kept.http_only),
        (lower.starts_with("__host-"), host),
        (lower.starts_with("__host-http-"), kept.http_only),
    ];
    is_ours(kept.domain.as_deref()) && rules.iter().all(|(applies, kept)| !applies || *kept)
}

/// `org` is a public suffix.
fn is_ours(domain: Option<&str>) -> bool {
    matches!(domain, None | Some(HOST | "example.org"))
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
    fn random(random: &mut Random) -> Self {
        Self {
            name: name(random),
            path: path(random),
            domain: domain(random),
            max_age: match random.below(8) {
                0 => Some(random.of(&[0, 1, 34_560_000, 34_560_001, u64::MAX])),
                1 | 2 => Some(random.below(40_000_000) as u64),
                _ => None,
            },
            secure: random.below(4) > 0,
            http_only: random.flip(),
            partitioned: random.below(4) == 0,
            same_site: random.of(&[SameSite::Strict, SameSite::Lax, SameSite::None]),
        }
    }

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

    /// The line of somebody who checks nothing.
    fn unchecked(&self, value: &str) -> String {
        let mut line = format!("{}={value}; Path={}", self.name, self.path);
        if let Some(domain) = &self.domain {
            line.push_str("; Domain=");
            line.push_str(domain);
        }
        for (set, attribute) in [
            (self.secure, "; Secure"),
            (self.http_only, "; HttpOnly"),
            (self.partitioned, "; Partitioned"),
        ] {
            line.push_str(if set { attribute } else { "" });
        }
        let max_age = self.max_age.map(|age| format!("; Max-Age={age}"));
        let same_site = format!("; SameSite={:?}", self.same_site);
        [line, same_site, max_age.unwrap_or_default()].concat()
    }

    /// What a browser is to keep. Nothing where no `Max-Age` can say what was meant.
    fn kept(&self, value: &str) -> Option<Kept> {
        let max_age = self.max_age.map(|age| i64::try_from(age).ok());
        Some(Kept {
            name: self.name.clone(),
            value: value.to_owned(),
            path: self.path.clone(),
            domain: self.domain.as_deref().map(str::to_ascii_lowercase),
            secure: self.secure,
            http_only: self.http_only,
            partitioned: self.partitioned,
            same_site: Some(format!("{:?}", self.same_site).to_ascii_lowercase()),
            max_age: match max_age {
                None => None,
                Some(age) => Some(age?),
            },
        })
    }
}

const ODD: [&str; 16] = [
    " ", "\t", ";", "=", "\"", ",", "\\", "\n", "\r", "\0", "\x7f", "ä", "\u{2000}", "%20", ".",
    "~",
];

/// `text` with an odd character at either end or in the middle, now and then.
fn odd(random: &mut Random, text: &str) -> String {
    let odd = random.of(&ODD);
    match random.below(16) {
        0 => format!("{odd}{text}"),
        1 => format!("{text}{odd}"),
        2 => format!("{text}{odd}{text}"),
        _ => text.to_owned(),
    }
}

fn name(random: &mut Random) -> String {
    const PREFIXES: [&str; 5] = ["__Host-", "__Secure-", "__Http-", "__Host-Http-", ""];
    let prefix = random.of(&PREFIXES);
    let prefix = match random.below(4) {
        0 => prefix.to_ascii_uppercase(),
        1 => prefix.to_ascii_lowercase(),
        _ => prefix.to_owned(),
    };
    match random.below(32) {
        0 => "a".repeat(4050 + random.below(10)),
        1 => prefix,
        _ => prefix + &odd(random, "id"),
    }
}

fn path(random: &mut Random) -> String {
    match random.below(16) {
        0 => format!("/{}", "p".repeat(1020 + random.below(8))),
        1 => odd(random, "shop"),
        2 => String::new(),
        3..=6 => odd(random, "/shop"),
        _ => odd(random, "/"),
    }
}

fn domain(random: &mut Random) -> Option<String> {
    let domain = random.of(&[
        "example.org",
        HOST,
        "EXAMPLE.org",
        "org",
        "other.example",
        "",
    ]);
    match random.below(8) {
        0 => Some(odd(random, domain)),
        1 => Some(odd(random, "example.org")),
        2 => Some(format!(".{domain}")),
        3 => Some(format!("{domain}.")),
        _ => None,
    }
}

/// The lines that a site with this cookie sends for a new session and for its end.
async fn lines(cookie: Cookie) -> (String, String) {
    // A session that lasts longer than every cookie, which would be cut to its end otherwise.
    let ages = Duration::from_secs(1000 * 24 * 60 * 60);
    let manager = SessionManager::builder(MemoryStore::new())
        .lifetime(Lifetime::new(ages, ages))
        .build();
    let inner = service_fn(async |request: Request<String>| {
        let session = request.extensions().get::<Session>().unwrap();
        if request.headers().contains_key("cookie") {
            session.delete().await.unwrap();
        } else {
            session.insert("a", &1).unwrap();
        }
        Ok(ok())
    });
    let service = SessionService::new(inner, manager, cookie);
    let set = ask(&service, &[]).await;
    let set = cookie_of(set.headers()).unwrap().to_owned();
    let clear = ask(&service, &[("cookie", pair(&set))]).await;
    let clear = cookie_of(clear.headers()).unwrap().to_owned();
    (set, clear)
}

#[tokio::test]
async fn co_02_a_browser_keeps_what_is_built_and_what_it_would_not_is_refused() {
    let mut random = Random(0x0b5e_5510_2026_0001);
    let (mut kept, mut foreign, mut refused) = (0, 0, 0);
    for _ in 0..COMBINATIONS {
        let meant = Meant::random(&mut random);
        let value = "v".repeat(40);
        let unchecked = accepted(&meant.unchecked(&value));
        let as_meant = unchecked.is_some() && unchecked == meant.kept(&value);
        let domain = meant.domain.as_deref().map(str::to_ascii_lowercase);
        let Ok(cookie) = meant.builder().build() else {
            refused += 1;
            continue;
        };
        let mut browser = Browser::default();
        if !is_ours(domain.as_deref()) {
            // Which hosts a site has is for it to know.
            foreign += 1;
            continue;
        }
        assert!(as_meant, "it should have been refused: {meant:?}");
        let (set, clear) = lines(cookie).await;
        browser.receive(&set);
        let value = pair(&set).split_once('=').unwrap().1;
        assert_eq!(browser.jar, [meant.kept(value).unwrap()], "{set}");
        browser.receive(&clear);
        assert_eq!(browser.jar, [], "{clear}");
        kept += 1;
    }
    println!("{kept} kept, {foreign} for other hosts, {refused} refused");
    assert!(kept > COMBINATIONS / 10 && refused > COMBINATIONS / 10);
}
