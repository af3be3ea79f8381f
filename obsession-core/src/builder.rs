//! How a manager is put together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::events::Listener;
use crate::id::TokenHasher;
use crate::manager::Shared;
use crate::turns::Turns;
use crate::until::FOREVER;
use crate::watchers::Watchers;
use crate::{
    Clock, Events, Lifetime, Serializer, SessionIndex, SessionManager, SessionStore, SystemClock,
    Unreadable,
};

/// Configures a [`SessionManager`].
#[must_use]
pub struct SessionManagerBuilder {
    shared: Shared,
}

impl SessionManagerBuilder {
    pub(crate) fn new(store: Arc<dyn SessionStore>, index: Option<Arc<dyn SessionIndex>>) -> Self {
        Self {
            shared: Shared {
                store,
                index,
                serializer: Serializer::default(),
                lifetime: Lifetime::default(),
                touch_every: None,
                max_size: 64 * 1024,
                hasher: TokenHasher::new(""),
                random: getrandom::fill,
                clock: Arc::new(SystemClock),
                deadline: Duration::from_secs(2),
                request_deadline: Duration::from_secs(10),
                watch_every: Duration::from_secs(5),
                watchers: Arc::new(Watchers::new()),
                unreadable: Unreadable::default(),
                events: Listener::default(),
                turns: Turns::default(),
            },
        }
    }

    /// How values are written; [`Serializer::Json`] unless set.
    pub fn serializer(mut self, serializer: Serializer) -> Self {
        self.shared.serializer = serializer;
        self
    }

    /// How long sessions live that have no lifetime of their own.
    ///
    /// A shorter absolute lifetime holds for existing sessions at once; a shorter idle timeout
    /// from their next write on.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.shared.lifetime = lifetime;
        self
    }

    /// How much later a request must make the deadline to move it, be it one that reads or one that
    /// writes; an eighth of the idle timeout unless set. A session that nobody uses any more ends up to
    /// this much before its idle timeout is over.
    pub fn touch_every(mut self, resolution: Duration) -> Self {
        self.shared.touch_every = Some(resolution);
        self
    }

    /// The largest body of a record in bytes, checked before the store is asked; 64 KiB unless set.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.shared.max_size = bytes;
        self
    }

    /// The name of the application or cookie, and the empty text unless set. A token of one realm is
    /// worthless in another that shares its store, so give each its own; changing the realm logs
    /// everybody out.
    pub fn realm(mut self, realm: &str) -> Self {
        self.shared.hasher = TokenHasher::new(realm);
        self
    }

    /// The clock; the operating system's unless set. Stores that keep deadlines themselves must be
    /// given the same one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.shared.clock = Arc::new(clock);
        self
    }

    /// How long a load, a save or a delete may take, all retries included; 2 seconds unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.shared.deadline = deadline;
        self
    }

    /// How long all work with one session during one request may take together, up to the head of the
    /// response; 10 seconds unless set. The time between two calls, in which the handler does
    /// something else, does not count. What comes too late is an [`Error::Store`](crate::Error::Store).
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.shared.request_deadline = deadline;
        self
    }

    /// How often a [watch](crate::Session::watch) asks the store whether its session still lives; 5
    /// seconds unless set, and at least a millisecond. With `n` open streams that is `n` loads in each
    /// interval. A store that [pushes](crate::SessionStore::watch) tells sooner, and then this is
    /// for what it may have missed.
    pub fn watch_every(mut self, interval: Duration) -> Self {
        self.shared.watch_every = interval.clamp(Duration::from_millis(1), FOREVER);
        self
    }

    /// What to do with damaged records; [`Unreadable::Fail`] unless set.
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.shared.unreadable = unreadable;
        self
    }

    /// Who is told what happens to sessions; nobody unless set. For several, give a pair.
    pub fn events(mut self, events: impl Events) -> Self {
        self.shared.events = Listener::new(events);
        self
    }

    /// Replaces the operating system's generator. For tests of its failure.
    #[doc(hidden)]
    pub fn random(mut self, random: fn(&mut [u8]) -> Result<(), getrandom::Error>) -> Self {
        self.shared.random = random;
        self
    }

    /// The manager.
    #[must_use]
    pub fn build(self) -> SessionManager {
        SessionManager {
            shared: Arc::new(self.shared),
        }
    }
}

impl fmt::Debug for SessionManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("store", &self.shared.store)
            .finish_non_exhaustive()
    }
}
