//! obsession, and the same service without sessions.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use obsession_core::{MemoryStore, Session, SessionManager};
use obsession_hyper::{Cookie, SessionLayer};
use tower::service_fn;
use work::Outcome;

use crate::site::{self, Handle, Site};

pub(crate) const COOKIE: &str = "__Host-id";

type Answer = Result<Response<Full<Bytes>>, Infallible>;

/// A store that refuses nobody: a round makes more sessions than it holds unless told.
pub(crate) fn layer() -> SessionLayer {
    let store = MemoryStore::builder().capacity(usize::MAX).build();
    SessionLayer::new(SessionManager::new(store), Cookie::default())
}

pub(crate) async fn handler<B>(request: Request<B>, site: &'static Site) -> Answer {
    let session = request.extensions().get::<Session>().cloned();
    site.answer(request.uri().path(), session).await
}

pub(crate) async fn bare<B>(request: Request<B>) -> Answer {
    Ok(site::bare(request.uri().path()))
}

pub(crate) fn service(
    site: &'static Site,
) -> impl tower::Service<
    Request<()>,
    Response = Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Send + use<>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ use<> {
    layer().layer(service_fn(move |request| handler(request, site)))
}

impl Handle for Option<Session> {
    async fn get(&mut self, key: &str) -> Outcome<Option<String>> {
        Ok(self.as_ref().ok_or("no session")?.get(key).await?)
    }

    async fn insert(&mut self, key: &str, value: &str) -> Outcome<()> {
        Ok(self.as_ref().ok_or("no session")?.insert(key, value)?)
    }

    async fn cycle(&mut self) -> Outcome<()> {
        Ok(self.as_ref().ok_or("no session")?.cycle()?)
    }
}
