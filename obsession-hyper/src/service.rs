//! The service that gives every request a session.

use std::fmt;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::service::Service;
use obsession_core::{Error, SessionManager};

use crate::body::SessionBody;
use crate::cookie::Cookie;
use crate::future::SessionFuture;
use crate::transport::CookieHeaders;

/// A hyper service that puts a [`Session`](obsession_core::Session) into the extensions of every
/// request, saves it before the response head is sent, and sends the cookie when there is news.
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
/// A response with status 5xx, or an error of the inner service, means that the handler failed:
/// what it had not saved itself is dropped. Saving runs on a task of its own, so a client that
/// disconnects does not cut it in half.
///
/// A response with our cookie says `Cache-Control: no-store` (RFC 9111 5.2.2.5), and one that
/// looked at the session says `Vary: Cookie`.
pub struct SessionService<S> {
    inner: S,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) manager: SessionManager,
    pub(crate) cookie: Cookie,
    pub(crate) on_failure: Arc<OnFailure>,
}

type OnFailure = dyn Fn(&Error) -> Response<()> + Send + Sync;

impl<S> SessionService<S> {
    /// Puts sessions of `manager`, carried by `cookie`, around `inner`.
    pub fn new(inner: S, manager: SessionManager, cookie: Cookie) -> Self {
        let on_failure = Arc::new(default_answer);
        Self {
            inner,
            shared: Arc::new(Shared {
                manager,
                cookie,
                on_failure,
            }),
        }
    }

    /// Answers with the head that `answer` makes, and an empty body, where the changes of a request
    /// could not be saved.
    ///
    /// Unless set: 503 where the store or the random generator failed, 409 for an
    /// [`Error::Conflict`], 500 else.
    #[must_use]
    pub fn on_failure(
        self,
        answer: impl Fn(&Error) -> Response<()> + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            manager: self.shared.manager.clone(),
            cookie: self.shared.cookie.clone(),
            on_failure: Arc::new(answer),
        };
        Self {
            inner: self.inner,
            shared: Arc::new(shared),
        }
    }
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<SessionBody<R>>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, R>;

    fn call(&self, mut request: Request<B>) -> Self::Future {
        let source = CookieHeaders::new(request.headers(), Arc::clone(&self.shared));
        let session = self.shared.manager.open_with(source);
        request.extensions_mut().insert(session.clone());
        SessionFuture::new(self.inner.call(request), session, Arc::clone(&self.shared))
    }
}

fn default_answer(error: &Error) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = match error {
        Error::Store(_) | Error::Random(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Conflict => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    response
}

impl<S: Clone> Clone for SessionService<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for SessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .field("manager", &self.shared.manager)
            .field("cookie", &self.shared.cookie)
            .finish_non_exhaustive()
    }
}
