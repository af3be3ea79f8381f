//! Who waits to try again after a lost compare-and-swap, in this process.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

use crate::manager::within;
use crate::until::Until;
use crate::{SessionKey, lock};

/// A queue for each session that somebody has lost a swap on. As long as nobody has, a write reads one
/// counter.
///
/// A queue is of one session alone: whoever is in it waits for a write of the store, and a queue that
/// several sessions share never empties once they write faster than one write after the other takes.
#[derive(Default)]
pub(crate) struct Turns {
    waiting: AtomicUsize,
    queues: Mutex<HashMap<SessionKey, Waiting>>,
}

#[derive(Default)]
struct Waiting {
    queue: Arc<Queue<()>>,
    places: usize,
}

/// A turn, or a place in the queue if the time was up before. Given back on drop.
pub(crate) struct Turn<'a> {
    // The order matters: the turn is over before the place is given back.
    _turn: Option<OwnedMutexGuard<()>>,
    _place: Place<'a>,
}

struct Place<'a> {
    turns: &'a Turns,
    key: SessionKey,
    queue: Arc<Queue<()>>,
}

impl Turns {
    /// Waits for a turn if somebody waits for one to this session: were newcomers to go ahead of who has
    /// lost, he would lose until he gives up.
    pub(crate) async fn behind(
        &self,
        key: impl FnOnce() -> Option<SessionKey>,
        until: &Until,
    ) -> Option<Turn<'_>> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let place = self.join(key()?, false)?;
        Some(Box::pin(place.turn(until)).await)
    }

    /// Waits for a turn, after a lost swap.
    pub(crate) async fn lost(&self, key: SessionKey, until: &Until) -> Option<Turn<'_>> {
        let place = self.join(key, true)?;
        Some(Box::pin(place.turn(until)).await)
    }

    /// A place in the queue of `key`, if there is one or it is to be made.
    fn join(&self, key: SessionKey, make: bool) -> Option<Place<'_>> {
        let mut queues = lock(&self.queues);
        if make {
            queues.entry(key).or_default();
        }
        let waiting = queues.get_mut(&key)?;
        waiting.places += 1;
        let queue = Arc::clone(&waiting.queue);
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Some(Place {
            turns: self,
            key,
            queue,
        })
    }
}

impl<'a> Place<'a> {
    async fn turn(self, until: &Until) -> Turn<'a> {
        let turn = within(until, Arc::clone(&self.queue).lock_owned()).await;
        Turn {
            _turn: turn,
            _place: self,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = lock(&self.turns.queues);
        if let Some(waiting) = queues.get_mut(&self.key) {
            waiting.places -= 1;
            if waiting.places == 0 {
                queues.remove(&self.key);
            }
        }
        self.turns.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_gone_with_the_last_one_in_it() {
        let turns = Turns::default();
        let key = |n: &str| n.repeat(SessionKey::LEN).parse().unwrap();
        let (key, other): (SessionKey, SessionKey) = (key("a"), key("b"));
        let soon = || Until::within(Duration::from_secs(1));
        assert!(turns.behind(|| Some(key), &soon()).await.is_none());

        let begun = Instant::now();
        let first = turns.lost(key, &soon()).await.unwrap();
        assert!(turns.behind(|| Some(other), &soon()).await.is_none());
        // One gives up, one is dropped while it waits, one gets its turn.
        let late = turns.behind(|| Some(key), &soon()).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        let at_once = Duration::ZERO;
        let dropped = tokio::time::timeout(at_once, turns.lost(key, &soon())).await;
        assert!(dropped.is_err());
        drop((first, late));
        let next = turns.lost(key, &soon()).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(1), "at once");
        drop(next);
        assert_eq!(turns.waiting.load(Ordering::Acquire), 0);
        assert!(lock(&turns.queues).is_empty());
    }
}
