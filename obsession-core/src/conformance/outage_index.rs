//! The index of a store whose server is away.

use std::slice;
use std::sync::Arc;

use super::Fixture;
use crate::{Effect, Record, SessionIndex};

/// Honest: what cannot be listed, scanned or counted is an error, never an empty answer.
pub async fn outage_of_listings_is_no_empty_answer<S: SessionIndex>(at: Fixture<S>) {
    let record = Record {
        subject: Some(Arc::from("zoë")),
        ..at.record()
    };
    at.create(&record).await;
    let there = slice::from_ref(&record);
    at.begin_outage().await;
    let listed = at.store.list("zoë", None, 9).await;
    let scanned = at.store.scan(None, 9).await;
    let count = at.store.count().await;
    // One that knows the right answer without its server may give it.
    assert!(
        listed.is_err() || listed.is_ok_and(|listed| listed == there),
        "list"
    );
    assert!(
        scanned.is_err() || scanned.is_ok_and(|scanned| scanned == there),
        "scan"
    );
    assert!(
        count.is_err() || count.is_ok_and(|count| count == 1),
        "count"
    );
    at.end_outage().await;
    assert_eq!(at.store.list("zoë", None, 9).await.expect("list"), there);
    assert_eq!(at.store.count().await.expect("count"), 1);
}

/// Honest: the end of a subject's sessions that fails says whether it may have been applied.
pub async fn outage_of_the_end_of_a_subject_is_told_as_it_is<S: SessionIndex>(at: Fixture<S>) {
    let record = Record {
        subject: Some(Arc::from("zoë")),
        ..at.record()
    };
    at.create(&record).await;
    at.begin_outage().await;
    let error = at.store.delete_subject("zoë", None).await;
    let effect = error.expect_err("a delete without its server").effect();
    at.end_outage().await;
    let seen = at.load(&record.key).await;
    assert!(
        seen == Some(record) || effect == Effect::Unknown && seen.is_none(),
        "it was {effect:?}, and the record is otherwise"
    );
}
