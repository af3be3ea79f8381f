//! Walks over what an index gives, a page at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Fixture, rewritten};
use crate::{Record, ScanCursor, SessionIndex};

/// List: pages of every size meet every record once, in order.
pub async fn index_pages_meet_every_record_once<S: SessionIndex>(at: Fixture<S>) {
    for _ in 0..10 {
        at.of("zoë").await;
    }
    let all = at.store.list("zoë", None, 100).await.expect("list");
    for size in 1..=11 {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = at
                .store
                .list("zoë", after.as_ref(), size)
                .await
                .expect("list");
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = Some(last.key);
            paged.extend(page);
            assert!(paged.len() <= all.len(), "pages of {size} do not end");
        }
        assert_eq!(paged, all, "pages of {size}");
    }
    assert!(
        at.store
            .list("zoë", None, 0)
            .await
            .expect("list")
            .is_empty()
    );
}

/// List: a walk meets what was there all along exactly once, whatever comes and goes.
pub async fn index_pages_stay_right_when_records_come_and_go<S: SessionIndex>(at: Fixture<S>) {
    let mut there = BTreeSet::new();
    for _ in 0..24 {
        there.insert(at.of("zoë").await.key);
    }
    let (mut met, mut after) = (Vec::new(), None);
    loop {
        let page = at.store.list("zoë", after.as_ref(), 3).await.expect("list");
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            break;
        };
        after = Some(last.key);
        met.extend(page.iter().map(|record| record.key));
        assert!(met.len() < 200, "the walk does not end");
        // One that was met goes, sometimes the cursor itself; then others come somewhere.
        match met.len() / 3 % 3 {
            0 => at.delete(&first.key).await,
            1 => at.delete(&last.key).await,
            _ => drop((at.of("zoë").await, at.of("zoë").await)),
        }
    }
    for key in there {
        assert_eq!(met.iter().filter(|met| **met == key).count(), 1, "{key}");
    }
    assert!(met.is_sorted(), "out of order");
}

/// Scan: the oldest deadline first, from a cursor on, also where deadlines are equal.
pub async fn index_scans_by_deadline_from_a_cursor<S: SessionIndex>(at: Fixture<S>) {
    let later = at.time.later();
    let mut records = Vec::new();
    for n in 0..12 {
        let expires_at = later.saturating_add(Duration::from_millis(100 - n / 3));
        let record = Record {
            expires_at,
            ..at.record()
        };
        at.create(&record).await;
        records.push(record);
    }
    records.sort_by_key(|record| ScanCursor::from(record));
    for size in [1, 2, 5, 12, 13] {
        let (mut scanned, mut after) = (Vec::new(), None);
        loop {
            let page = at.store.scan(after, size).await.expect("scan");
            let Some(last) = page.last() else { break };
            after = Some(ScanCursor::from(last));
            scanned.extend(page);
            assert!(scanned.len() <= 12, "pages of {size} do not end");
        }
        assert_eq!(scanned, records, "pages of {size}");
    }
}

/// Scan: a touch or an update moves a record to its new place.
pub async fn index_scan_shows_a_moved_deadline<S: SessionIndex>(at: Fixture<S>) {
    let later = at.time.later();
    let (first, second) = (at.created().await, at.created().await);
    let third = later.saturating_add(Duration::from_secs(3600));
    at.touch(&first, third).await;
    let moved = third.saturating_add(Duration::from_secs(1));
    at.update(
        second.revision,
        &Record {
            expires_at: moved,
            ..rewritten(&second, b"")
        },
    )
    .await;
    let scanned: Vec<_> = at
        .scanned()
        .await
        .iter()
        .map(|r| (r.key, r.expires_at))
        .collect();
    assert_eq!(scanned, [(first.key, third), (second.key, moved)]);
}

/// Index: no limit is too large or too small for it.
pub async fn index_takes_any_limit<S: SessionIndex>(at: Fixture<S>) {
    let mut records = [at.of("zoë").await, at.of("zoë").await, at.of("zoë").await];
    records.sort_by_key(|record| record.key);
    for limit in [0, 1, 2, 3, 1 << 20, usize::MAX] {
        let listed = at.store.list("zoë", None, limit).await.expect("list");
        assert_eq!(listed, records[..limit.min(3)], "list of at most {limit}");
        let scanned = at.store.scan(None, limit).await.expect("scan");
        assert_eq!(scanned.len(), limit.min(3), "scan of at most {limit}");
    }
}

/// List: from after a key, whether or not it is there or the subject's.
pub async fn index_lists_from_after_a_key_that_is_gone<S: SessionIndex>(at: Fixture<S>) {
    let mut records = Vec::new();
    for _ in 0..6 {
        records.push(at.of("zoë").await);
    }
    records.sort_by_key(|record| record.key);
    at.delete(&records[2].key).await;
    let strangers = [at.of("yan").await.key, at.record().key];
    let gone = records.remove(2).key;
    for after in strangers.into_iter().chain([gone]) {
        let expected: Vec<_> = records.iter().filter(|r| r.key > after).cloned().collect();
        let listed = at.store.list("zoë", Some(&after), 10).await.expect("list");
        assert_eq!(listed, expected, "after {after}");
    }
}

/// Scan: a walk meets what was there all along exactly once, whatever comes and goes.
pub async fn index_scan_stays_right_when_records_come_and_go<S: SessionIndex>(at: Fixture<S>) {
    let later = at.time.later();
    let ends = |n: u64| Record {
        expires_at: later.saturating_add(Duration::from_millis(n / 3)),
        ..at.record()
    };
    let (mut staying, mut going) = (BTreeSet::new(), Vec::new());
    for n in 0..30 {
        let record = ends(n);
        at.create(&record).await;
        if n % 2 == 0 {
            staying.insert(record.key);
        } else {
            going.push(record.key);
        }
    }
    let (mut met, mut after) = (Vec::new(), None);
    loop {
        let page = at.store.scan(after, 4).await.expect("scan");
        let Some(last) = page.last() else { break };
        after = Some(ScanCursor::from(last));
        // The last that was seen goes, and another comes before where the walk is.
        if let Some(n) = going.iter().position(|key| *key == last.key) {
            at.delete(&going.swap_remove(n)).await;
        }
        at.create(&ends(0)).await;
        met.extend(page);
        assert!(met.len() < 200, "the walk does not end");
    }
    for key in staying {
        let times = met.iter().filter(|met| met.key == key).count();
        assert_eq!(times, 1, "{key}");
    }
    assert!(met.is_sorted_by_key(ScanCursor::from), "out of order");
}
