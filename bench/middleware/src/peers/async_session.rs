//! async-session, which has no middleware: what is around it here does what those that are built on
//! it do at their defaults. A session is loaded at each request and stored at its end, so that it
//! lasts; the cookie is set when the store says that its value is new.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_session::{MemoryStore, Session, SessionStore};
use bytes::Bytes;
use cookie::{Cookie, SameSite};
use http::header::{COOKIE as COOKIES, HeaderValue, SET_COOKIE};
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::Mutex;
use tower::{Service, service_fn};
use work::Outcome;

use crate::site::{Handle, Site};

pub(crate) const COOKIE: &str = "id";

const TWO_WEEKS: Duration = Duration::from_secs(14 * 24 * 60 * 60);

#[derive(Clone)]
struct Shared(Arc<Mutex<Kept>>);

struct Kept {
    session: Session,
    /// What it was before it got a new id: the store would keep it.
    before: Option<Session>,
}

type Future = Pin<Box<dyn std::future::Future<Output = Outcome<Response<Full<Bytes>>>> + Send>>;

async fn handler(
    request: Request<()>,
    site: &'static Site,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let session = request.extensions().get::<Shared>().cloned();
    site.answer(request.uri().path(), session).await
}

pub(crate) fn service(
    site: &'static Site,
) -> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> + use<> {
    let store = MemoryStore::new();
    service_fn(move |request| {
        let store = store.clone();
        async move {
            let future: Future = Box::pin(around(store, request, site));
            Ok(future.await.unwrap_or_else(|error| {
                let mut response = Response::new(Full::new(Bytes::from(error.to_string())));
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }))
        }
    })
}

async fn around(
    store: MemoryStore,
    mut request: Request<()>,
    site: &'static Site,
) -> Outcome<Response<Full<Bytes>>> {
    let session = match presented(&request) {
        Some(value) => store.load_session(value).await.map_err(said)?,
        None => None,
    };
    let mut session = session.unwrap_or_default();
    session.expire_in(TWO_WEEKS);
    let kept = Kept {
        session,
        before: None,
    };
    let shared = Arc::new(Mutex::new(kept));
    request.extensions_mut().insert(Shared(Arc::clone(&shared)));
    let mut response = handler(request, site).await?;
    let kept = Arc::into_inner(shared).ok_or("somebody has kept the session")?;
    let Kept { session, before } = kept.into_inner();
    if let Some(before) = before {
        store.destroy_session(before).await.map_err(said)?;
    }
    if let Some(value) = store.store_session(session).await.map_err(said)? {
        let cookie = Cookie::build((COOKIE, value))
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(SameSite::Strict);
        let line = HeaderValue::try_from(cookie.to_string())?;
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}

fn presented(request: &Request<()>) -> Option<String> {
    let line = request.headers().get(COOKIES)?.to_str().ok()?;
    let mut cookies = Cookie::split_parse(line).flatten();
    let found = cookies.find(|cookie| cookie.name() == COOKIE)?;
    Some(found.value().to_owned())
}

fn said(error: async_session::Error) -> String {
    error.to_string()
}

impl Handle for Option<Shared> {
    async fn get(&mut self, key: &str) -> Outcome<Option<String>> {
        let shared = self.as_ref().ok_or("no session")?;
        Ok(shared.0.lock().await.session.get(key))
    }

    async fn insert(&mut self, key: &str, value: &str) -> Outcome<()> {
        let shared = self.as_ref().ok_or("no session")?;
        Ok(shared.0.lock().await.session.insert(key, value)?)
    }

    async fn cycle(&mut self) -> Outcome<()> {
        let mut kept = self.as_ref().ok_or("no session")?.0.lock().await;
        kept.before = Some(kept.session.clone());
        kept.session.regenerate();
        Ok(())
    }
}
