//! What all services of a site share, and how it is put around an inner service.

use std::fmt;
use std::sync::Arc;

use http::{Response, StatusCode};
use obsession_core::{Error, SessionManager};

use crate::cookie::Cookie;
use crate::service::SessionService;

/// Puts sessions around services: a [`SessionService`] waiting for its inner one.
///
/// With the feature `tower` it is a tower `Layer`. Cloning is cheap, and clones share everything.
///
/// ```
/// use obsession_core::{MemoryStore, SessionManager};
/// use obsession_hyper::{Cookie, SessionLayer};
///
/// let sessions = SessionLayer::new(SessionManager::new(MemoryStore::new()), Cookie::default());
/// let service = sessions.layer("any service of hyper or tower");
/// # let _ = service;
/// ```
#[derive(Clone)]
pub struct SessionLayer {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) manager: SessionManager,
    pub(crate) cookie: Cookie,
    pub(crate) on_failure: Arc<OnFailure>,
}

type OnFailure = dyn Fn(&Error) -> Response<()> + Send + Sync;

impl SessionLayer {
    /// Sessions of `manager`, carried by `cookie`.
    #[must_use]
    pub fn new(manager: SessionManager, cookie: Cookie) -> Self {
        Self {
            shared: Arc::new(Shared {
                manager,
                cookie,
                on_failure: Arc::new(default_answer),
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
        mut self,
        answer: impl Fn(&Error) -> Response<()> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.shared).on_failure = Arc::new(answer);
        self
    }

    /// `inner` with sessions around it.
    pub fn layer<S>(&self, inner: S) -> SessionService<S> {
        SessionService {
            inner,
            layer: self.clone(),
        }
    }
}

#[cfg(feature = "tower")]
impl<S> tower_layer::Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        self.layer(inner)
    }
}

fn default_answer(error: &Error) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status_of(error);
    response
}

/// The status that says what went wrong, where nobody has another.
pub(crate) fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Store(_) | Error::Random(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Conflict | Error::Ended => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("manager", &self.shared.manager)
            .field("cookie", &self.shared.cookie)
            .finish_non_exhaustive()
    }
}
