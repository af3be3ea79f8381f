//! The handle that an application holds.

use std::fmt;
use std::sync::{Arc, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::changes::Change;
use crate::guard::ValueMut;
use crate::locked::Locked;
use crate::serializer::Value;
use crate::source::IdSource;
use crate::state::State;
use crate::{Error, Lifetime, Record, SessionManager};

/// One client's session during one request: a map with a memory.
///
/// Opening it does no I/O. The first look loads it, once, whatever else looks at the same time;
/// changes are collected and written together at the end of the request, or by
/// [`save`](Self::save). Clones are the same session.
///
/// When another request has written in between, the changes of this one are made again on the
/// newer record, so use [`update`](Self::update) for what depends on the old value: its closure
/// then sees the newer one, and no increment is lost. [`insert`](Self::insert) puts down a value
/// whatever was there.
///
/// If that other request has replaced the token, it depends. After a sign-in the changes of this one
/// are dropped, since they came with the token before it. After a plain [`cycle`](Self::cycle) they
/// are still written, but from then on this request sees nothing and changes nothing.
///
/// ```
/// # use obsession_core::{MemoryStore, SessionManager};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), obsession_core::Error> {
/// # let manager = SessionManager::new(MemoryStore::new());
/// let session = manager.open(None);
///
/// session.insert("theme", "dark")?;
/// session.update("visits", |n: &mut u64| *n += 1).await?;
/// if let Some(mut cart) = session.get_mut::<Vec<String>>("cart").await? {
///     cart.push("quince".to_owned());
/// }
///
/// assert_eq!(session.get::<u64>("visits").await?, Some(1));
/// assert_eq!(session.names().await?, ["theme", "visits"]);
/// session.remove("theme")?;
/// session.save().await?;
/// # Ok(()) }
/// ```
pub struct Session(pub(crate) Arc<Shared<dyn IdSource>>);

pub(crate) struct Shared<S: ?Sized> {
    pub(crate) manager: SessionManager,
    /// Held by whoever talks to the store.
    pub(crate) io: tokio::sync::Mutex<()>,
    state: std::sync::Mutex<State>,
    pub(crate) span: tracing::Span,
    pub(crate) source: S,
}

impl Session {
    pub(crate) fn new(manager: SessionManager, source: impl IdSource) -> Self {
        let observed = manager.shared.events.listens();
        let span = tracing::debug_span!("session", key = tracing::field::Empty);
        // It takes the memory first, so that all of this is made there and not copied.
        Self(Arc::new_cyclic(|_: &Weak<Shared<_>>| Shared {
            manager,
            source,
            span,
            io: tokio::sync::Mutex::new(()),
            state: std::sync::Mutex::new(State::new(observed)),
        }))
    }

    /// The value of `name`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if it is not a `T`; [`Error::Store`] or [`Error::Corrupt`] if the session
    /// could not be loaded.
    pub async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        self.value(name)
            .await?
            .map(|value| value.decode(name))
            .transpose()
    }

    /// Whether there is a value of `name`, of whatever type.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`] if the session could not be loaded.
    pub async fn contains(&self, name: &str) -> Result<bool, Error> {
        Ok(self.value(name).await?.is_some())
    }

    /// The names of all values, in ascending order.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`] if the session could not be loaded.
    pub async fn names(&self) -> Result<Vec<String>, Error> {
        self.look().await?;
        let state = self.state();
        Ok(state
            .view
            .entries(state.body())
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect())
    }

    /// How many values there are.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`] if the session could not be loaded.
    pub async fn len(&self) -> Result<usize, Error> {
        self.look().await?;
        let state = self.state();
        Ok(state.view.entries(state.body()).count())
    }

    /// Whether there are no values.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`] if the session could not be loaded.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Sets the value of `name`, whatever it was. The value is encoded here and now.
    ///
    /// Setting it to what it was when this request loaded the session is no change, and is not
    /// written: another request's value may have come between, and stays. To decide by what is there
    /// at the time of the write, use [`update`](Self::update).
    ///
    /// # Errors
    ///
    /// [`Error::Encode`]; [`Error::Ended`] or [`Error::Closed`] if nothing can be changed any more.
    pub fn insert<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Error> {
        let value = self.0.manager.shared.serializer.encode(name, value)?;
        self.push(Change::Insert {
            name: name.into(),
            value,
        })
    }

    /// Removes the value of `name`, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] or [`Error::Closed`] if nothing can be changed any more.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.push(Change::Remove { name: name.into() })
    }

    /// Removes all values. The session stays, with its id, its subject and its lifetime; to end it,
    /// [`delete`](Self::delete) it.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] or [`Error::Closed`] if nothing can be changed any more.
    pub fn clear(&self) -> Result<(), Error> {
        self.push(Change::Clear)
    }

    /// Changes the value of `name` in place, from `T::default()` if there is none, and gives what
    /// `change` gave.
    ///
    /// `change` runs again whenever another request has written the session before this one's
    /// changes arrive, on the newer value; it should do nothing else than change its argument.
    /// What is given here is from its first run. It must not use the session, nor hold a clone of
    /// it, which would keep both alive.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if the value is not a `T`, [`Error::Encode`], or as for
    /// [`get`](Self::get) and [`insert`](Self::insert).
    pub async fn update<T, R>(
        &self,
        name: &str,
        change: impl FnMut(&mut T) -> R + Send + 'static,
    ) -> Result<R, Error>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        let name: Arc<str> = name.into();
        let serializer = self.0.manager.shared.serializer;
        let run = {
            let name = Arc::clone(&name);
            let mut change = change;
            move |old: Option<&Value>| {
                let mut value: T = old.map_or_else(|| Ok(T::default()), |old| old.decode(&name))?;
                let given = change(&mut value);
                Ok((given, serializer.encode(&name, &value)?))
            }
        };
        self.update_with(&name, run).await
    }

    async fn update_with<R>(
        &self,
        name: &Arc<str>,
        mut run: impl FnMut(Option<&Value>) -> Result<(R, Value), Error> + Send + 'static,
    ) -> Result<R, Error> {
        let mut old = self.value(name).await?;
        loop {
            // Without the lock: this is code of the application.
            let (given, value) = run(old.as_ref())?;
            {
                let mut state = self.state();
                if !state.is_deleting() {
                    state.check_open()?;
                    state.check_place()?;
                    let now = state.view.get(state.body(), name);
                    if now == old {
                        state.view.set(name, Some(value));
                        let rerun =
                            Box::new(move |old: Option<&Value>| run(old).map(|(_, value)| value));
                        state.log.push(Change::Update {
                            name: Arc::clone(name),
                            rerun,
                        });
                        return Ok(given);
                    }
                }
            }
            // A clone of this handle was first, or has begun a delete, which is waited for.
            old = self.value(name).await?;
        }
    }

    /// The value of `name`, which becomes `default()` if there is none.
    ///
    /// If another request sets it first, theirs stays, and what is given here is not it. Where that
    /// matters, [`save`](Self::save) and [`get`](Self::get) it again.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get) and [`insert`](Self::insert).
    pub async fn get_or_insert_with<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        default: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        if let Some(value) = self.get(name).await? {
            return Ok(value);
        }
        let value = default();
        let encoded = self.0.manager.shared.serializer.encode(name, &value)?;
        self.push(Change::InsertIfAbsent {
            name: name.into(),
            value: encoded,
        })?;
        Ok(value)
    }

    /// The value of `name` in a guard, which writes it when it is dropped if it was changed.
    ///
    /// Unlike with [`update`](Self::update), the change cannot be made again: if another request
    /// writes this value in between, saving is an [`Error::Conflict`].
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub async fn get_mut<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<ValueMut<'_, T>>, Error> {
        let Some(seen) = self.value(name).await? else {
            return Ok(None);
        };
        Ok(Some(ValueMut::new(self, name, seen.decode(name)?, seen)))
    }

    /// Removes the value of `name` and gives it to exactly one of all requests that try.
    ///
    /// That takes a write: if there is something to take, everything that was changed so far is
    /// saved with it, here and now. If that fails, nobody has it, and it may be gone.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] if it is not a `T`, and then it is left there; or as for
    /// [`get`](Self::get) and [`save`](Self::save).
    pub async fn take<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.value(name).await? else {
            return Ok(None);
        };
        let mut taken: T = value.decode(name)?;
        let found = Arc::new(std::sync::Mutex::new(None));
        self.push(Change::Take {
            name: name.into(),
            found: Arc::clone(&found),
        })?;
        self.save().await?;
        let Some(last) = crate::lock(&found).take() else {
            return Ok(None);
        };
        if last != value {
            taken = last.decode(name)?;
        }
        Ok(Some(taken))
    }

    /// Replaces the token when the changes are saved; the old one is dead from then on.
    ///
    /// For every change of what the user may do. [`sign_in`](Self::sign_in) does it by itself.
    /// Where there is no session and nothing to store, there is nothing to replace.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] or [`Error::Closed`] if nothing can be changed any more.
    pub fn cycle(&self) -> Result<(), Error> {
        self.push(Change::Cycle)
    }

    /// Makes this the session of `subject`, and replaces the token (OWASP ASVS 5.0 7.2.4): one
    /// write, together with all other changes. The absolute lifetime starts again.
    ///
    /// What an anonymous visitor had in it stays. If somebody else was signed in, nothing of theirs
    /// does: all values up to here are removed, and a lifetime of its own is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSubject`] for more than 1,024 bytes or a NUL; [`Error::Ended`] or
    /// [`Error::Closed`] if nothing can be changed any more.
    pub fn sign_in(&self, subject: &str) -> Result<(), Error> {
        if subject.len() > Record::MAX_SUBJECT || subject.contains('\0') {
            return Err(Error::InvalidSubject);
        }
        self.state().push_sign_in(Change::SignIn {
            subject: subject.into(),
        })
    }

    /// Gives this session a lifetime of its own, and tells the client when the changes are saved.
    ///
    /// A site that stores something for every visitor gives those sessions a few minutes when it makes
    /// them, and back its [`Lifetime`] at the sign-in: that bounds what a flood of visitors, each
    /// without a cookie, can fill the store with.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] or [`Error::Closed`] if nothing can be changed any more.
    pub fn set_lifetime(&self, lifetime: Lifetime) -> Result<(), Error> {
        self.push(Change::Lifetime(lifetime))
    }

    /// Ends the session, at once. Its data is gone and its token dead when this returns.
    ///
    /// Reads are empty from then on, and a change starts a new session with a new token. Whoever has
    /// loaded the session may end it, also if another request replaces the token meanwhile: of a
    /// sign-in and a sign-out at the same time, the sign-out wins.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`]: the session may live on. [`Error::Ended`]: it does,
    /// under a newer token that this request does not have.
    pub async fn delete(&self) -> Result<(), Error> {
        self.delete_now().await
    }

    /// Writes the changes now instead of at the end of the request. Without changes there is
    /// nothing to do.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if another request ended the session, or replaced its token by signing in:
    /// the changes were dropped. [`Error::Decode`] if another request has made the value of an
    /// [`update`](Self::update) one of another type.
    /// [`Error::Conflict`], [`Error::TooLarge`] or [`Error::Encode`]: nothing was written. The
    /// changes are still pending, so others can make them fit; if there are none, they are dropped
    /// at the end of the request. [`Error::Store`]: it says whether they may have been written;
    /// saving again is safe.
    pub async fn save(&self) -> Result<(), Error> {
        self.state().activity.looked = true;
        self.save_pending().await
    }

    pub(crate) fn state(&self) -> Locked<'_> {
        let listener = &self.0.manager.shared.events;
        Locked::new(crate::lock(&self.0.state), listener)
    }

    fn push(&self, change: Change) -> Result<(), Error> {
        self.state().push(change)
    }

    async fn value(&self, name: &str) -> Result<Option<Value>, Error> {
        self.look().await?;
        let state = self.state();
        Ok(state.view.get(state.body(), name))
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Session")
            .field("key", &state.shown().map(|live| live.record.key))
            .field("changes", &state.log)
            .field("activity", &state.activity)
            .finish_non_exhaustive()
    }
}
