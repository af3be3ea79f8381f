//! tower-sessions, the same for its two releases.

macro_rules! release {
    ($release:ident, $library:ident) => {
        pub(crate) mod $release {
            use std::convert::Infallible;

            use ::$library::{Expiry, MemoryStore, Session, SessionManagerLayer};
            use bytes::Bytes;
            use http::{Request, Response};
            use http_body_util::Full;
            use time::Duration;
            use tower::{Layer, Service, service_fn};
            use work::Outcome;

            use crate::site::{Handle, Site};

            pub(crate) fn layer() -> SessionManagerLayer<MemoryStore> {
                SessionManagerLayer::new(MemoryStore::default())
                    .with_expiry(Expiry::OnInactivity(Duration::days(14)))
            }

            async fn handler(
                request: Request<()>,
                site: &'static Site,
            ) -> Result<Response<Full<Bytes>>, Infallible> {
                let session = request.extensions().get::<Session>().cloned();
                site.answer(request.uri().path(), session).await
            }

            pub(crate) fn service(
                site: &'static Site,
            ) -> impl Service<
                Request<()>,
                Response = Response<Full<Bytes>>,
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
                    let session = self.as_ref().ok_or("no session")?;
                    Ok(session.insert(key, value).await?)
                }

                async fn cycle(&mut self) -> Outcome<()> {
                    Ok(self.as_ref().ok_or("no session")?.cycle_id().await?)
                }
            }
        }
    };
}

release!(v14, tower_sessions);
release!(v15, tower_sessions_015);

pub(crate) const COOKIE: &str = "id";
