//! What the `metrics` facade is told of a session's life.

#![cfg(feature = "metrics")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use obsession_core::conformance::{Fault, Faulty};
use obsession_core::{MemoryStore, SessionManager};
use obsession_hyper::Metrics;

#[test]
fn events_are_counted_and_no_label_names_a_session() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let id = metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(one_life())
    });

    let (mut counters, mut histograms) = (BTreeMap::new(), BTreeMap::new());
    for (key, _, _, value) in seen.snapshot().into_vec() {
        let labels = key.key().labels().map(|label| {
            assert!(!label.value().contains(id.key().as_str()));
            format!(" {}={}", label.key(), label.value())
        });
        let name = format!("{}{}", key.key().name(), labels.collect::<String>());
        match value {
            DebugValue::Counter(count) => drop(counters.insert(name, count)),
            DebugValue::Histogram(values) => drop(histograms.insert(name, values.len())),
            DebugValue::Gauge(_) => panic!("a gauge: {name}"),
        }
    }
    let expected = [
        ("obsession_dropped_total why=ended", 1),
        ("obsession_ended_total why=deleted", 1),
        ("obsession_events_total event=created", 1),
        ("obsession_events_total event=cycled", 1),
        ("obsession_events_total event=signed_in", 1),
        ("obsession_events_total event=unknown", 1),
        ("obsession_reuse_total recent=true", 1),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counters, BTreeMap::from(expected));
    let expected = [
        ("obsession_store_seconds call=create outcome=ok", 1),
        ("obsession_store_seconds call=delete outcome=ok", 1),
        ("obsession_store_seconds call=load outcome=not_applied", 1),
        ("obsession_store_seconds call=load outcome=ok", 3),
        ("obsession_store_seconds call=update outcome=ok", 2),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(histograms, BTreeMap::from(expected));
}

/// A session is made, cycled, looked at with its old token, and ended under another request.
async fn one_life() -> obsession_core::SessionId {
    let store = Arc::new(Faulty::new(MemoryStore::new()));
    let manager = SessionManager::builder(Arc::clone(&store))
        .deadline(Duration::from_secs(1))
        .events(Metrics)
        .build();
    let session = manager.open(None);
    session.sign_in("user-42").unwrap();
    session.save().await.unwrap();
    let old = session.id().await.unwrap().unwrap();
    session.cycle().unwrap();
    session.save().await.unwrap();
    let id = session.id().await.unwrap().unwrap();
    assert!(manager.load_id(old).await.unwrap().is_none());
    store.plan([Fault::Refuse]);
    let late = manager.open(Some(id.clone()));
    late.names().await.unwrap_err();
    late.insert("n", &1).unwrap();
    late.names().await.unwrap();
    session.delete().await.unwrap();
    let _ = late.finish(true).await.unwrap();
    assert!(manager.load_id(id.clone()).await.unwrap().is_none());
    id
}
