//! What happened to sessions, for whoever keeps an audit log or counts.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::{Effect, SessionKey};

/// Is told what happens to the sessions of a manager, as soon as the outcome is known.
///
/// The call is made by the request that it happened in, so it should be short: count, or put it
/// into a channel. No lock of the session is held. A panic in it is logged and changes nothing.
///
/// An event names a session by its key, which is public, and never holds a token or a value
/// (OWASP ASVS 5.0 16.2.5). Each is told once, by the request that caused it or met it. A request that is
/// dropped in the middle of a call of the store tells nothing about it, unless it is finished by
/// others.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use obsession_core::{Event, Events, MemoryStore, SessionManager};
///
/// #[derive(Debug, Default)]
/// struct Audit(Mutex<Vec<String>>);
///
/// impl Events for Audit {
///     fn tell(&self, event: &Event) {
///         if let Event::SignedIn { key, subject } = event {
///             self.0.lock().unwrap().push(format!("{subject} signed in: {key}"));
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), obsession_core::Error> {
/// let audit = Arc::new(Audit::default());
/// let manager = SessionManager::builder(MemoryStore::new())
///     .events(Arc::clone(&audit))
///     .build();
/// let session = manager.open(None);
/// session.sign_in("user-42")?;
/// session.save().await?;
/// assert!(audit.0.lock().unwrap()[0].starts_with("user-42 signed in: "));
/// # Ok(()) }
/// ```
pub trait Events: Debug + Send + Sync + 'static {
    /// `event` has happened.
    fn tell(&self, event: &Event);
}

/// Something that happened to a session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A session was stored for the first time.
    Created {
        /// Which.
        key: SessionKey,
    },
    /// Somebody signed in, which also replaced the token.
    SignedIn {
        /// Which session is theirs.
        key: SessionKey,
        /// Who.
        subject: Arc<str>,
    },
    /// The token was replaced without a sign-in.
    Cycled {
        /// Of which session.
        key: SessionKey,
    },
    /// A session was ended before its time.
    Ended {
        /// Which.
        key: SessionKey,
        /// How.
        why: EndReason,
    },
    /// The sessions of a subject were ended by [`end_all`](crate::SessionManager::end_all).
    AllEnded {
        /// Whose.
        subject: Arc<str>,
        /// Which one was spared.
        except: Option<SessionKey>,
        /// How many were ended.
        count: usize,
    },
    /// A session was met whose time was over: by a request that had loaded it before, by one that
    /// found the application's absolute lifetime shortened, or by a [watch](crate::Session::watch).
    Expired {
        /// Which.
        key: SessionKey,
    },
    /// A cleanup removed sessions whose time was over.
    Removed {
        /// How many, in one batch.
        count: usize,
    },
    /// A token was presented of whose key there is no session: it ended, it expired, or somebody
    /// is guessing.
    Unknown {
        /// The key in the token.
        key: SessionKey,
    },
    /// A token was presented that is not the current one of its session: one that was replaced, or
    /// a guess.
    Reuse {
        /// Of which session.
        key: SessionKey,
        /// The token was replaced within the last minute, so it was likely a request that was under
        /// way. If not, somebody may have an old token (OWASP ASVS 5.0 7.2.4).
        recent: bool,
    },
    /// What the client presented under the session's name is no token.
    Malformed,
    /// The client presented several different values under the session's name.
    Duplicate,
    /// The record of a session is damaged.
    Corrupt {
        /// Which.
        key: SessionKey,
    },
    /// Changes of a request were not written.
    Dropped {
        /// Of which session; nothing for one that was not stored yet.
        key: Option<SessionKey>,
        /// How that came.
        why: DropReason,
    },
    /// A request used its session on a route that is
    /// [marked](crate::Session::mark_untouched) not to, in a build without debug assertions.
    Marked {
        /// Which route.
        route: &'static str,
    },
    /// The store answered a call, or failed to.
    Answered {
        /// Which call.
        call: StoreCall,
        /// After how long.
        took: Duration,
        /// If it failed, what it may have done.
        failed: Option<Effect>,
    },
}

/// How a session was ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EndReason {
    /// By a request of its own: [`delete`](crate::Session::delete), a sign-out.
    Deleted,
    /// From outside: [`end`](crate::SessionManager::end), a click on another device.
    Revoked,
}

/// How changes of a request came to be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DropReason {
    /// The session was ended, or has expired, since the request loaded it.
    Ended,
    /// Another request has replaced the token since.
    Replaced,
    /// They did not fit, could not be encoded or met other changes, and the application made no
    /// others.
    Refused,
    /// The handler failed, so what it had not saved itself was not saved.
    HandlerFailed,
    /// Saving failed at the end of the request; nothing was written.
    StoreFailed,
    /// Nobody can say whether they were written.
    InDoubt,
    /// They were made after the head of the response, and would have needed a cookie.
    HeadSent,
}

/// A call of a [`SessionStore`](crate::SessionStore) or a [`SessionIndex`](crate::SessionIndex).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StoreCall {
    /// [`load`](crate::SessionStore::load)
    Load,
    /// [`create`](crate::SessionStore::create)
    Create,
    /// [`update`](crate::SessionStore::update)
    Update,
    /// [`touch`](crate::SessionStore::touch)
    Touch,
    /// [`delete`](crate::SessionStore::delete)
    Delete,
    /// [`delete_expired`](crate::SessionStore::delete_expired)
    DeleteExpired,
    /// [`list`](crate::SessionIndex::list)
    List,
    /// [`delete_subject`](crate::SessionIndex::delete_subject)
    DeleteSubject,
}

impl StoreCall {
    /// What a call may have done that has not been answered in time.
    pub(crate) const fn effect_if_late(self) -> Effect {
        match self {
            Self::Load | Self::List => Effect::NotApplied,
            Self::Create
            | Self::Update
            | Self::Touch
            | Self::Delete
            | Self::DeleteExpired
            | Self::DeleteSubject => Effect::Unknown,
        }
    }

    /// The method's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::Update => "update",
            Self::Touch => "touch",
            Self::Delete => "delete",
            Self::DeleteExpired => "delete_expired",
            Self::List => "list",
            Self::DeleteSubject => "delete_subject",
        }
    }
}

impl<E: Events + ?Sized> Events for Arc<E> {
    fn tell(&self, event: &Event) {
        (**self).tell(event);
    }
}

/// Both are told, the first one first.
impl<A: Events, B: Events> Events for (A, B) {
    fn tell(&self, event: &Event) {
        self.0.tell(event);
        self.1.tell(event);
    }
}

/// Where a manager's events go, if anywhere.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<dyn Events>>);

impl Listener {
    pub(crate) fn new(events: impl Events) -> Self {
        Self(Some(Arc::new(events)))
    }

    pub(crate) fn listens(&self) -> bool {
        self.0.is_some()
    }

    /// Tells what `event` makes, if somebody listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = &self.0 {
            let event = event();
            // The outcome stands, and a request that reports it goes on, whatever becomes of the
            // report.
            if catch_unwind(AssertUnwindSafe(|| events.tell(&event))).is_err() {
                tracing::error!(?event, "an observer of sessions panicked");
            }
        }
    }
}
