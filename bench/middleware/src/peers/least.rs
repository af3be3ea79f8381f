//! No library, but what none can do without that keeps its sessions as records: the limit of what can be made
//! faster here.
//!
//! It takes the line of the cookies along, makes a handle, reads the cookie and the clock once, looks a
//! record up in a map of many locks, hashes the token, encodes values as JSON, swaps the record for the
//! one that it has read, draws tokens from the operating system, and says `Set-Cookie`, `Cache-Control` and
//! `Vary`. It has no other store, no timeouts, no checksum, no index, no cleanup, no log, no events and no
//! second try, and does nothing twice.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, COOKIE as COOKIES, HeaderMap, HeaderValue, SET_COOKIE, VARY};
use http::{Request, Response};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tower::{Service, service_fn};
use work::Outcome;

use crate::site::{Handle, Site};

pub(crate) const COOKIE: &str = "__Host-id";

const SHARDS: usize = 4096;
const TWO_WEEKS: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";

type Key = [u8; 16];
type Token = [u8; 40];

#[derive(Clone)]
struct Record {
    hash: [u8; 32],
    revision: u64,
    deadline: Duration,
    /// Of each value the lengths of its name and of its JSON, and both.
    values: Arc<[u8]>,
}

#[derive(Clone)]
struct Store(Arc<[Mutex<HashMap<Key, Record>>]>);

impl Store {
    fn with<T>(&self, key: &Key, act: impl FnOnce(&mut HashMap<Key, Record>) -> T) -> T {
        // Keys are random.
        let at = usize::from(u16::from_le_bytes([key[0], key[1]])) * 31 + usize::from(key[2]);
        let shard = &self.0[at % SHARDS];
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Clone)]
struct Session(Arc<Inner>);

struct Inner {
    store: Store,
    line: Option<HeaderValue>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: bool,
    found: Option<(Key, Record)>,
    changes: Vec<(String, Vec<u8>)>,
    cycles: bool,
}

impl Inner {
    fn look(&self, state: &mut State) {
        if std::mem::replace(&mut state.looked, true) {
            return;
        }
        let Some(token) = self.line.as_ref().and_then(presented) else {
            return;
        };
        let key = key(&token);
        let record = self.store.with(&key, |records| records.get(&key).cloned());
        let is_right = |record: &Record| record.deadline > now() && record.hash == hash(&token);
        state.found = record.filter(is_right).map(|record| (key, record));
    }

    /// Writes what was changed, and says what the client is to be told.
    fn finish(&self, headers: &mut HeaderMap) -> Outcome<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.changes.is_empty() {
            self.look(&mut state);
            let State {
                found,
                changes,
                cycles,
                ..
            } = &*state;
            let values = encode(found.as_ref().map(|(_, record)| &*record.values), changes)?;
            let token = match found {
                Some((key, _)) if *cycles => Some(fresh(Some(key))?),
                Some(_) => None,
                None => Some(fresh(None)?),
            };
            let kept = |found: &Option<(Key, Record)>| found.as_ref().map(|(key, _)| *key);
            let key = token.as_ref().map(key).or(kept(found)).ok_or("no key")?;
            let expected = found.as_ref().map(|(_, record)| record.revision);
            let record = Record {
                hash: match (&token, found) {
                    (Some(token), _) => hash(token),
                    (None, Some((_, record))) => record.hash,
                    (None, None) => return Err("no token".into()),
                },
                revision: expected.unwrap_or_default() + 1,
                deadline: now() + TWO_WEEKS,
                values,
            };
            let swapped = self.store.with(&key, |records| {
                let is_expected = records.get(&key).map(|record| record.revision) == expected;
                if is_expected {
                    records.insert(key, record);
                }
                is_expected
            });
            if !swapped {
                return Err("somebody else has written it".into());
            }
            if let Some(token) = token {
                let token = str::from_utf8(&token)?;
                let rest = "; Path=/; Secure; HttpOnly; SameSite=Lax";
                let line = [COOKIE, "=", token, rest].concat();
                headers.append(SET_COOKIE, HeaderValue::try_from(line)?);
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
        }
        if state.looked {
            headers.append(VARY, HeaderValue::from_static("cookie"));
        }
        Ok(())
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn presented(line: &HeaderValue) -> Option<Token> {
    let mut pairs = line
        .as_bytes()
        .split(|b| *b == b';')
        .map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| pair.strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"="))?;
    let is_symbol = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    Token::try_from(value)
        .ok()
        .filter(|token| token.iter().all(is_symbol))
}

fn key(token: &Token) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&token[..16]);
    key
}

fn hash(token: &Token) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A token that nobody has: of this key, or of a new one.
fn fresh(key: Option<&Key>) -> Outcome<Token> {
    let mut token = [0; 40];
    let from = if key.is_some() { 16 } else { 0 };
    getrandom::fill(&mut token[from..])?;
    for byte in &mut token[from..] {
        *byte = SYMBOLS[usize::from(*byte & 63)];
    }
    if let Some(key) = key {
        token[..16].copy_from_slice(key);
    }
    Ok(token)
}

/// Each name, and its value as JSON.
fn entries(values: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = values;
    std::iter::from_fn(move || {
        let (lengths, after) = rest.split_first_chunk::<4>()?;
        let [a, b, c, d] = *lengths;
        let (name, after) = after.split_at_checked(u16::from_le_bytes([a, b]).into())?;
        let (value, after) = after.split_at_checked(u16::from_le_bytes([c, d]).into())?;
        rest = after;
        Some((name, value))
    })
}

fn encode(old: Option<&[u8]>, changes: &[(String, Vec<u8>)]) -> Outcome<Arc<[u8]>> {
    let mut values = Vec::with_capacity(old.map_or(512, <[u8]>::len) + 64);
    let mut add = |name: &[u8], value: &[u8]| {
        values.extend(u16::try_from(name.len())?.to_le_bytes());
        values.extend(u16::try_from(value.len())?.to_le_bytes());
        values.extend_from_slice(name);
        values.extend_from_slice(value);
        Outcome::Ok(())
    };
    for (name, value) in entries(old.unwrap_or_default()) {
        if !changes
            .iter()
            .any(|(changed, _)| changed.as_bytes() == name)
        {
            add(name, value)?;
        }
    }
    for (name, value) in changes {
        add(name.as_bytes(), value)?;
    }
    Ok(values.into())
}

pub(crate) fn service(
    site: &'static Site,
) -> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> + use<> {
    let store = Store((0..SHARDS).map(|_| Mutex::default()).collect());
    service_fn(move |mut request: Request<()>| {
        let session = Session(Arc::new(Inner {
            store: store.clone(),
            line: request.headers().get(COOKIES).cloned(),
            state: Mutex::default(),
        }));
        request.extensions_mut().insert(session.clone());
        async move {
            let handle = request.extensions().get::<Session>().cloned();
            let mut response = site.answer(request.uri().path(), handle).await?;
            if session.0.finish(response.headers_mut()).is_err() {
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            }
            Ok(response)
        }
    })
}

impl Handle for Option<Session> {
    async fn get(&mut self, key: &str) -> Outcome<Option<String>> {
        let session = &self.as_ref().ok_or("no session")?.0;
        let mut state = session.state.lock().unwrap_or_else(PoisonError::into_inner);
        session.look(&mut state);
        let values = state.found.as_ref().map(|(_, record)| &*record.values);
        let mut entries = entries(values.unwrap_or_default());
        let found = entries.find(|(name, _)| *name == key.as_bytes());
        Ok(found
            .map(|(_, value)| serde_json::from_slice(value))
            .transpose()?)
    }

    async fn insert(&mut self, key: &str, value: &str) -> Outcome<()> {
        let value = serde_json::to_vec(value)?;
        let session = &self.as_ref().ok_or("no session")?.0;
        let mut state = session.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.changes.push((key.to_owned(), value));
        Ok(())
    }

    async fn cycle(&mut self) -> Outcome<()> {
        let session = &self.as_ref().ok_or("no session")?.0;
        let mut state = session.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cycles = true;
        Ok(())
    }
}
