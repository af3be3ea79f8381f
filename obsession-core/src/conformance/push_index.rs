//! What a store that pushes tells of the end of a subject.

use std::sync::Arc;

use super::Fixture;
use super::push::rings;
use crate::{Record, SessionIndex};

/// Push: the end of all sessions of a subject is the end of each.
pub async fn push_tells_of_the_end_of_a_subject<S: SessionIndex>(at: Fixture<S>) {
    let mut bells = Vec::new();
    for _ in 0..3 {
        let record = Record {
            subject: Some(Arc::from("user-42")),
            ..at.record()
        };
        at.create(&record).await;
        bells.push(at.bell(&record.key).await);
    }
    let ended = at.writer().delete_subject("user-42", None).await;
    assert_eq!(ended.expect("delete of a subject"), 3);
    for bell in bells {
        rings(bell, "the end of the subject").await;
    }
}
