//! A store whose server is away says so, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use super::fixture::rewritten;
use super::races::race;
use crate::{
    ClientAction, Create, Effect, Error, Record, SessionKey, SessionManager, SessionStore,
    StoreError, Touch, Update,
};

/// Honest: a load that cannot be answered is an error, never "no session".
pub async fn outage_of_a_load_is_an_error<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    at.begin_outage().await;
    let known = at.store.load(&record.key).await;
    let unknown = at.store.load(&at.record().key).await;
    for answer in [known, unknown] {
        let error = answer.expect_err("a load without its server");
        assert_eq!(error.effect(), Effect::NotApplied);
    }
    at.end_outage().await;
    assert_eq!(at.load(&record.key).await, Some(record));
}

/// Honest: a write that fails says whether it may have been applied, and is right.
pub async fn outage_of_writes_is_told_as_it_is<S: SessionStore>(at: Fixture<S>) {
    let (updated, touched, deleted) = (at.created().await, at.created().await, at.created().await);
    let created = at.record();
    let next = rewritten(&updated, b"next");
    let moved = Record {
        expires_at: touched.expires_at.saturating_add(Duration::from_secs(9)),
        ..touched.clone()
    };
    at.begin_outage().await;
    let create = at.store.create(&created).await.map(drop);
    let update = at.store.update(updated.revision, &next).await.map(drop);
    let touch = at
        .store
        .touch(&touched.key, touched.revision, moved.expires_at);
    let touch = touch.await.map(drop);
    let delete = at.store.delete(&deleted.key).await.map(drop);
    // One that knows without its server that nothing has expired may say so.
    let cleaned = at.store.delete_expired(10).await;
    assert!(matches!(cleaned, Err(_) | Ok(0)), "cleanup");
    at.end_outage().await;
    assert_told(&at, create, (created.key, None, Some(created))).await;
    assert_told(&at, update, (updated.key, Some(updated), Some(next))).await;
    assert_told(&at, touch, (touched.key, Some(touched), Some(moved))).await;
    assert_told(&at, delete, (deleted.key, Some(deleted), None)).await;
}

/// The write has failed: the record of the key is as before, or as after if that was said to be unknown.
async fn assert_told<S: SessionStore>(
    at: &Fixture<S>,
    answer: Result<(), StoreError>,
    (key, before, after): (SessionKey, Option<Record>, Option<Record>),
) {
    let effect = answer.expect_err("a write without its server").effect();
    let seen = at.load(&key).await;
    let as_told = seen == before || effect == Effect::Unknown && seen == after;
    assert!(as_told, "{effect:?}, {before:?} to {after:?}: {seen:?}");
}

/// Read your writes: what became of a write in an outage shows in a load as in the next write.
pub async fn outage_of_a_write_is_not_hidden_from_loads<S: SessionStore>(at: Fixture<S>) {
    let (updated, touched, deleted) = (at.created().await, at.created().await, at.created().await);
    let records = [&updated, &touched, &deleted];
    for record in records {
        // What has been loaded may be in a cache.
        assert_eq!(at.load(&record.key).await.as_ref(), Some(record));
    }
    let next = rewritten(&updated, b"next");
    let later = touched.expires_at.saturating_add(Duration::from_secs(9));
    at.begin_outage().await;
    let update = at.store.update(updated.revision, &next);
    update.await.expect_err("update");
    let touch = at.store.touch(&touched.key, touched.revision, later);
    touch.await.expect_err("touch");
    at.store.delete(&deleted.key).await.expect_err("delete");
    at.end_outage().await;
    for record in records {
        let seen = at.load(&record.key).await;
        assert_eq!(at.met(record).await, seen, "what a write meets, and a load");
    }
}

/// Honest: after an outage the same store works, in every call.
pub async fn outage_ends_and_everything_works<S: SessionStore>(at: Fixture<S>) {
    for _ in 0..3 {
        at.begin_outage().await;
        at.store.load(&at.record().key).await.expect_err("load");
        at.end_outage().await;
        let record = at.record();
        assert_eq!(
            at.store.create(&record).await.expect("create"),
            Create::Created
        );
        let next = rewritten(&record, b"next");
        assert_eq!(
            at.store
                .update(record.revision, &next)
                .await
                .expect("update"),
            Update::Updated
        );
        let touched = at
            .store
            .touch(&record.key, next.revision, record.expires_at)
            .await;
        assert_eq!(touched.expect("touch"), Touch::Touched);
        at.delete(&record.key).await;
        at.store.delete_expired(10).await.expect("cleanup");
    }
}

/// Honest: a session's request fails, its client is told nothing, and its token works afterwards.
pub async fn outage_leaves_tokens_alone<S: SessionStore>(at: Fixture<S>) {
    let manager = SessionManager::builder(Arc::clone(&at.store))
        .clock(at.time.clone())
        .build();
    let session = manager.open(None);
    session.insert("cart", &["quince"]).expect("insert");
    session.save().await.expect("save");
    let id = session.id().await.expect("id");
    at.begin_outage().await;
    let session = manager.open(id.clone());
    session.insert("cart", &["medlar"]).expect("insert");
    let failed = session.finish(true).await.expect_err("finish");
    assert!(matches!(failed, Error::Store(_)), "{failed}");
    let looked = manager.open(id.clone());
    looked.get::<Vec<String>>("cart").await.expect_err("get");
    assert_eq!(
        looked.finish(true).await.expect("finish"),
        ClientAction::Keep
    );
    at.end_outage().await;
    let cart = manager
        .open(id)
        .get::<Vec<String>>("cart")
        .await
        .expect("get");
    assert!(cart.is_some_and(|cart| cart == ["quince"] || cart == ["medlar"]));
}

/// Honest: a cleanup that could not look does not say that nothing has expired.
pub async fn outage_of_a_cleanup_is_not_the_last_of_it<S: SessionStore>(at: Fixture<S>) {
    let expiring = at.expiring();
    at.create(&expiring).await;
    at.time.reach(expiring.expires_at).await;
    at.begin_outage().await;
    if let Ok(removed) = at.store.delete_expired(10).await {
        at.assert_removed(removed, 1);
    }
    at.end_outage().await;
    assert_eq!(at.load(&expiring.key).await, None);
    at.store.delete_expired(10).await.expect("cleanup");
}

/// Honest: many calls that fail use nothing up that later ones need.
pub async fn outage_of_many_calls_is_over_when_it_ends<S: SessionStore>(at: Fixture<S>) {
    const CALLS: usize = 128;
    let record = at.created().await;
    at.begin_outage().await;
    let failed = race(&at.store, CALLS, |n, store| {
        let (record, next) = (record.clone(), rewritten(&record, b"next"));
        async move {
            match n % 4 {
                0 => store.load(&record.key).await.is_err(),
                1 => store.update(record.revision, &next).await.is_err(),
                2 => store.delete(&next.key).await.is_err(),
                _ => store.create(&next).await.is_err(),
            }
        }
    })
    .await;
    assert!(
        failed.into_iter().all(|failed| failed),
        "a call without its server"
    );
    at.end_outage().await;
    race(&at.store, CALLS, |_, store| {
        let record = at.record();
        async move {
            let created = store.create(&record).await.expect("create");
            assert_eq!(created, Create::Created);
            assert_eq!(store.load(&record.key).await.expect("load"), Some(record));
        }
    })
    .await;
}
