//! What an index keeps beside the records, and must not keep too long or lose too early.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, rewritten};
use crate::{Create, Record, ScanCursor, SessionIndex};

fn of(subject: &str, record: Record) -> Record {
    Record {
        subject: Some(Arc::from(subject)),
        ..record
    }
}

/// Index: what is listed and scanned is what a load gives, after updates and touches too.
pub async fn index_shows_records_as_a_load_does<S: SessionIndex>(at: Fixture<S>) {
    let mut records = Vec::new();
    for n in 0..6_u64 {
        let record = at.of("zoë").await;
        let later = record.expires_at.saturating_add(Duration::from_millis(n));
        let next = Record {
            expires_at: later,
            ..rewritten(&record, format!("body {n}").as_bytes())
        };
        at.update(record.revision, &next).await;
        let touched = Record {
            expires_at: later.saturating_add(Duration::from_secs(1)),
            ..next.clone()
        };
        at.touch(&next, touched.expires_at).await;
        assert_eq!(at.load(&next.key).await.as_ref(), Some(&touched));
        records.push(touched);
    }
    records.sort_by_key(|record| ScanCursor::from(record));
    assert_eq!(at.scanned().await, records);
    records.sort_by_key(|record| record.key);
    let listed = at.store.list("zoë", None, 100).await.expect("list");
    assert_eq!(listed, records);
}

/// List: expired records that are still there take no place of a page.
pub async fn index_pages_pass_by_what_has_expired<S: SessionIndex>(at: Fixture<S>) {
    let (mut live, mut last) = (BTreeSet::new(), at.time.now());
    for n in 0..24 {
        if n % 3 == 0 {
            live.insert(at.of("zoë").await.key);
            continue;
        }
        let expiring = of("zoë", at.expiring());
        last = last.max(expiring.expires_at);
        at.create(&expiring).await;
    }
    at.time.reach(last).await;
    let (mut met, mut after) = (BTreeSet::new(), None);
    loop {
        let page = at.store.list("zoë", after.as_ref(), 2).await.expect("list");
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        met.extend(page.iter().map(|record| record.key));
    }
    assert_eq!(met, live, "until an empty page");
    assert_eq!(at.store.scan(None, 1).await.expect("scan").len(), 1);
}

/// Index: each record is found until its own deadline, whatever others of its subject have.
pub async fn index_entries_live_as_long_as_their_records<S: SessionIndex>(at: Fixture<S>) {
    // Long and then short; moved by a touch; moved by an update.
    let long = of("a", at.record());
    let short = of("a", at.expiring());
    let touched = of("b", at.expiring());
    let updated = of("c", at.expiring());
    for record in [&long, &short, &touched, &updated] {
        at.create(record).await;
    }
    at.touch(&touched, at.time.later()).await;
    let longer = Record {
        expires_at: at.time.later(),
        ..rewritten(&updated, b"longer")
    };
    at.update(updated.revision, &longer).await;
    let last = short.expires_at.max(touched.expires_at);
    at.time.reach(last.max(updated.expires_at)).await;
    for (subject, record) in [("a", long), ("b", touched), ("c", updated)] {
        let listed = at.store.list(subject, None, 9).await.expect("list");
        let keys: Vec<_> = listed.iter().map(|record| record.key).collect();
        assert_eq!(keys, [record.key], "{subject}");
        let ended = at.store.delete_subject(subject, None).await;
        assert_eq!(ended.expect("delete"), 1, "{subject}");
        assert_eq!(at.load(&record.key).await, None);
    }
}

/// Delete of a subject: a key that somebody else has now is not the old subject's.
pub async fn index_delete_of_a_subject_leaves_a_key_to_its_next_owner<S: SessionIndex>(
    at: Fixture<S>,
) {
    let (deleted, expired) = (at.of("zoë").await, of("zoë", at.expiring()));
    at.create(&expired).await;
    at.delete(&deleted.key).await;
    at.time.reach(expired.expires_at).await;
    let nobodys = Record {
        subject: None,
        ..rewritten(&deleted, b"nobody's")
    };
    let yans = Record {
        expires_at: at.time.later(),
        ..of("yan", rewritten(&expired, b"yan's"))
    };
    at.create(&nobodys).await;
    at.create(&yans).await;
    let ended = at.store.delete_subject("zoë", None).await.expect("delete");
    assert_eq!(ended, 0);
    assert_eq!(at.load(&nobodys.key).await, Some(nobodys));
    assert_eq!(at.load(&yans.key).await, Some(yans));
}

/// Delete of a subject: the empty subject is one, and sessions without a subject are not its.
pub async fn index_delete_of_the_empty_subject_spares_who_has_none<S: SessionIndex>(
    at: Fixture<S>,
) {
    let nobodys = at.created().await;
    let ended = at.store.delete_subject("", None).await.expect("delete");
    assert_eq!(ended, 0);
    let empty = at.of("").await;
    let ended = at.store.delete_subject("", None).await.expect("delete");
    assert_eq!(ended, 1);
    assert_eq!(at.load(&empty.key).await, None);
    assert_eq!(at.load(&nobodys.key).await, Some(nobodys));
}

/// Count: a retry, a refused create and one over an expired record count once.
pub async fn index_counts_no_create_twice<S: SessionIndex>(at: Fixture<S>) {
    let expired = at.expiring();
    at.create(&expired).await;
    let record = at.created().await;
    assert_eq!(
        at.store.create(&record).await.expect("create"),
        Create::Created
    );
    let taken = at.store.create(&rewritten(&record, b"taken")).await;
    assert_eq!(taken.expect("create"), Create::KeyTaken);
    assert_eq!(at.store.count().await.expect("count"), 2);
    at.time.reach(expired.expires_at).await;
    let new = Record {
        expires_at: at.time.later(),
        ..rewritten(&expired, b"new")
    };
    at.create(&new).await;
    assert_eq!(at.store.count().await.expect("count"), 2);
    at.delete(&new.key).await;
    at.delete(&record.key).await;
    assert_eq!(at.store.count().await.expect("count"), 0);
}
