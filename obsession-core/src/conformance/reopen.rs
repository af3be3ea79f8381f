//! A store that is closed and opened again has what it acknowledged.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use super::fixture::rewritten;
use crate::{Create, Delete, Record, SessionStore, Touch, Update};

/// Durable: what was created.
pub async fn reopen_keeps_what_was_created<S: SessionStore>(at: Fixture<S>) {
    let mut records = Vec::new();
    for n in 0..50_usize {
        let record = Record {
            subject: (n % 2 == 0).then(|| Arc::from(format!("user-{n}"))),
            ..rewritten(&at.record(), &vec![0xa5; n * n])
        };
        at.create(&record).await;
        records.push(record);
    }
    let at = at.reopened().await;
    for record in records {
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

/// Durable: what was updated last, and nothing before it.
pub async fn reopen_keeps_the_last_update<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.created().await;
    for n in 0..20_u8 {
        let next = rewritten(&record, &[n; 40]);
        at.update(record.revision, &next).await;
        record = next;
    }
    let at = at.reopened().await;
    assert_eq!(at.load(&record.key).await, Some(record));
}

/// Durable: a deadline that was moved.
pub async fn reopen_keeps_a_touched_deadline<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let later = record.expires_at.saturating_add(Duration::from_secs(77));
    let answer = at
        .store
        .touch(&record.key, record.revision, later)
        .await
        .expect("touch");
    assert_eq!(answer, Touch::Touched);
    let at = at.reopened().await;
    let touched = Record {
        expires_at: later,
        ..record
    };
    assert_eq!(at.load(&touched.key).await, Some(touched));
}

/// Durable: what was deleted stays deleted, also for a late writer.
pub async fn reopen_does_not_revive_a_deleted_record<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    at.delete(&record.key).await;
    let at = at.reopened().await;
    assert_eq!(at.load(&record.key).await, None);
    let late = rewritten(&record, b"late");
    let late = at
        .store
        .update(record.revision, &late)
        .await
        .expect("update");
    assert_eq!(late, Update::Gone);
    assert_eq!(
        at.store.delete(&record.key).await.expect("delete"),
        Delete::Gone
    );
}

/// Durable: what expired while it was closed is absent, and cleanup finds it.
pub async fn reopen_serves_nothing_that_expired_meanwhile<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    let at = at.reopened().await;
    at.time.reach(record.expires_at).await;
    assert_eq!(at.load(&record.key).await, None);
    at.assert_removed(at.cleanup().await, 1);
    assert_eq!(at.cleanup().await, 0);
}

/// Recognised retries: a write whose answer was lost with the process is recognised by the next.
pub async fn reopen_recognises_writes_of_before<S: SessionStore>(at: Fixture<S>) {
    let created = at.created().await;
    let updated = at.created().await;
    let next = rewritten(&updated, b"next");
    at.update(updated.revision, &next).await;
    let at = at.reopened().await;
    assert_eq!(
        at.store.create(&created).await.expect("create"),
        Create::Created
    );
    at.update(updated.revision, &next).await;
    let stale = rewritten(&updated, b"stale");
    let stale = at
        .store
        .update(updated.revision, &stale)
        .await
        .expect("update");
    assert_eq!(stale, Update::Conflict(next));
}

/// Durable: a record of a megabyte.
pub async fn reopen_keeps_a_large_body<S: SessionStore>(at: Fixture<S>) {
    let body: Vec<u8> = (0..1 << 20_u32)
        .map(|n: u32| n.to_le_bytes()[n as usize % 3])
        .collect();
    let record = rewritten(&at.record(), &body);
    at.create(&record).await;
    let at = at.reopened().await;
    let seen = at.load(&record.key).await.expect("the record");
    assert!(seen == record, "1 MiB came back otherwise");
}

/// Durable: of many writes of one record the last counts, in every field.
pub async fn reopen_keeps_the_last_of_different_writes<S: SessionStore>(at: Fixture<S>) {
    let first = Record {
        subject: Some(Arc::from("user-42")),
        ..at.record()
    };
    at.create(&first).await;
    let later = first.expires_at.saturating_add(Duration::from_secs(77));
    at.touch(&first, later).await;
    let last = Record {
        subject: None,
        ..rewritten(&first, b"")
    };
    at.update(first.revision, &last).await;
    let expired = at.expiring();
    at.create(&expired).await;
    at.time.reach(expired.expires_at).await;
    let new = Record {
        expires_at: at.time.later(),
        ..rewritten(&expired, b"new")
    };
    at.create(&new).await;
    let at = at.reopened().await;
    assert_eq!(at.load(&last.key).await, Some(last));
    assert_eq!(at.load(&new.key).await, Some(new));
}
