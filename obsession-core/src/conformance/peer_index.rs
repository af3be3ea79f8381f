//! The index through two handles.

use std::slice;
use std::sync::Arc;

use super::Fixture;
use crate::{Record, SessionIndex};

/// Index: through every handle it is the same.
pub async fn peer_lists_the_same_records<S: SessionIndex>(at: Fixture<S>) {
    let of = |subject: &str, record| Record {
        subject: Some(Arc::from(subject)),
        ..record
    };
    assert_eq!(at.peer().list("zoë", None, 9).await.expect("list"), []);
    let record = of("zoë", at.record());
    at.create(&record).await;
    assert_eq!(
        at.peer().list("zoë", None, 9).await.expect("list"),
        slice::from_ref(&record)
    );
    assert_eq!(
        at.peer().scan(None, 9).await.expect("scan"),
        slice::from_ref(&record)
    );
    let moved = of("yan", super::rewritten(&record, b"moved"));
    at.update(record.revision, &moved).await;
    assert_eq!(at.peer().list("zoë", None, 9).await.expect("list"), []);
    assert_eq!(at.peer().list("yan", None, 9).await.expect("list"), [moved]);
    assert_eq!(at.peer().count().await.expect("count"), 1);
}

/// Delete of a subject: what one handle ends, no other serves.
pub async fn peer_ends_all_of_a_subject_everywhere<S: SessionIndex>(at: Fixture<S>) {
    let record = Record {
        subject: Some(Arc::from("zoë")),
        ..at.record()
    };
    at.create(&record).await;
    assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    let ended = at.peer().delete_subject("zoë", None).await.expect("delete");
    assert_eq!(ended, 1);
    assert_eq!(at.load(&record.key).await, None);
    assert_eq!(at.store.list("zoë", None, 9).await.expect("list"), []);
    assert_eq!(at.store.count().await.expect("count"), 0);
}
