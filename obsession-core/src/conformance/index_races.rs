//! The index while records change.

use std::sync::Arc;
use std::time::Duration;

use super::races::race;
use super::{Fixture, rewritten};
use crate::{Record, SessionIndex, Touch, Update};

/// Index: what is there all along is always listed, scanned and counted, and nothing else as a subject's.
pub async fn race_of_changes_and_listings_misses_nobody<S: SessionIndex>(at: Fixture<S>) {
    let (staying, moving) = (at.of("zoë").await, at.of("zoë").await);
    race(&at.store, 12, |n, store| {
        let (mut staying, mut moving) = (staying.clone(), moving.clone());
        let visitors: Vec<_> = (0..100).map(|_| at.record()).collect();
        async move {
            for (round, visitor) in visitors.into_iter().enumerate() {
                match n {
                    // Its subject and deadline stay.
                    0 => {
                        let next = rewritten(&staying, &round.to_be_bytes());
                        let answer = store.update(staying.revision, &next).await;
                        assert_eq!(answer.expect("update"), Update::Updated);
                        staying = next;
                    }
                    1 => {
                        let next = Record {
                            subject: Some(Arc::from(["yan", "zoë"][round % 2])),
                            ..rewritten(&moving, b"moved")
                        };
                        let answer = store.update(moving.revision, &next).await;
                        assert_eq!(answer.expect("update"), Update::Updated);
                        moving = next;
                    }
                    2..5 => {
                        let visitor = Record {
                            subject: Some(Arc::from("zoë")),
                            ..visitor
                        };
                        let _ = store.create(&visitor).await.expect("create");
                        let _ = store.delete(&visitor.key).await.expect("delete");
                    }
                    5..9 => {
                        let listed = store.list("zoë", None, 100).await.expect("list");
                        let met = listed.iter().filter(|r| r.key == staying.key).count();
                        assert_eq!(met, 1, "listed");
                        for record in listed {
                            assert_eq!(record.subject.as_deref(), Some("zoë"));
                        }
                    }
                    _ => {
                        let scanned = store.scan(None, 100).await.expect("scan");
                        let met = scanned.iter().filter(|r| r.key == staying.key).count();
                        assert_eq!(met, 1, "scanned");
                        let count = store.count().await.expect("count");
                        assert!(count >= 2, "{count}, and two are always there");
                    }
                }
            }
        }
    })
    .await;
}

/// Delete of a subject: writes and touches at the same time keep no session alive.
pub async fn race_of_writes_and_the_end_of_a_subject_ends_all<S: SessionIndex>(at: Fixture<S>) {
    for round in 0..8 {
        let mut records = Vec::new();
        for _ in 0..8 {
            records.push(at.of("zoë").await);
        }
        race(&at.store, records.len() + 1, |n, store| {
            let mut record = records.get(n).cloned();
            async move {
                let Some(record) = &mut record else {
                    for _ in 0..round {
                        tokio::task::yield_now().await;
                    }
                    let ended = store.delete_subject("zoë", None).await.expect("delete");
                    return assert_eq!(ended, 8, "all were there when it began");
                };
                for step in 0..500 {
                    let gone = if n % 2 == 0 {
                        let next = rewritten(record, b"next");
                        let answer = store.update(record.revision, &next).await;
                        record.revision = next.revision;
                        answer.expect("update") == Update::Gone
                    } else {
                        let later = record
                            .expires_at
                            .saturating_add(Duration::from_millis(step));
                        let touched = store.touch(&record.key, record.revision, later).await;
                        touched.expect("touch") == Touch::Gone
                    };
                    if gone {
                        break;
                    }
                }
            }
        })
        .await;
        for record in records {
            assert_eq!(at.load(&record.key).await, None, "it outlived the end");
        }
    }
}
