//! What all services of a site share, and how it is put around an inner service.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, Response, StatusCode};
use obsession_core::{Error, Session, SessionManager};

use crate::finishing::Places;
use crate::policy::SavePolicy;
use crate::service::SessionService;
use crate::transport::Transport;

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
    pub(crate) transport: Transport,
    pub(crate) on_failure: Arc<OnFailure>,
    pub(crate) save_policy: SavePolicy,
    pub(crate) give: Arc<Give>,
    pub(crate) clear_site_data: bool,
    pub(crate) places: Places,
}

type Give = dyn Fn(Session, &mut Extensions) + Send + Sync;
type OnFailure = dyn Fn(&Error) -> Response<()> + Send + Sync;

impl SessionLayer {
    /// Sessions of `manager`, whose ids travel by `transport`. A [`Cookie`](crate::Cookie) is a
    /// transport.
    #[must_use]
    pub fn new(manager: SessionManager, transport: impl Into<Transport>) -> Self {
        Self {
            shared: Arc::new(Shared {
                manager,
                transport: transport.into(),
                on_failure: Arc::new(default_answer),
                save_policy: SavePolicy::default(),
                give: Arc::new(give),
                clear_site_data: false,
                places: Places::default(),
            }),
        }
    }

    /// Answers with the head that `answer` makes, and an empty body, where the changes of a request
    /// could not be saved, or whose handler gave an error after its session could not be loaded, saved
    /// or deleted. A handler that gives a response of its own has answered: that one is sent.
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

    /// What is saved where the handler failed; [`SavePolicy::UnlessFailed`] unless set.
    #[must_use]
    pub fn save_policy(mut self, policy: SavePolicy) -> Self {
        Arc::make_mut(&mut self.shared).save_policy = policy;
        self
    }

    /// Gives handlers what `wrap` makes of the session, in the place of a [`Session`].
    ///
    /// For two independent sessions in one request: each layer has a cookie of its own name, and
    /// one of them hands out a type of its own, which in axum is an `Extension<AdminSession>`. Tell
    /// their managers apart by [`realm`](obsession_core::SessionManagerBuilder::realm) where they
    /// share a store.
    ///
    /// ```
    /// use obsession_core::{MemoryStore, Session, SessionManager};
    /// use obsession_hyper::{Cookie, SessionLayer};
    ///
    /// /// In the extensions of requests, beside the [`Session`] of the site.
    /// #[derive(Clone)]
    /// struct AdminSession(Session);
    ///
    /// let site = SessionLayer::new(SessionManager::new(MemoryStore::new()), Cookie::default());
    /// let admin = Cookie::builder("__Host-admin").build()?;
    /// let admins = SessionLayer::new(SessionManager::new(MemoryStore::new()), admin)
    ///     .give(AdminSession);
    /// let both = admins.layer(site.layer("a service"));
    /// # let _ = both;
    /// # Ok::<(), obsession_hyper::CookieError>(())
    /// ```
    #[must_use]
    pub fn give<T: Clone + Send + Sync + 'static>(
        mut self,
        wrap: impl Fn(Session) -> T + Send + Sync + 'static,
    ) -> Self {
        let give = move |session, extensions: &mut Extensions| {
            extensions.insert(wrap(session));
        };
        Arc::make_mut(&mut self.shared).give = Arc::new(give);
        self
    }

    /// Says `Clear-Site-Data: "cache", "storage"` wherever a client is told to forget its id, unless
    /// the handler said something of its own (OWASP ASVS 5.0 14.3.1). It reaches browsers over TLS
    /// alone, and can make them slow to sign out.
    #[must_use]
    pub fn clear_site_data(mut self) -> Self {
        Arc::make_mut(&mut self.shared).clear_site_data = true;
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

fn give(session: Session, extensions: &mut Extensions) {
    extensions.insert(session);
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
            .field("transport", &self.shared.transport)
            .finish_non_exhaustive()
    }
}
