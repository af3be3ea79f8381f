//! What a watch does with what its store tells.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use obsession_core::{
    Bell, Create, Delete, MemoryStore, Record, Revision, SessionId, SessionKey, SessionManager,
    SessionStore, StoreError, Timestamp, Touch, Update, WatchEnd,
};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

use crate::common::{Fault, Faulty};
use crate::{HOURLY, MINUTE, TokioClock, World, over, settle, world};

/// A store that tells of what it is told to tell of.
#[derive(Debug)]
struct Telling {
    store: Arc<Faulty<MemoryStore>>,
    tell: broadcast::Sender<()>,
}

#[async_trait]
impl SessionStore for Telling {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.store.load(key).await
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        self.store.create(record).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        self.store.update(expected, record).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        self.store.touch(key, expected, expires_at).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        self.store.delete(key).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.store.delete_expired(limit).await
    }

    async fn watch(&self, _: &SessionKey) -> Result<Bell, StoreError> {
        let mut told = self.tell.subscribe();
        Ok(Bell::new(async move {
            let _ = told.recv().await;
        }))
    }
}

/// A world whose store tells, what makes it do so, and a session that is watched there.
async fn told() -> (
    World,
    broadcast::Sender<()>,
    SessionId,
    JoinHandle<WatchEnd>,
) {
    let mut world = world();
    let (tell, _) = broadcast::channel(4);
    let telling = Telling {
        store: Arc::clone(&world.store),
        tell: tell.clone(),
    };
    world.here = SessionManager::builder(Arc::new(telling))
        .clock(TokioClock(Instant::now()))
        .lifetime(HOURLY)
        .watch_every(MINUTE)
        .build();
    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    (world, tell, id, watch)
}

#[tokio::test(start_paused = true)]
async fn what_the_store_tells_of_ends_it_at_once_with_one_load() {
    let (world, tell, id, mut watch) = told().await;
    let began = Instant::now();
    world.elsewhere.open(Some(id)).delete().await.unwrap();
    tell.send(()).unwrap();
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Ended));
    assert_eq!(began, Instant::now());
    assert_eq!(world.store.calls(), ["load"]);
}

/// A thousand rings in a second, of which none ends it.
#[tokio::test(start_paused = true)]
async fn a_store_that_tells_all_the_time_is_asked_ten_times_a_second() {
    let (world, tell, id, mut watch) = told().await;
    for _ in 0..1000 {
        let _ = tell.send(());
        advance(Duration::from_millis(1)).await;
        settle().await;
    }
    assert_eq!(over(&mut watch).await, None);
    let asked = world.store.calls().len();
    assert!((9..=11).contains(&asked), "{asked} loads");
    // The last ring is not forgotten.
    world.elsewhere.open(Some(id)).delete().await.unwrap();
    let _ = tell.send(());
    sleep(Duration::from_millis(101)).await;
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Ended));
}

/// A ring that comes too soon after the last one waits; an end in this process does not.
#[tokio::test(start_paused = true)]
async fn what_happens_here_does_not_wait_for_what_the_store_tells() {
    let (world, tell, id, mut watch) = told().await;
    for _ in 0..2 {
        tell.send(()).unwrap();
        settle().await;
    }
    // The second one waits.
    assert_eq!(world.store.calls(), ["load"]);
    let began = Instant::now();
    world.open(&id).delete().await.unwrap();
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Ended));
    assert_eq!(began, Instant::now());
}

/// It has told, and then fails: what happened is asked for soon, and then ever later.
#[tokio::test(start_paused = true)]
async fn a_ring_is_not_lost_with_a_load_that_fails() {
    let (world, tell, id, mut watch) = told().await;
    world.elsewhere.open(Some(id)).delete().await.unwrap();
    world.store.set_always(Fault::Refuse);
    tell.send(()).unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(over(&mut watch).await, None);
    let asked = world.store.calls().len();
    assert!((6..=8).contains(&asked), "{asked} loads in ten seconds");
    world.store.set_always(Fault::Pass);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(over(&mut watch).await, Some(WatchEnd::Ended));
}

/// Registered first, looked at then: what comes between them is told.
#[tokio::test(start_paused = true)]
async fn an_end_between_the_registration_and_the_answer_of_the_load_is_not_missed() {
    let (world, tell, id, watch) = told().await;
    watch.abort();
    let _ = watch.await;
    let session = world.open(&id);
    session.names().await.unwrap();
    world.store.calls();
    // The load has its answer, and waits for a poll more before it gives it.
    world.store.plan([Fault::Yield]);
    let mut watch = Box::pin(session.watch());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(watch.as_mut().poll(&mut cx).is_pending());
    assert_eq!(world.store.calls(), ["load"]);
    world.elsewhere.open(Some(id)).delete().await.unwrap();
    assert_eq!(tell.send(()).unwrap(), 1, "it is registered");
    let began = Instant::now();
    assert_eq!(watch.await, WatchEnd::Ended);
    assert_eq!(began, Instant::now());
}
