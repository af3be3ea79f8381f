//! The index of a store that is closed and opened again.

use std::sync::Arc;

use super::Fixture;
use super::fixture::rewritten;
use crate::{Delete, Record, SessionIndex};

/// Index: after opening again it agrees with the records.
pub async fn reopen_index_agrees_with_the_records<S: SessionIndex>(at: Fixture<S>) {
    let mut staying = Vec::new();
    for n in 0..30 {
        let subject = Some(Arc::from(["a", "b", "c"][n % 3]));
        let record = Record {
            subject,
            ..at.record()
        };
        at.create(&record).await;
        match n % 5 {
            0 => {
                let deleted = at.store.delete(&record.key).await.expect("delete");
                assert_eq!(deleted, Delete::Deleted);
            }
            1 => {
                let moved = Record {
                    subject: Some(Arc::from("d")),
                    ..rewritten(&record, b"d")
                };
                at.update(record.revision, &moved).await;
                staying.push(moved);
            }
            _ => staying.push(record),
        }
    }
    let at = at.reopened().await;
    staying.sort_by_key(|record| record.key);
    for subject in ["a", "b", "c", "d"] {
        let of_subject = |record: &&Record| record.subject.as_deref() == Some(subject);
        let expected: Vec<_> = staying.iter().filter(of_subject).cloned().collect();
        assert_eq!(
            at.store.list(subject, None, 100).await.expect("list"),
            expected
        );
    }
    assert_eq!(at.store.count().await.expect("count"), staying.len() as u64);
    assert_eq!(
        at.store.scan(None, 100).await.expect("scan").len(),
        staying.len()
    );
}

/// Durable: the end of a subject's sessions.
pub async fn reopen_does_not_revive_the_sessions_of_a_subject<S: SessionIndex>(at: Fixture<S>) {
    let of_zoe = |record| Record {
        subject: Some(Arc::from("zoë")),
        ..record
    };
    let (ended, kept) = (of_zoe(at.record()), of_zoe(at.record()));
    at.create(&ended).await;
    at.create(&kept).await;
    let answer = at.store.delete_subject("zoë", Some(&kept.key)).await;
    assert_eq!(answer.expect("delete"), 1);
    let at = at.reopened().await;
    assert_eq!(at.load(&ended.key).await, None);
    assert_eq!(at.store.list("zoë", None, 9).await.expect("list"), [kept]);
}
