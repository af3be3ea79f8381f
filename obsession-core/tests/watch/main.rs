//! Waiting for the end of a session: what ends the wait, when, and at the price of how many loads.
//!
//! | what happens | here | in another process, unless the store tells |
//! |---|---|---|
//! | it is deleted, ended from another, all of the subject's are | at once | at the next poll |
//! | somebody else signs in | at once | at the next poll |
//! | its lifetime is shortened | at the new deadline | at the poll after it |
//! | it expires | at its deadline, to the millisecond | the same |
//! | it is used and its deadline moves | not | not |
//! | its token cycles, its values change | not | not |
//! | the store fails | not | - |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod told;

use std::sync::Arc;
use std::time::Duration;

use common::{Fault, Faulty, NOW, saved};
use obsession_core::{
    Clock, Lifetime, MemoryStore, Session, SessionId, SessionManager, Timestamp, WatchEnd,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

/// Shows what tokio's clock shows, which stands still unless a test moves it.
#[derive(Clone, Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        NOW.saturating_add(self.0.elapsed())
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Ends after an hour without use.
const HOURLY: Lifetime = Lifetime::new(Duration::from_secs(3600), Duration::from_secs(86_400));

struct World {
    store: Arc<Faulty<MemoryStore>>,
    here: SessionManager,
    elsewhere: SessionManager,
}

/// A world in which the store is asked once a minute.
fn world() -> World {
    let clock = TokioClock(Instant::now());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let store = Arc::new(Faulty::new(store));
    let elsewhere = SessionManager::builder(store.inner().clone())
        .clock(clock.clone())
        .lifetime(HOURLY);
    let here = SessionManager::builder_indexed(Arc::clone(&store))
        .clock(clock)
        .lifetime(HOURLY)
        .watch_every(MINUTE);
    World {
        store,
        here: here.build(),
        elsewhere: elsewhere.build(),
    }
}

impl World {
    async fn signed_in(&self) -> SessionId {
        let session = self.elsewhere.open(None);
        session.sign_in("user-42").unwrap();
        saved(&session).await
    }

    fn open(&self, id: &SessionId) -> Session {
        self.here.open(Some(id.clone()))
    }

    /// Watches the session of `id`, as another request does.
    async fn watch(&self, id: &SessionId) -> JoinHandle<WatchEnd> {
        let watch = tokio::spawn(self.open(id).watch());
        settle().await;
        // To open it, and to begin.
        assert_eq!(self.store.calls(), ["load", "load"]);
        assert!(!watch.is_finished());
        watch
    }
}

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(Duration::from_millis(1))
}

/// Lets whoever can go on do so, without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Whether `watch` is over, and how.
async fn over(watch: &mut JoinHandle<WatchEnd>) -> Option<WatchEnd> {
    settle().await;
    if watch.is_finished() {
        Some(watch.await.unwrap())
    } else {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_through_the_same_manager_ends_it_at_once_with_one_load() {
    type Act = fn(SessionManager, SessionId) -> std::pin::Pin<Box<dyn Future<Output = ()>>>;
    let acts: [(&str, WatchEnd, Act); 4] = [
        ("delete", WatchEnd::Ended, |manager, id| {
            Box::pin(async move { manager.open(Some(id)).delete().await.unwrap() })
        }),
        ("end", WatchEnd::Ended, |manager, id| {
            Box::pin(async move {
                assert!(manager.end("user-42", &id.key()).await.unwrap());
            })
        }),
        ("end_all", WatchEnd::Ended, |manager, _| {
            Box::pin(async move {
                assert_eq!(manager.end_all("user-42", None).await.unwrap(), 1);
            })
        }),
        ("sign_in", WatchEnd::OtherSubject, |manager, id| {
            Box::pin(async move {
                let session = manager.open(Some(id));
                session.sign_in("user-43").unwrap();
                session.save().await.unwrap();
            })
        }),
    ];
    for (name, end, act) in acts {
        let world = world();
        let id = world.signed_in().await;
        let mut watch = world.watch(&id).await;
        act(world.here.clone(), id).await;
        world.store.calls();
        let began = Instant::now();
        assert_eq!(over(&mut watch).await, Some(end), "{name}");
        assert_eq!(Instant::now(), began, "{name}");
        assert_eq!(world.store.calls(), ["load"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_elsewhere_ends_it_at_the_next_poll_and_not_before() {
    for end in [WatchEnd::Ended, WatchEnd::OtherSubject] {
        let world = world();
        let id = world.signed_in().await;
        let mut watch = world.watch(&id).await;
        let other = world.elsewhere.open(Some(id.clone()));
        if end == WatchEnd::Ended {
            other.delete().await.unwrap();
        } else {
            other.sign_in("user-43").unwrap();
            other.save().await.unwrap();
        }
        advance(just_before(MINUTE)).await;
        assert_eq!(over(&mut watch).await, None);
        assert_eq!(world.store.calls(), [""; 0]);
        advance(Duration::from_millis(1)).await;
        assert_eq!(over(&mut watch).await, Some(end));
        assert_eq!(world.store.calls(), ["load"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cycle_a_write_and_another_session_of_the_user_do_not_end_it() {
    let world = world();
    let id = world.signed_in().await;
    let mut watch = world.watch(&id).await;
    let session = world.open(&id);
    session.insert("n", &1).unwrap();
    session.save().await.unwrap();
    session.cycle().unwrap();
    session.save().await.unwrap();
    // The same user again.
    session.sign_in("user-42").unwrap();
    session.save().await.unwrap();
    let other = world.here.open(None);
    other.sign_in("user-42").unwrap();
    saved(&other).await;
    other.delete().await.unwrap();
    let except = id.key();
    world.here.end_all("user-42", Some(&except)).await.unwrap();
    assert_eq!(over(&mut watch).await, None);
    advance(MINUTE).await;
    assert_eq!(over(&mut watch).await, None);
}

/// One load when it begins, one a minute, one at the deadline.
#[tokio::test(start_paused = true)]
async fn it_expires_in_the_millisecond_of_its_deadline() {
    let world = world();
    let id = world.signed_in().await;
    let mut watch = world.watch(&id).await;
    let half = Duration::from_secs(30);
    advance(half).await;
    settle().await;
    for minute in 1..60 {
        advance(half).await;
        settle().await;
        assert_eq!(world.store.calls(), ["load"], "minute {minute}");
        advance(half).await;
        settle().await;
        assert_eq!(world.store.calls(), [""; 0], "minute {minute}");
    }
    advance(just_before(half)).await;
    assert_eq!(over(&mut watch).await, None);
    advance(Duration::from_millis(1)).await;
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Expired));
}

/// The same where the deadline lies between two polls, by time that passes of itself.
#[tokio::test(start_paused = true)]
async fn a_deadline_between_two_polls_is_met_as_well() {
    let world = world();
    let session = world.here.open(None);
    let quarter = Duration::from_millis(90_007);
    session.insert("n", &1).unwrap();
    session
        .set_lifetime(Lifetime::new(quarter, MINUTE * 60))
        .unwrap();
    session.save().await.unwrap();
    let began = Instant::now();
    assert_eq!(session.watch().await, WatchEnd::Expired);
    assert_eq!(began.elapsed(), quarter);
    assert_eq!(world.store.calls(), ["create", "load", "load", "load"]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_was_moved_ends_nothing() {
    let world = world();
    let id = world.signed_in().await;
    let mut watch = world.watch(&id).await;
    advance(Duration::from_secs(3600 - 30)).await;
    settle().await;
    let other = world.elsewhere.open(Some(id));
    other.names().await.unwrap();
    let _ = other.finish(true).await.unwrap();
    advance(Duration::from_secs(30)).await;
    assert_eq!(over(&mut watch).await, None);
    advance(Duration::from_secs(3600 - 30)).await;
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_that_is_shortened_here_holds_at_once() {
    let world = world();
    let id = world.signed_in().await;
    let mut watch = world.watch(&id).await;
    let session = world.open(&id);
    let short = Duration::from_secs(7);
    session.set_lifetime(Lifetime::new(short, short)).unwrap();
    session.save().await.unwrap();
    settle().await;
    advance(just_before(short)).await;
    assert_eq!(over(&mut watch).await, None);
    advance(Duration::from_millis(1)).await;
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Expired));
}

/// During the outage it asks once a minute, not faster; afterwards it knows again.
#[tokio::test(start_paused = true)]
async fn an_outage_ends_nothing_and_is_asked_no_faster() {
    for hangs in [false, true] {
        let world = world();
        let id = world.signed_in().await;
        let mut watch = world.watch(&id).await;
        let outage = if hangs { Fault::Hang } else { Fault::Refuse };
        world.store.set_always(outage);
        // Beyond the deadline that it knew: somebody may have moved it.
        sleep(Duration::from_secs(2 * 3600) + Duration::from_millis(1)).await;
        assert_eq!(over(&mut watch).await, None, "hangs: {hangs}");
        let asked = world.store.calls().len();
        let most = 2 * 60 + 1;
        assert!(asked > 100 && asked <= most, "{asked} loads");
        world.store.set_always(Fault::Pass);
        sleep(MINUTE + Duration::from_secs(3)).await;
        assert_eq!(over(&mut watch).await, Some(WatchEnd::Expired));
    }
}

#[tokio::test(start_paused = true)]
async fn it_begins_when_the_store_is_back() {
    let world = world();
    let id = world.signed_in().await;
    world.store.set_always(Fault::Refuse);
    let mut watch = tokio::spawn(world.open(&id).watch());
    sleep(MINUTE * 3).await;
    assert_eq!(over(&mut watch).await, None);
    world.store.set_always(Fault::Pass);
    sleep(MINUTE).await;
    world.open(&id).delete().await.unwrap();
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Ended));
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_session_it_has_ended() {
    let world = world();
    assert_eq!(world.here.open(None).watch().await, WatchEnd::Ended);
    let id = world.signed_in().await;
    let session = world.open(&id);
    session.delete().await.unwrap();
    assert_eq!(session.watch().await, WatchEnd::Ended);
    assert_eq!(world.open(&id).watch().await, WatchEnd::Ended);
}

/// A request whose handle is still held stays open until its body ends.
#[tokio::test(start_paused = true)]
async fn a_watch_that_has_begun_does_not_hold_the_handle() {
    let world = world();
    let id = world.signed_in().await;
    let session = world.open(&id);
    let watch = tokio::spawn(session.watch());
    assert!(session.is_shared());
    settle().await;
    assert!(!session.is_shared());
    watch.abort();
}

/// What ended between the request's load and the watch is seen by its first load.
#[tokio::test(start_paused = true)]
async fn what_happened_before_it_began_is_noticed() {
    let world = world();
    let id = world.signed_in().await;
    let session = world.open(&id);
    session.names().await.unwrap();
    world.elsewhere.open(Some(id)).delete().await.unwrap();
    assert_eq!(session.watch().await, WatchEnd::Ended);
}

/// The end comes after each number of polls: when the load is made and its answer is not read yet, so
/// that nobody waits for the bell and the ring must be kept, and in the wait.
#[tokio::test(start_paused = true)]
async fn an_end_during_a_load_is_not_missed() {
    let mut asked_again = 0;
    for polls in 1..=4 {
        let world = world();
        let id = world.signed_in().await;
        let session = world.open(&id);
        session.names().await.unwrap();
        let ends = world.open(&id);
        ends.names().await.unwrap();
        world.store.calls();
        world.store.plan([Fault::Yield]);
        let mut watch = Box::pin(session.watch());
        for _ in 0..polls {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(watch.as_mut().poll(&mut cx).is_pending());
        }
        ends.delete().await.unwrap();
        let began = Instant::now();
        assert_eq!(watch.await, WatchEnd::Ended);
        assert_eq!(began, Instant::now(), "{polls} polls");
        // Where the first load saw it alive, it is the ring that has it asked again.
        asked_again += usize::from(world.store.calls() == ["load", "delete", "load"]);
    }
    assert!(asked_again >= 2);
}

/// Who relies on being told may never want to ask.
#[tokio::test(start_paused = true)]
async fn an_interval_may_be_as_long_as_there_are_numbers_for() {
    let manager = SessionManager::builder(MemoryStore::new());
    let manager = manager.watch_every(Duration::MAX).build();
    let session = manager.open(None);
    session.insert("n", &1).unwrap();
    session.save().await.unwrap();
    let watch = tokio::spawn(session.watch());
    settle().await;
    session.delete().await.unwrap();
    assert_eq!(watch.await.unwrap(), WatchEnd::Ended);
}

/// A watch that is dropped at any poll leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_dropped_watch_leaves_nothing_behind() {
    for polls in 0..12 {
        let world = world();
        let id = world.signed_in().await;
        world.store.set_always(Fault::Yield);
        {
            let mut watch = Box::pin(world.open(&id).watch());
            for _ in 0..polls {
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(watch.as_mut().poll(&mut cx).is_pending());
            }
        }
        world.store.set_always(Fault::Pass);
        let session = world.open(&id);
        session.insert("n", &1).unwrap();
        session.delete().await.unwrap();
        // Neither a place among those who wait nor a session holds on to the store.
        drop((session, world.here));
        assert_eq!(Arc::strong_count(&world.store), 1, "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_watch_one_session_all_hear_of_its_end() {
    let world = world();
    let id = world.signed_in().await;
    let watches: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(world.open(&id).watch()))
        .collect();
    settle().await;
    let began = Instant::now();
    world.open(&id).delete().await.unwrap();
    for watch in watches {
        assert_eq!(watch.await.unwrap(), WatchEnd::Ended);
    }
    assert_eq!(began, Instant::now());
}
