//! axum_session in memory only, which is a store without a database.

use std::convert::Infallible;

use axum_session::{Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use time::Duration;
use tower::{Layer, Service, service_fn};
use work::Outcome;

use crate::site::{Handle, Site};

type Memory = Session<SessionNullPool>;

pub(crate) const COOKIE: &str = "session";

async fn handler(
    request: Request<()>,
    site: &'static Site,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let session = request.extensions().get::<Memory>().cloned();
    site.answer(request.uri().path(), session).await
}

pub(crate) async fn service(
    site: &'static Site,
) -> Outcome<impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> + use<>>
{
    let two_weeks = Duration::days(14);
    let config = SessionConfig::default()
        .with_lifetime(two_weeks)
        .with_memory_lifetime(two_weeks);
    let store = SessionStore::<SessionNullPool>::new(None, config).await?;
    let inner = service_fn(move |request| handler(request, site));
    Ok(SessionLayer::new(store).layer(inner))
}

impl Handle for Option<Memory> {
    async fn get(&mut self, key: &str) -> Outcome<Option<String>> {
        Ok(self.as_ref().ok_or("no session")?.get(key))
    }

    async fn insert(&mut self, key: &str, value: &str) -> Outcome<()> {
        self.as_ref().ok_or("no session")?.set(key, value);
        Ok(())
    }

    async fn cycle(&mut self) -> Outcome<()> {
        self.as_ref().ok_or("no session")?.renew();
        Ok(())
    }
}
