//! A store whose server is away says so, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use super::fixture::rewritten;
use crate::{ClientAction, Create, Effect, Error, SessionManager, SessionStore, Touch, Update};

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
    let later = touched.expires_at.saturating_add(Duration::from_secs(9));
    at.begin_outage().await;
    let create = at
        .store
        .create(&created)
        .await
        .expect_err("create")
        .effect();
    let update = at
        .store
        .update(updated.revision, &next)
        .await
        .expect_err("update")
        .effect();
    let touch = at
        .store
        .touch(&touched.key, touched.revision, later)
        .await
        .expect_err("touch")
        .effect();
    let delete = at
        .store
        .delete(&deleted.key)
        .await
        .expect_err("delete")
        .effect();
    // One that knows without its server that nothing has expired may say so.
    let cleaned = at.store.delete_expired(10).await;
    assert!(
        cleaned.is_err() || cleaned.is_ok_and(|removed| removed == 0),
        "cleanup"
    );
    at.end_outage().await;

    let unknown = Effect::Unknown;
    let seen = at.load(&created.key).await;
    assert!(
        seen.is_none() || create == unknown && seen == Some(created),
        "create"
    );
    let seen = at.load(&updated.key).await.expect("the updated record");
    assert!(
        seen == updated || update == unknown && seen == next,
        "update"
    );
    let seen = at.load(&touched.key).await.expect("the touched record");
    assert!(
        seen == touched || touch == unknown && seen.expires_at == later,
        "touch"
    );
    let seen = at.load(&deleted.key).await;
    assert!(
        seen == Some(deleted) || delete == unknown && seen.is_none(),
        "delete"
    );
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
