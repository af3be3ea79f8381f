//! What the suite does not see of a store that seals bodies: what is in the store inside, and what
//! becomes of rows that somebody has changed there.

use std::time::Duration;

use obsession_core::conformance::rewritten;
use obsession_core::{Touch, Update};

use crate::forged::{Rows, two_rows_whose_bodies_are_swapped_are_refused};
use crate::sealed::with;

fn rows() -> Rows {
    Rows::new(|sealed| sealed)
}

#[tokio::test]
async fn nothing_of_a_body_is_in_the_store_inside() {
    let (rows, body) = (rows(), b"quince");
    let record = rows.created(b'z', body).await;
    let first = rows.row(&record).await;
    let again = rewritten(&record, body);
    let updated = rows.store.update(record.revision, &again).await.unwrap();
    assert_eq!(updated, Update::Updated);
    let second = rows.row(&record).await;
    for row in [&first, &second] {
        assert!(!row.body.windows(body.len()).any(|part| part == body));
        assert_eq!(row.subject.as_deref(), Some("zoë"));
    }
    assert_ne!(first.body, second.body, "one nonce for two writes");
}

#[tokio::test]
async fn bodies_that_were_swapped_are_refused() {
    two_rows_whose_bodies_are_swapped_are_refused(rows()).await;
}

#[tokio::test]
async fn a_body_of_the_records_own_past_is_refused() {
    let rows = rows();
    let record = rows.created(b'z', b"before").await;
    let past = rows.row(&record).await;
    let next = rewritten(&record, b"after");
    let updated = rows.store.update(record.revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
    rows.forge(&with(&next, &past.body)).await;
    rows.assert_refused(&next).await;
}

#[tokio::test]
async fn a_body_that_was_cut_or_changed_is_refused() {
    let rows = rows();
    let record = rows.created(b'z', b"body").await;
    let whole = rows.row(&record).await;
    for n in 0..whole.body.len() {
        let mut changed = whole.body.to_vec();
        changed[n] ^= 1;
        for body in [&changed, &whole.body[..n]] {
            rows.forge(&with(&whole, body)).await;
            rows.assert_refused(&record).await;
        }
    }
}

#[tokio::test]
async fn a_body_opens_after_a_touch_of_its_record() {
    let rows = rows();
    let record = rows.created(b'z', b"body").await;
    let later = record.expires_at.saturating_add(Duration::from_secs(1));
    let touched = rows.store.touch(&record.key, record.revision, later).await;
    assert_eq!(touched.unwrap(), Touch::Touched);
    let seen = rows.store.load(&record.key).await.unwrap().unwrap();
    assert_eq!((seen.body, seen.expires_at), (record.body, later));
}
