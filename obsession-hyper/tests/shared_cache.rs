//! A shared cache, written from RFC 9111, between sites and their clients: nobody gets another's
//! cookie or page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashMap;
use std::convert::Infallible;

use common::ok;
use common::random::Random;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::service::{Service, service_fn};
use obsession_core::{Error, MemoryStore, Session, SessionId, SessionKey, SessionManager};
use obsession_hyper::{Cookie, SessionLayer, Transport};

/// All of them with `OBSESSION_FULL`.
const TRACES: usize = 100_000;
const QUICK: usize = 10_000;
/// After so many, the sites begin with empty stores again.
const BATCH: usize = 1000;
const REQUESTS: usize = 5;
const CLIENTS: usize = 3;
/// How long the cache keeps what may be kept and does not say how long, in requests.
const HEURISTIC: u64 = 3;

const CACHE_CONTROL: [&str; 12] = [
    "",
    "public",
    "public, max-age=9",
    "max-age=9",
    "s-maxage=9",
    "private",
    "no-store",
    "NO-STORE, max-age=9",
    "no-store, s-maxage=9, public",
    "private=\"x-a, no-store, x-b\", max-age=9",
    "no-cache=\"set-cookie\", public, max-age=9",
    "must-revalidate, max-age=9",
];
const VARY: [&str; 4] = ["", "accept", "Cookie", "accept, Authorization"];
const STATUS: [u16; 5] = [200, 200, 404, 301, 500];

/// What a page does, which is a matter of its address.
#[derive(Clone, Copy)]
enum Act {
    Nothing,
    Read,
    Write,
    SignIn,
    SignOut,
    SaveEarly,
}

const ACTS: [Act; 6] = [
    Act::Nothing,
    Act::Read,
    Act::Write,
    Act::SignIn,
    Act::SignOut,
    Act::SaveEarly,
];

/// The parts of an address are indices: of what the page does and what it says of caching.
fn address(random: &mut Random) -> String {
    // Few of each, so that clients meet at the same one.
    let act = random.below(ACTS.len());
    let says = random.below(CACHE_CONTROL.len());
    let (vary, status) = (random.below(VARY.len()), random.below(STATUS.len()));
    format!("/{act}/{says}/{vary}/{status}/{}", random.below(2))
}

/// A page names the session that it was made for, if it looked at one.
async fn page(request: Request<String>) -> Result<Response<String>, Infallible> {
    let session = request.extensions().get::<Session>().unwrap().clone();
    let path = request.uri().path().split('/').skip(1);
    let parts: Vec<usize> = path.map(|part| part.parse().unwrap()).collect();
    let mut answer = ok();
    *answer.status_mut() = STATUS[parts[3]].try_into().unwrap();
    let act = ACTS[parts[0]];
    // A client that could not be told of a new token comes with its old one: nothing is changed then.
    drop(change(act, &session).await);
    if !matches!(act, Act::Nothing) {
        let key = session.key().await.unwrap();
        *answer.body_mut() = key.map(|key| key.to_string()).unwrap_or_default();
    }
    let headers = answer.headers_mut();
    for (name, value) in [
        ("cache-control", CACHE_CONTROL[parts[1]]),
        ("cdn-cache-control", ["", "max-age=9"][parts[4]]),
        ("vary", VARY[parts[2]]),
    ] {
        if !value.is_empty() {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    Ok(answer)
}

async fn change(act: Act, session: &Session) -> Result<(), Error> {
    match act {
        Act::Nothing => {}
        Act::Read => assert!(session.len().await? < 3),
        Act::Write => session.update("n", |n: &mut u64| *n += 1).await?,
        Act::SignIn => session.sign_in("user-42")?,
        Act::SignOut => session.delete().await?,
        Act::SaveEarly => {
            session.cycle()?;
            session.insert("a", &1)?;
            session.save().await?;
        }
    }
    Ok(())
}

/// A response as it came from the site.
struct Stored {
    answer: Response<String>,
    /// What the request had under each name that the response varies by.
    selected_by: Vec<(HeaderName, Vec<HeaderValue>)>,
    fresh_until: u64,
}

#[derive(Default)]
struct Cache {
    stored: HashMap<String, Vec<Stored>>,
    /// Whether it honours CDN-Cache-Control (RFC 9213).
    is_cdn: bool,
    now: u64,
}

impl Cache {
    /// 4: a stored response that is fresh and was selected by the same headers.
    fn find(&self, path: &str, request: &HeaderMap) -> Option<&Response<String>> {
        let stored = self.stored.get(path)?.iter().rev().find(|stored| {
            let same = |(name, values): &(HeaderName, Vec<HeaderValue>)| {
                request.get_all(name).iter().eq(values)
            };
            self.now < stored.fresh_until && stored.selected_by.iter().all(same)
        });
        stored.map(|stored| &stored.answer)
    }

    /// 3: what may be stored, and for how long.
    fn keep(&mut self, path: &str, request: &HeaderMap, answer: &Response<String>) {
        let targeted = HeaderName::from_static("cdn-cache-control");
        let name = if self.is_cdn && answer.headers().contains_key(&targeted) {
            targeted
        } else {
            http::header::CACHE_CONTROL
        };
        let says = directives(answer.headers(), &name);
        let has = |name: &str| says.iter().any(|(said, _)| said == name);
        let number = |name: &str| {
            let (_, value) = says.iter().find(|(said, _)| said == name)?;
            value.as_deref()?.parse::<u64>().ok()
        };
        // With a list of headers, `private` and `no-cache` are about these alone.
        let whole = |name: &str| says.contains(&(name.to_owned(), None));
        let authorized = !request.contains_key(AUTHORIZATION)
            || has("public")
            || has("s-maxage")
            || has("must-revalidate");
        let heuristic = [200, 301, 404].contains(&answer.status().as_u16());
        let explicit = has("public") || has("max-age") || has("s-maxage");
        let varies = list(answer.headers(), &http::header::VARY);
        if has("no-store")
            || whole("private")
            || whole("no-cache")
            || !authorized
            || !(heuristic || explicit)
            || varies.iter().any(|name| name == "*")
        {
            return;
        }
        let age = number("s-maxage").or_else(|| number("max-age"));
        let selected_by = varies.iter().map(|name| {
            let name: HeaderName = name.parse().unwrap();
            let values = request.get_all(&name).iter().cloned().collect();
            (name, values)
        });
        self.stored
            .entry(path.to_owned())
            .or_default()
            .push(Stored {
                answer: answer.clone(),
                selected_by: selected_by.collect(),
                fresh_until: self.now + age.unwrap_or(HEURISTIC),
            });
    }
}

/// The items of a list, in lower case. A comma in a quoted string separates nothing.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut items = Vec::new();
    for value in headers.get_all(name) {
        let (mut item, mut quoted) = (String::new(), false);
        for c in value.to_str().unwrap().chars() {
            quoted ^= c == '"';
            if c == ',' && !quoted {
                items.push(std::mem::take(&mut item));
            } else {
                item.push(c);
            }
        }
        items.push(item);
    }
    let items = items.iter().map(|item| item.trim().to_ascii_lowercase());
    items.filter(|item| !item.is_empty()).collect()
}

fn directives(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, Option<String>)> {
    let items = list(headers, name).into_iter();
    items
        .map(|item| match item.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (item, None),
        })
        .collect()
}

/// A token in a response, by whatever way.
fn told(answer: &Response<String>) -> Option<SessionId> {
    let cookie = answer.headers().get("set-cookie").map(|line| {
        let line = line.to_str().unwrap();
        line.split(';').next().unwrap().split_once('=').unwrap().1
    });
    let header = answer.headers().get("x-session");
    let header = header.map(|id| id.to_str().unwrap());
    cookie.or(header).and_then(|id| id.parse().ok())
}

/// How a client presents what it was given.
fn present(client: usize, id: &SessionId) -> (HeaderName, HeaderValue) {
    let id = id.expose();
    let (name, value) = match client {
        0 => (COOKIE, format!("__Host-id={id}")),
        1 => (AUTHORIZATION, format!("Bearer {id}")),
        _ => (HeaderName::from_static("x-session"), id.to_owned()),
    };
    (name, value.parse().unwrap())
}

fn transports() -> [Transport; 4] {
    let header = || Transport::header(HeaderName::from_static("x-session")).unwrap();
    let cookie = || Transport::from(Cookie::default());
    [
        cookie(),
        header(),
        Transport::bearer().or(cookie()),
        header().or(Transport::bearer()).or(cookie()),
    ]
}

#[tokio::test]
async fn co_07_a_shared_cache_gives_nobody_what_is_anothers() {
    let mut random = Random(0x0b5e_5510_2026_0002);
    let full = std::env::var_os("OBSESSION_FULL").is_some();
    let traces = if full { TRACES } else { QUICK };
    let (mut hits, mut misses) = (0, 0);
    let mut sites = Vec::new();
    for trace in 0..traces {
        if trace % BATCH == 0 {
            sites = Vec::from(transports().map(|transport| {
                let manager = SessionManager::new(MemoryStore::new());
                SessionLayer::new(manager, transport).layer(service_fn(page))
            }));
        }
        let site = &sites[trace % 4];
        let mut cache = Cache {
            is_cdn: random.flip(),
            ..Cache::default()
        };
        let addresses = [address(&mut random), address(&mut random)];
        let mut jars: [Option<SessionId>; CLIENTS] = [const { None }; CLIENTS];
        let mut owners: HashMap<SessionKey, usize> = HashMap::new();
        for _ in 0..REQUESTS {
            let (client, path) = (random.below(CLIENTS), random.of(&addresses));
            let mut request = common::request(None);
            *request.uri_mut() = path.parse().unwrap();
            // The ways of clients differ, and the first has a cookie wherever there are cookies.
            if let Some(id) = &jars[client] {
                let way = [client, 0][usize::from(trace % 4 == 0)];
                let (name, value) = present(way, id);
                request.headers_mut().insert(name, value);
            }
            cache.now += 1;
            let head = request.headers().clone();
            if let Some(answer) = cache.find(&path, &head) {
                hits += 1;
                assert_eq!(told(answer), None, "of the cache: {answer:?}");
                assert!(!answer.headers().contains_key("set-cookie"), "{answer:?}");
                let made_for = answer.body().parse().ok();
                let owner = made_for.and_then(|key: SessionKey| owners.get(&key));
                assert!(
                    owner.is_none_or(|owner| *owner == client),
                    "{path}: {answer:?}"
                );
                continue;
            }
            misses += 1;
            let Ok(answer) = site.call(request).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let answer = Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap());
            if let Some(id) = told(&answer) {
                owners.insert(id.key(), client);
                jars[client] = Some(id);
            }
            cache.keep(&path, &head, &answer);
        }
    }
    println!("{hits} of the cache, {misses} of the site");
    assert!(hits > traces / 2, "the cache was used: {hits}");
}
