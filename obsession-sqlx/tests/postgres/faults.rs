//! A network that misbehaves: every call ends by its deadline, and afterwards everything is right.

use std::time::{Duration, Instant};

use obsession_core::{Delete, Effect, SessionIndex, SessionStore, Touch, Update};
use obsession_sqlx::{FailureKind, PostgresStore};
use testing::{Mode, PostgresServer, Proxy};

use crate::SERVER;
use crate::common::{self, create, kind, of, record, rewritten};

const DEADLINE: Duration = Duration::from_millis(400);
/// How much later a call may end on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

async fn proxied(server: &PostgresServer) -> (Proxy, PostgresStore) {
    let proxy = Proxy::start(server.port()).await.unwrap();
    let url = server
        .url()
        .replace(&server.port().to_string(), &proxy.port().to_string());
    let builder =
        common::postgres::builder(&url, &common::table()).deadline(Duration::from_secs(5));
    let builder = builder.readers(1).writers(1).migrate().await.unwrap();
    let store = builder.deadline(DEADLINE).connect().await.unwrap();
    (proxy, store)
}

/// Every operation once, with the outcomes that they have when all is well.
async fn all_is_well(store: &PostgresStore, n: u64) {
    let first = of("zoë", record(n));
    let second = rewritten(&first, &vec![7; 30_000]);
    create(store, &first).await;
    assert_eq!(
        store.update(first.revision, &second).await.unwrap(),
        Update::Updated
    );
    let touched = store.touch(&second.key, second.revision, second.expires_at);
    assert_eq!(touched.await.unwrap(), Touch::Touched);
    assert_eq!(store.load(&first.key).await.unwrap(), Some(second.clone()));
    assert_eq!(store.list("zoë", None, 10).await.unwrap(), [second]);
    assert_eq!(store.delete(&first.key).await.unwrap(), Delete::Deleted);
}

/// The same while the network does not let it, in time.
async fn ends_in_time(store: &PostgresStore, n: u64) {
    let old = record(n);
    let started = Instant::now();
    let in_time = |started: Instant| {
        let took = started.elapsed();
        assert!(took < DEADLINE + SLACK, "{took:?}");
        Instant::now()
    };
    store.load(&old.key).await.unwrap_err();
    let started = in_time(started);
    store.create(&old).await.unwrap_err();
    let started = in_time(started);
    let update = store.update(old.revision, &rewritten(&old, b"")).await;
    update.unwrap_err();
    let started = in_time(started);
    let touch = store.touch(&old.key, old.revision, old.expires_at).await;
    touch.unwrap_err();
    let started = in_time(started);
    store.delete(&old.key).await.unwrap_err();
    let started = in_time(started);
    store.list("zoë", None, 10).await.unwrap_err();
    let started = in_time(started);
    store.delete_subject("zoë", None).await.unwrap_err();
    let started = in_time(started);
    store.scan(None, 10).await.unwrap_err();
    let started = in_time(started);
    store.delete_expired(10).await.unwrap_err();
    in_time(started);
}

/// Waits until the store has noticed that the network is back.
async fn recovered(store: &PostgresStore) {
    let until = Instant::now() + Duration::from_secs(10);
    while let Err(error) = store.load(&record(0).key).await {
        assert!(Instant::now() < until, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_and_a_crumbling_network_change_nothing() {
    let (proxy, store) = proxied(&SERVER).await;
    all_is_well(&store, 1).await;
    proxy.set(Mode::Delay(Duration::from_millis(10)));
    all_is_well(&store, 2).await;
    proxy.set(Mode::Slice);
    let small = record(3);
    create(&store, &small).await;
    assert_eq!(store.load(&small.key).await.unwrap(), Some(small));
    proxy.set(Mode::Pass);
    all_is_well(&store, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_too_slow_or_swallows_everything_is_left_at_the_deadline() {
    for mode in [Mode::Delay(DEADLINE * 3), Mode::HalfOpen] {
        let (proxy, store) = proxied(&SERVER).await;
        all_is_well(&store, 1).await;
        proxy.set(mode);
        let error = store.create(&record(2)).await.unwrap_err();
        assert_eq!(
            (kind(&error), error.effect()),
            (FailureKind::Late, Effect::Unknown)
        );
        ends_in_time(&store, 1).await;
        proxy.set(Mode::Pass);
        recovered(&store).await;
        // What was under way may have arrived.
        tokio::time::sleep(DEADLINE * 6).await;
        let _ = store.delete(&record(1).key).await.unwrap();
        all_is_well(&store, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_refused_changes_nothing_and_is_made_again() {
    let (proxy, store) = proxied(&SERVER).await;
    all_is_well(&store, 1).await;
    proxy.set(Mode::Refuse);
    store.load(&record(1).key).await.unwrap_err();
    let error = store.create(&record(2)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    ends_in_time(&store, 1).await;
    proxy.set(Mode::Pass);
    recovered(&store).await;
    all_is_well(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_is_unknown_and_recognised_when_asked_again() {
    let (proxy, store) = proxied(&SERVER).await;
    let old = record(1);
    let next = rewritten(&old, b"next");
    create(&store, &old).await;
    proxy.set(Mode::CutAnswers);
    let error = store.update(old.revision, &next).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    proxy.set(Mode::Pass);
    recovered(&store).await;
    // Whether it was applied or not, it has been now.
    let again = store.update(old.revision, &next).await.unwrap();
    assert_eq!(again, Update::Updated);
    assert_eq!(store.load(&old.key).await.unwrap(), Some(next));
}
