//! A network that misbehaves: every call ends by its deadline, and afterwards everything is right.

use std::time::Duration;

use obsession_core::{Effect, SessionStore, Update};
use obsession_sqlx::{FailureKind, PostgresStore};
use testing::behaviour::{all_is_well, ends_in_time, recovered};
use testing::{Mode, PostgresServer, Proxy};

use crate::SERVER;
use crate::common::{self, create, kind, record, rewritten};

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
        ends_in_time(&store, 1, DEADLINE + SLACK).await;
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
    ends_in_time(&store, 1, DEADLINE + SLACK).await;
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
