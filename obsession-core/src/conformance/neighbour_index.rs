//! The indexes of two stores on one server.

use std::sync::Arc;

use super::Fixture;
use crate::{Create, Record, SessionIndex};

/// Isolation: what one lists, scans and counts is its own.
pub async fn neighbour_is_neither_listed_nor_counted<S: SessionIndex>(at: Fixture<S>) {
    let other = at.neighbour();
    let own = Record {
        subject: Some(Arc::from("zoë")),
        ..at.record()
    };
    at.create(&own).await;
    assert_eq!(other.list("zoë", None, 9).await.expect("list"), []);
    assert_eq!(other.scan(None, 9).await.expect("scan"), []);
    assert_eq!(other.count().await.expect("count"), 0);
    assert_eq!(at.store.list("zoë", None, 9).await.expect("list"), [own]);
}

/// Isolation: ending all sessions of a subject ends those of this store.
pub async fn neighbour_keeps_its_sessions_of_the_same_subject<S: SessionIndex>(at: Fixture<S>) {
    let other = at.neighbour();
    let own = Record {
        subject: Some(Arc::from("zoë")),
        ..at.record()
    };
    let twin = Record {
        body: b"twin".into(),
        ..own.clone()
    };
    at.create(&own).await;
    let created = other.create(&twin).await.expect("create");
    assert_eq!(created, Create::Created);
    let ended = at.store.delete_subject("zoë", None).await.expect("delete");
    assert_eq!(ended, 1);
    assert_eq!(
        other.load(&twin.key).await.expect("load").as_ref(),
        Some(&twin)
    );
    assert_eq!(other.list("zoë", None, 9).await.expect("list"), [twin]);
}
