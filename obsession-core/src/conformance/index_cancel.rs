//! The index after calls whose futures were dropped.

use std::sync::Arc;
use std::time::Duration;

use super::cancel::{MOST_POLLS, cut};
use super::{Fixture, rewritten};
use crate::{Record, SessionIndex};

impl<S: SessionIndex> Fixture<S> {
    /// What is wrong with the index, as far as `key` is concerned.
    async fn disagrees(&self, key: &crate::SessionKey) -> Option<String> {
        let loaded = self.load(key).await;
        let find = |records: Vec<Record>| records.into_iter().find(|record| record.key == *key);
        let scanned = find(self.scanned().await);
        if scanned != loaded {
            return Some(format!("scan gives {scanned:?}, a load {loaded:?}"));
        }
        for subject in ["a", "b"] {
            let listed = find(self.store.list(subject, None, 1000).await.expect("list"));
            let own = loaded
                .clone()
                .filter(|record| record.subject.as_deref() == Some(subject));
            if listed != own {
                return Some(format!("list of {subject} gives {listed:?}, not {own:?}"));
            }
        }
        None
    }

    /// The index agrees, at the latest when what works on for the store has ended.
    async fn assert_agrees_soon(&self, key: &crate::SessionKey, polls: usize) {
        let mut wrong = None;
        for _ in 0..50 {
            wrong = self.disagrees(key).await;
            if wrong.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        panic!("after {polls} polls: {}", wrong.unwrap_or_default());
    }
}

/// Cancel-safe: the index agrees with the record whichever call was dropped, at whichever poll.
pub async fn index_agrees_after_calls_that_were_dropped<S: SessionIndex>(at: Fixture<S>) {
    for call in 0..5 {
        for polls in 0..MOST_POLLS {
            let record = Record {
                subject: Some(Arc::from("a")),
                ..at.record()
            };
            if call > 0 {
                at.create(&record).await;
            }
            let next = Record {
                subject: Some(Arc::from("b")),
                ..rewritten(&record, b"next")
            };
            let later = record.expires_at.saturating_add(Duration::from_secs(5));
            let (key, revision) = (&record.key, record.revision);
            let ended = match call {
                0 => cut(at.store.create(&record), polls).await.is_some(),
                1 => cut(at.store.update(revision, &next), polls).await.is_some(),
                2 => cut(at.store.touch(key, revision, later), polls)
                    .await
                    .is_some(),
                3 => cut(at.store.delete(key), polls).await.is_some(),
                _ => cut(at.store.delete_subject("a", None), polls)
                    .await
                    .is_some(),
            };
            at.assert_agrees_soon(key, polls).await;
            let _ = at.store.delete(key).await.expect("delete");
            if ended {
                break;
            }
        }
    }
}
