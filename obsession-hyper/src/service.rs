//! The service that gives every request a session.

use std::sync::Arc;

use http::{Request, Response};
use obsession_core::{Error, Session, SessionManager};

use crate::body::SessionBody;
use crate::future::SessionFuture;
use crate::layer::SessionLayer;
use crate::policy::SavePolicy;
use crate::source::RequestSource;
use crate::tell::Teller;
use crate::transport::Transport;

/// A service that puts a [`Session`] into the extensions of every request, saves it before the
/// response head is sent, and sends the cookie when there is news.
///
/// It is a hyper service around a hyper service, and with the feature `tower` a tower service
/// around a tower service. Of the inner one it asks that it answers an [`http::Request`] with an
/// [`http::Response`], and nothing else: it is [`Clone`], [`Send`] and whatever its server wants
/// where the inner service and its future are, and errors pass through as they are.
///
/// | the request | store | cookie |
/// |---|---|---|
/// | did not touch the session | nothing | nothing |
/// | read it | load (touch if due) | re-issue if due |
/// | changed it | load, update | only if the id or its lifetime changed |
/// | made it | create | set |
/// | deleted it | load, delete | clear, with the same attributes |
/// | found it missing, stale or ended elsewhere | load | nothing |
/// | store failed | - | nothing; 503 by a configurable answer |
///
/// A response with status 5xx, an error of the inner service or a panic means that the handler
/// failed: what it had not saved itself is dropped, unless another
/// [`SavePolicy`] is set. Saving that is not done at once goes on in a task of its own when the client
/// disconnects, which so does not cut it in half; of these tasks there are at most 10,000, and beyond them
/// such a request ends where it is, and is logged.
///
/// While the body is produced, whoever still has the session can change its values: they are saved
/// when the body ends, before the client sees the end, or when it is dropped. What would need a
/// cookie is an [`Error::HeadSent`] by then.
///
/// The handler runs in a `tracing` span `session` at the level debug, so that what it logs names the
/// key of its session. What happens to the session is logged with the reason: loaded, written and
/// which names, touched, sent to the client and because of what. No token and no value is.
///
/// Where the id travels by another [`Transport`], what is said of the cookie holds for that.
///
/// A response with our cookie says `Cache-Control: no-store` (RFC 9111 5.2.2.5), whatever the handler
/// said that is less, and one that looked at the session says `Vary: Cookie`, or names the header
/// that was read. In the request that the inner service sees, these lines are marked as sensitive.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    pub(crate) inner: S,
    pub(crate) layer: SessionLayer,
}

impl<S> SessionService<S> {
    /// Puts sessions of `manager`, whose ids travel by `transport`, around `inner`. A
    /// [`Cookie`](crate::Cookie) is a transport.
    pub fn new(inner: S, manager: SessionManager, transport: impl Into<Transport>) -> Self {
        SessionLayer::new(manager, transport).layer(inner)
    }

    /// The answer to a request whose changes could not be saved:
    /// [`SessionLayer::on_failure`].
    #[must_use]
    pub fn on_failure(
        self,
        answer: impl Fn(&Error) -> Response<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            layer: self.layer.on_failure(answer),
            ..self
        }
    }

    /// What is saved where the handler failed: [`SessionLayer::save_policy`].
    #[must_use]
    pub fn save_policy(self, policy: SavePolicy) -> Self {
        Self {
            layer: self.layer.save_policy(policy),
            ..self
        }
    }

    /// Opens the session of `request` and puts it there.
    fn open<B>(&self, request: &mut Request<B>) -> (Session, Teller) {
        let shared = &self.layer.shared;
        let source = RequestSource::new(request, shared);
        let teller = Teller::new(source.came_by(), Arc::clone(shared));
        let session = shared.manager.open_with(source);
        (shared.give)(session.clone(), request.extensions_mut());
        (session, teller)
    }
}

impl<S, B, R> hyper::service::Service<Request<B>> for SessionService<S>
where
    S: hyper::service::Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<SessionBody<R>>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, R>;

    fn call(&self, mut request: Request<B>) -> Self::Future {
        let (session, teller) = self.open(&mut request);
        let inner = session.span().in_scope(|| self.inner.call(request));
        SessionFuture::new(inner, session, teller)
    }
}

#[cfg(feature = "tower")]
impl<S, B, R> tower_service::Service<Request<B>> for SessionService<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<SessionBody<R>>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, R>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Calls the inner service here and now, so that it is the one which said that it is ready: a
    /// clone that a future took along would not have.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (session, teller) = self.open(&mut request);
        let inner = session.span().in_scope(|| self.inner.call(request));
        SessionFuture::new(inner, session, teller)
    }
}
