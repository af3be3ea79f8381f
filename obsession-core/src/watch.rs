//! Waiting for the end of a session, for answers that take longer than a page.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::live::{Live, checked};
use crate::manager::{Shared, bounded};
use crate::session::Session;
use crate::watchers::Place;
use crate::{Bell, Effect, Event, SessionKey, StoreCall, Timestamp};

/// How long after a look that its store rang for the next such look comes at the earliest. A session
/// that is written all the time would be loaded all the time otherwise.
const REST: Duration = Duration::from_millis(100);

/// How a [watch](Session::watch) came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WatchEnd {
    /// The session was ended, or there is none.
    Ended,
    /// Its time is over.
    Expired,
    /// It is somebody else's now, or somebody has signed in.
    OtherSubject,
}

/// The session that is watched, as the request saw it.
struct Watched {
    key: SessionKey,
    subject: Option<Arc<str>>,
    expires_at: Timestamp,
}

/// What a look at the store says.
enum Look {
    Over(WatchEnd),
    /// It lives, at least until then.
    Until(Timestamp),
    /// The store could not say, which says nothing about the session.
    Unanswered,
}

impl Session {
    /// Waits until the session is ended, expires or changes its subject, so that a stream of events
    /// or a WebSocket can end with it.
    ///
    /// What this manager does is noticed at once: an end, [`end`](crate::SessionManager::end) and
    /// [`end_all`](crate::SessionManager::end_all), a cycle with or without a sign-in, another lifetime. What other
    /// processes do, a store that pushes tells in about the time that a message takes, as that on Redis
    /// does: see [`SessionStore::watch`](crate::SessionStore::watch). In any case it is asked once per
    /// [`watch_every`](crate::SessionManagerBuilder::watch_every), and once more when the deadline
    /// comes that was known: it may have been moved, and if not, the watch ends in that millisecond
    /// of the manager's clock. So there is one load when it begins and then one each interval, one at a
    /// deadline, one for each of the things above that happens here, and one for whatever the store
    /// tells of, at most ten in a second: also a write that ends nothing may be told. A cycle that signs
    /// nobody in is no end.
    ///
    /// A store that fails ends no session: the watch goes on and asks again after the interval, also
    /// beyond the deadline that it knew. Where something is known to have happened, it asks sooner at
    /// first, and then ever later up to the interval. Watching is no use of the session, so it does not keep it
    /// alive.
    ///
    /// What is watched is what is stored, from the first poll on: of changes that this request has
    /// not saved it knows nothing, so [`save`](Self::save) a new session or a sign-in first. Where
    /// there is no session, it has ended.
    ///
    /// The future holds no lock and may be dropped at any time. It does not keep the request's handle
    /// open once it has begun. It needs a tokio runtime with its timer enabled.
    ///
    /// ```
    /// # use obsession_core::{MemoryStore, SessionManager, WatchEnd};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), obsession_core::Error> {
    /// # let manager = SessionManager::new(MemoryStore::new());
    /// let session = manager.open(None);
    /// session.sign_in("user-42")?;
    /// session.save().await?;
    ///
    /// let watch = tokio::spawn(session.watch());
    /// session.delete().await?;
    /// assert_eq!(watch.await.ok(), Some(WatchEnd::Ended));
    /// # Ok(()) }
    /// ```
    pub fn watch(&self) -> impl Future<Output = WatchEnd> + Send + use<> {
        let session = self.clone();
        async move {
            let manager = session.manager().clone();
            let shared = &*manager.shared;
            while let Err(error) = session.look().await {
                tracing::debug!(%error, "a watch could not begin yet");
                sleep(shared.watch_every).await;
            }
            let Some(watched) = session.watched() else {
                return WatchEnd::Ended;
            };
            drop(session);
            let subject = watched.subject.clone();
            let place = shared.watchers.enter(watched.key, subject);
            shared.watch(watched, &place).await
        }
    }

    fn watched(&self) -> Option<Watched> {
        let state = self.state();
        let Live { record, body } = state.shown()?;
        let limit = self
            .0
            .manager
            .shared
            .effective(body)
            .limit(record.created_at);
        Some(Watched {
            key: record.key,
            subject: record.subject.clone(),
            expires_at: record.expires_at.min(limit),
        })
    }
}

/// When somebody looks who watches.
struct Turn {
    /// When he may next look because the store has rung.
    earliest: Instant,
    /// When he looks at the latest.
    latest: Instant,
    /// What has happened is not known yet: how long to wait before asking again.
    unknown: Option<Duration>,
}

/// What made somebody look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// This manager, or the store, has said that something happened.
    Rung,
    /// It was time to.
    Time,
}

impl Shared {
    async fn watch(&self, mut watched: Watched, place: &Place) -> WatchEnd {
        let mut bell = Bell::silent();
        let mut turn = Turn {
            earliest: Instant::now(),
            latest: Instant::now(),
            unknown: None,
        };
        loop {
            // Before the load: what happens after it rings, and what has happened before it is seen.
            if bell.is_silent() {
                bell = self.bell(&watched.key).await;
            }
            let known = match self.look_again(&watched).await {
                Look::Over(end) => {
                    tracing::debug!(key = %watched.key, ?end, "a watched session is over");
                    if end == WatchEnd::Expired {
                        let key = watched.key;
                        self.events.tell(|| Event::Expired { key });
                    }
                    return end;
                }
                Look::Until(deadline) => {
                    watched.expires_at = deadline;
                    turn.unknown = None;
                    true
                }
                Look::Unanswered => false,
            };
            turn.latest = Instant::now()
                + turn
                    .unknown
                    .map_or(self.watch_every, |pause| pause.min(self.watch_every));
            let why = self
                .wait(&watched, known, &mut turn, place, &mut bell)
                .await;
            turn.unknown = match (why, turn.unknown) {
                (Why::Rung, _) => Some(REST),
                (Why::Time, unknown) => unknown.map(|pause| (pause * 2).min(self.watch_every)),
            };
        }
    }

    /// Has the store ring, if it does, and if it can say so in time.
    async fn bell(&self, key: &SessionKey) -> Bell {
        match bounded(&self.until(), self.store().watch(key), Effect::NotApplied).await {
            Ok(bell) => bell,
            Err(error) => {
                tracing::debug!(%key, %error, "a watch goes on without being told by the store");
                Bell::silent()
            }
        }
    }

    /// Waits until it is time to look again: somebody has rung, the interval is over, or the
    /// deadline, if it is `known` for sure.
    async fn wait(
        &self,
        watched: &Watched,
        known: bool,
        turn: &mut Turn,
        place: &Place,
        bell: &mut Bell,
    ) -> Why {
        let mut rung = false;
        loop {
            let now = Instant::now();
            if rung && now >= turn.earliest {
                turn.earliest = now + REST;
                return Why::Rung;
            }
            let until = if rung {
                turn.earliest.min(turn.latest)
            } else {
                turn.latest
            };
            let mut rest = until.saturating_duration_since(now);
            if known {
                let left = watched.expires_at.saturating_since(self.clock.now());
                // Time that can be set stands still or jumps, and timers know nothing of it.
                if left.is_zero() {
                    return Why::Time;
                }
                rest = rest.min(left);
            }
            if rest.is_zero() {
                return if rung { Why::Rung } else { Why::Time };
            }
            tokio::select! {
                () = place.bell.notified() => return Why::Rung,
                () = &mut *bell, if !rung => rung = true,
                () = sleep(rest) => {}
            }
        }
    }

    async fn look_again(&self, watched: &Watched) -> Look {
        let key = watched.key;
        let loading = self.store().load(&key);
        let until = self.until();
        let found = self.call(StoreCall::Load, &until, loading);
        let found = match found.await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%key, %error, "a watch goes on without an answer");
                return Look::Unanswered;
            }
        };
        let now = self.clock.now();
        let Some(record) = found else {
            return Look::Over(if now >= watched.expires_at {
                WatchEnd::Expired
            } else {
                WatchEnd::Ended
            });
        };
        let Ok(body) = checked(&key, &record) else {
            return Look::Unanswered;
        };
        let deadline = record
            .expires_at
            .min(self.effective(&body).limit(record.created_at));
        if now >= deadline {
            Look::Over(WatchEnd::Expired)
        } else if record.subject != watched.subject {
            Look::Over(WatchEnd::OtherSubject)
        } else {
            Look::Until(deadline)
        }
    }
}
