//! The index while records change.

use std::sync::Arc;

use super::races::race;
use super::{Fixture, rewritten};
use crate::{Record, SessionIndex, Update};

/// Index: what is there all along is always listed, scanned and counted, and nothing else as a subject's.
pub async fn race_of_changes_and_listings_misses_nobody<S: SessionIndex>(at: Fixture<S>) {
    let (staying, moving) = (at.of("zoë").await, at.of("zoë").await);
    race(&at.store, 12, |n, store| {
        let (mut staying, mut moving) = (staying.clone(), moving.clone());
        let visitors: Vec<_> = (0..60).map(|_| at.record()).collect();
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
                        assert!((2..=5).contains(&count), "{count} of 2 to 5");
                    }
                }
            }
        }
    })
    .await;
}

/// Delete of a subject: a write or a touch at the same time does not keep a session alive.
pub async fn race_of_writes_and_the_end_of_a_subject_ends_all<S: SessionIndex>(at: Fixture<S>) {
    for round in 0..24 {
        let (written, touched) = (at.of("zoë").await, at.of("zoë").await);
        let ending = {
            let store = Arc::clone(&at.store);
            tokio::spawn(async move { store.delete_subject("zoë", None).await })
        };
        for _ in 0..round / 2 {
            tokio::task::yield_now().await;
        }
        let later = touched
            .expires_at
            .saturating_add(std::time::Duration::from_secs(1));
        let next = rewritten(&written, b"next");
        if round % 2 == 0 {
            let _ = at
                .store
                .update(written.revision, &next)
                .await
                .expect("update");
        }
        let _ = at
            .store
            .touch(&touched.key, touched.revision, later)
            .await
            .expect("touch");
        ending.await.expect("an actor").expect("delete");
        for record in [written, touched] {
            assert_eq!(
                at.load(&record.key).await,
                None,
                "it was there when the end began"
            );
        }
    }
}
