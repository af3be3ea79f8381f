//! What a store does while all is well and while nothing is, and the requests that are counted on each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "they are for tests")]

use std::time::{Duration, Instant};

use obsession_core::{Delete, Lifetime, SessionIndex, SessionManager, Touch, Update};

use crate::records::{create, of, record, rewritten, touch};

/// Every operation once, with the outcomes that they have when all is well.
pub async fn all_is_well(store: &impl SessionIndex, n: u64) {
    let first = of("zoë", record(n));
    let second = rewritten(&first, &vec![7; 30_000]);
    create(store, &first).await;
    assert_eq!(
        store.update(first.revision, &second).await.unwrap(),
        Update::Updated
    );
    let touched = touch(store, &second, second.expires_at).await;
    assert_eq!(touched.unwrap(), Touch::Touched);
    assert_eq!(store.load(&first.key).await.unwrap(), Some(second.clone()));
    assert_eq!(store.list("zoë", None, 10).await.unwrap(), [second]);
    assert_eq!(store.delete(&first.key).await.unwrap(), Delete::Deleted);
}

/// The same while the network does not let it: an error each, within `most`.
pub async fn ends_in_time(store: &impl SessionIndex, n: u64, most: Duration) {
    let old = record(n);
    let started = Instant::now();
    let in_time = |started: Instant| {
        let took = started.elapsed();
        assert!(took < most, "{took:?}");
        Instant::now()
    };
    store.load(&old.key).await.unwrap_err();
    let started = in_time(started);
    store.create(&old).await.unwrap_err();
    let started = in_time(started);
    let update = store.update(old.revision, &rewritten(&old, b"")).await;
    update.unwrap_err();
    let started = in_time(started);
    touch(store, &old, old.expires_at).await.unwrap_err();
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
pub async fn recovered(store: &impl SessionIndex) {
    let until = Instant::now() + Duration::from_secs(10);
    while let Err(error) = store.load(&record(0).key).await {
        assert!(Instant::now() < until, "{error:?}");
    }
}

/// Requests of every kind, one after the other, so that what each has sent can be counted: `after` is
/// called with its name.
pub async fn requests(store: impl SessionIndex + 'static, mut after: impl FnMut(&'static str)) {
    let lifetime = Lifetime::new(Duration::from_secs(1800), Duration::from_secs(86_400));
    let manager = SessionManager::builder_indexed(store)
        .lifetime(lifetime)
        .build();

    let untouched = manager.open(None);
    let _ = untouched.finish(true).await.unwrap();
    after("untouched");

    let session = manager.open(None);
    session.insert("cart", "quince").unwrap();
    let _ = session.finish(true).await.unwrap();
    after("new");

    let id = session.id().await.unwrap();
    let session = manager.open(id.clone());
    session.get::<String>("cart").await.unwrap();
    let _ = session.finish(true).await.unwrap();
    after("read");

    let session = manager.open(id.clone());
    session.get::<String>("cart").await.unwrap();
    session.insert("cart", "medlar").unwrap();
    let _ = session.finish(true).await.unwrap();
    after("read and write");

    let session = manager.open(id);
    session.sign_in("zoë").unwrap();
    let _ = session.finish(true).await.unwrap();
    after("login");

    let id = session.id().await.unwrap();
    let session = manager.open(id.clone());
    session.insert("cart", "sorb").unwrap();
    let _ = session.finish(true).await.unwrap();
    after("read and write, signed in");

    let session = manager.open(id);
    session.delete().await.unwrap();
    let _ = session.finish(true).await.unwrap();
    after("delete");
}
