//! Extractors for axum's handlers.

use std::fmt;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::request::Parts;
use http::{Response as Head, StatusCode};
use obsession_core::{Error, Session};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layer::status_of;

/// The session of the request, as a handler's argument. It does no I/O: the session is loaded when
/// it is first looked at.
///
/// With an [`Option`] around it, it is nothing where no [`SessionLayer`](crate::SessionLayer) is in
/// front of the route, and a [`SessionRejection::NoLayer`] without.
///
/// ```
/// use axum::{Router, routing::get};
/// use obsession_core::{MemoryStore, SessionManager};
/// use obsession_hyper::{Cookie, CurrentSession, SessionLayer, SessionRejection};
///
/// async fn count(session: CurrentSession) -> Result<String, SessionRejection> {
///     let visits = session.update("visits", |n: &mut u64| { *n += 1; *n }).await?;
///     Ok(format!("visits: {visits}"))
/// }
///
/// let sessions = SessionLayer::new(SessionManager::new(MemoryStore::new()), Cookie::default());
/// let app: Router = Router::new().route("/", get(count)).layer(sessions);
/// ```
#[derive(Clone, Debug)]
pub struct CurrentSession(pub Session);

/// A type with a place of its own in the session, for [`Value`].
pub trait SessionEntry: Serialize + DeserializeOwned {
    /// The entry's name.
    const NAME: &'static str;
}

/// One whole entry of the session, as a handler's argument: loaded when it is extracted, changed
/// by [`update`](Self::update) or [`set`](Self::set), saved with the session's other changes before
/// the response head is sent.
///
/// An entry that is not there is the type's default, or [`None`] with an [`Option`] around it, for
/// which the type needs no default. What is extracted is what was there when it was: there is no
/// mutable access, since a change that is put down like that would undo another request's.
///
/// ```
/// use obsession_hyper::{SessionEntry, SessionRejection, Value};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Cart {
///     items: Vec<String>,
/// }
///
/// impl SessionEntry for Cart {
///     const NAME: &'static str = "cart";
/// }
///
/// async fn add(mut cart: Value<Cart>) -> Result<String, SessionRejection> {
///     cart.update(|cart| cart.items.push("quince".to_owned())).await?;
///     Ok(format!("{} in the cart", cart.items.len()))
/// }
///
/// async fn show(cart: Option<Value<Cart>>) -> String {
///     cart.map_or_else(|| "no cart".to_owned(), |cart| cart.items.join(", "))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Value<T> {
    session: Session,
    value: T,
}

impl<T> Value<T> {
    /// The value as it was extracted or last changed here.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The session that it is in, for instance to [`save`](Session::save) it at once.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl<T: SessionEntry> Value<T> {
    /// Changes the value, from its default if there is none, and gives what `change` gave.
    ///
    /// `change` runs again if another request writes the session before this one's changes arrive:
    /// it is [`Session::update`].
    ///
    /// # Errors
    ///
    /// As for [`Session::update`].
    pub async fn update<R>(
        &mut self,
        change: impl FnMut(&mut T) -> R + Send + 'static,
    ) -> Result<R, Error>
    where
        T: Default,
    {
        let given = self.session.update(T::NAME, change).await?;
        if let Some(value) = self.session.get(T::NAME).await? {
            self.value = value;
        }
        Ok(given)
    }

    /// Puts down `value`, whatever was there.
    ///
    /// # Errors
    ///
    /// As for [`Session::insert`].
    pub fn set(&mut self, value: T) -> Result<(), Error> {
        self.session.insert(T::NAME, &value)?;
        self.value = value;
        Ok(())
    }

    /// Removes the entry.
    ///
    /// # Errors
    ///
    /// As for [`Session::remove`].
    pub fn remove(self) -> Result<T, Error> {
        self.session.remove(T::NAME)?;
        Ok(self.value)
    }
}

/// Why there is no session for a handler. As an answer it has an empty body: what went wrong is
/// logged and nobody else's business.
///
/// A handler that gives `Result<_, SessionRejection>` can use `?` on what a session answers.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionRejection {
    /// No [`SessionLayer`](crate::SessionLayer) is in front of the route; status 500.
    NoLayer,
    /// The session could not do it: 503 where the store or the random generator failed, 409 for an
    /// [`Error::Conflict`] or an [`Error::Ended`], 500 else.
    Session(Error),
}

impl SessionRejection {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoLayer => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Session(error) => status_of(error),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentSession {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
        session_of(parts).ok_or(SessionRejection::NoLayer)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentSession {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Self>, std::convert::Infallible> {
        Ok(session_of(parts))
    }
}

impl<S: Send + Sync, T: SessionEntry + Default> FromRequestParts<S> for Value<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
        let CurrentSession(session) = session_of(parts).ok_or(SessionRejection::NoLayer)?;
        let value = session.get(T::NAME).await?.unwrap_or_default();
        Ok(Self { session, value })
    }
}

impl<S: Send + Sync, T: SessionEntry> OptionalFromRequestParts<S> for Value<T> {
    type Rejection = SessionRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Self>, SessionRejection> {
        let CurrentSession(session) = session_of(parts).ok_or(SessionRejection::NoLayer)?;
        let value = session.get(T::NAME).await?;
        Ok(value.map(|value| Self { session, value }))
    }
}

impl Deref for CurrentSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl<T> Deref for Value<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl From<Error> for SessionRejection {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        tracing::error!(
            error = &self as &dyn std::error::Error,
            "no session for a handler"
        );
        let mut head = Head::new(axum_core::body::Body::empty());
        *head.status_mut() = self.status();
        let no_store = HeaderValue::from_static("no-store");
        head.headers_mut().insert(CACHE_CONTROL, no_store);
        head
    }
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLayer => "no session layer is in front of this route",
            Self::Session(_) => "the session could not be used",
        })
    }
}

impl std::error::Error for SessionRejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoLayer => None,
            Self::Session(error) => Some(error),
        }
    }
}

fn session_of(parts: &Parts) -> Option<CurrentSession> {
    parts.extensions.get().cloned().map(CurrentSession)
}
