//! Finding sessions by whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, load::odd_subjects, rewritten};
use crate::{Delete, Record, ScanCursor, SessionIndex, SessionKey, Touch, Update};

impl<S: SessionIndex> Fixture<S> {
    async fn of(&self, subject: &str) -> Record {
        let record = Record {
            subject: Some(Arc::from(subject)),
            ..self.record()
        };
        self.create(&record).await;
        record
    }

    async fn keys_of(&self, subject: &str) -> BTreeSet<SessionKey> {
        let records = self.store.list(subject, None, 1000).await.expect("list");
        let keys: BTreeSet<_> = records.iter().map(|record| record.key).collect();
        assert_eq!(keys.len(), records.len(), "a record was listed twice");
        keys
    }

    async fn scanned(&self) -> Vec<Record> {
        self.store.scan(None, 1000).await.expect("scan")
    }
}

/// List: the live records of a subject, by ascending key, as they are.
pub async fn index_lists_the_sessions_of_a_subject_by_key<S: SessionIndex>(at: Fixture<S>) {
    let mut records = Vec::new();
    for _ in 0..20 {
        records.push(at.of("zoë").await);
    }
    records.sort_by_key(|record| record.key);
    assert_eq!(
        at.store.list("zoë", None, 100).await.expect("list"),
        records
    );
}

/// List: of this subject and no other.
pub async fn index_lists_nothing_of_others<S: SessionIndex>(at: Fixture<S>) {
    at.of("zo").await;
    at.of("zoëy").await;
    at.created().await;
    for subject in ["zoë", "", "z", "zoëyy"] {
        assert!(at.keys_of(subject).await.is_empty(), "{subject:?}");
    }
}

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

/// List: only what is live.
pub async fn index_lists_no_expired_record<S: SessionIndex>(at: Fixture<S>) {
    let soon = at.time.soon();
    let expiring = Record {
        subject: Some(Arc::from("zoë")),
        expires_at: soon,
        ..at.record()
    };
    at.create(&expiring).await;
    let staying = at.of("zoë").await;
    assert_eq!(at.keys_of("zoë").await.len(), 2);
    at.time.reach(soon).await;
    assert_eq!(at.keys_of("zoë").await, BTreeSet::from([staying.key]));
    assert_eq!(at.scanned().await, [staying]);
}

/// Index: an update may change the subject.
pub async fn index_follows_a_changed_subject<S: SessionIndex>(at: Fixture<S>) {
    let mut record = at.created().await;
    for (subject, listed) in [
        (Some("a"), "a"),
        (Some("b"), "b"),
        (None, ""),
        (Some("a"), "a"),
    ] {
        let next = Record {
            subject: subject.map(Arc::from),
            ..rewritten(&record, b"moved")
        };
        at.update(record.revision, &next).await;
        record = next;
        for name in ["a", "b"] {
            assert_eq!(
                at.keys_of(name).await.len(),
                usize::from(name == listed),
                "{name}"
            );
        }
    }
}

/// Index: a delete takes the entry with it.
pub async fn index_forgets_a_deleted_record<S: SessionIndex>(at: Fixture<S>) {
    let record = at.of("zoë").await;
    assert_eq!(
        at.store.delete(&record.key).await.expect("delete"),
        Delete::Deleted
    );
    assert!(at.keys_of("zoë").await.is_empty());
    assert!(at.scanned().await.is_empty());
    // Somebody else's session under the same key is not zoë's.
    at.create(&Record {
        subject: Some(Arc::from("yan")),
        ..record
    })
    .await;
    assert!(at.keys_of("zoë").await.is_empty());
}

/// Index: a create over an expired record.
pub async fn index_forgets_a_replaced_expired_record<S: SessionIndex>(at: Fixture<S>) {
    let soon = at.time.soon();
    let old = Record {
        subject: Some(Arc::from("old")),
        expires_at: soon,
        ..at.record()
    };
    at.create(&old).await;
    at.time.reach(soon).await;
    let new = Record {
        key: old.key,
        subject: Some(Arc::from("new")),
        ..at.record()
    };
    at.create(&new).await;
    assert!(at.keys_of("old").await.is_empty());
    assert_eq!(at.keys_of("new").await, BTreeSet::from([new.key]));
    at.store.delete_expired(100).await.expect("cleanup");
    assert_eq!(at.scanned().await, [new]);
}

/// List: subjects are compared whole and bytewise.
pub async fn index_keeps_odd_subjects_apart<S: SessionIndex>(at: Fixture<S>) {
    let mut keys = BTreeMap::new();
    for subject in odd_subjects() {
        let record = at.of(&subject).await;
        keys.insert(subject, record.key);
    }
    for (subject, key) in keys {
        assert_eq!(
            at.keys_of(&subject).await,
            BTreeSet::from([key]),
            "{subject:?}"
        );
    }
}

/// List: a walk meets what was there all along exactly once, whatever comes and goes.
pub async fn index_pages_stay_right_when_records_come_and_go<S: SessionIndex>(at: Fixture<S>) {
    let mut staying = BTreeSet::new();
    let mut going = Vec::new();
    for _ in 0..12 {
        staying.insert(at.of("zoë").await.key);
        going.push(at.of("zoë").await.key);
    }
    let (mut met, mut after) = (Vec::new(), None);
    loop {
        let page = at.store.list("zoë", after.as_ref(), 3).await.expect("list");
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        met.extend(page.iter().map(|record| record.key));
        if let Some(key) = going.pop() {
            let _ = at.store.delete(&key).await.expect("delete");
        }
        at.of("zoë").await;
    }
    for key in staying {
        assert_eq!(met.iter().filter(|met| **met == key).count(), 1, "{key}");
    }
    assert!(met.is_sorted(), "out of order");
}

/// Delete of a subject: every record but one, and how many.
pub async fn index_deletes_all_of_a_subject_but_one<S: SessionIndex>(at: Fixture<S>) {
    let kept = at.of("zoë").await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(at.of("zoë").await);
    }
    let ended = at
        .store
        .delete_subject("zoë", Some(&kept.key))
        .await
        .expect("delete");
    assert_eq!(ended, 5);
    for other in others {
        assert_eq!(at.load(&other.key).await, None);
        let late = at
            .store
            .update(other.revision, &rewritten(&other, b"late"))
            .await;
        assert_eq!(late.expect("update"), Update::Gone);
    }
    assert_eq!(at.keys_of("zoë").await, BTreeSet::from([kept.key]));
    assert_eq!(
        at.store.delete_subject("zoë", None).await.expect("delete"),
        1
    );
    assert_eq!(
        at.store.delete_subject("zoë", None).await.expect("delete"),
        0
    );
}

/// Delete of a subject: of this one and no other.
pub async fn index_delete_of_a_subject_leaves_others_alone<S: SessionIndex>(at: Fixture<S>) {
    let (yan, nobody) = (at.of("yan").await, at.created().await);
    at.of("zoë").await;
    let except = Some(&yan.key);
    assert_eq!(
        at.store
            .delete_subject("zoë", except)
            .await
            .expect("delete"),
        1
    );
    assert_eq!(at.load(&yan.key).await.as_ref(), Some(&yan));
    assert_eq!(at.load(&nobody.key).await, Some(nobody));
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
        }
        assert_eq!(scanned, records, "pages of {size}");
    }
}

/// Scan: a touch or an update moves a record to its new place.
pub async fn index_scan_shows_a_moved_deadline<S: SessionIndex>(at: Fixture<S>) {
    let later = at.time.later();
    let (first, second) = (at.created().await, at.created().await);
    let third = later.saturating_add(Duration::from_secs(3600));
    assert_eq!(
        at.store
            .touch(&first.key, first.revision, third)
            .await
            .expect("touch"),
        Touch::Touched
    );
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

/// Count: what is live.
pub async fn index_counts_live_records<S: SessionIndex>(at: Fixture<S>) {
    assert_eq!(at.store.count().await.expect("count"), 0);
    let soon = at.time.soon();
    for n in 0..9 {
        let mut record = at.record();
        if n < 4 {
            record.expires_at = soon;
        }
        at.create(&record).await;
    }
    assert_eq!(at.store.count().await.expect("count"), 9);
    at.time.reach(soon).await;
    assert_eq!(at.store.count().await.expect("count"), 5);
    at.store.delete_expired(100).await.expect("cleanup");
    assert_eq!(at.store.count().await.expect("count"), 5);
}

/// Index: it agrees with the records whatever was done at once.
pub async fn index_agrees_with_the_records_after_a_storm<S: SessionIndex>(at: Fixture<S>) {
    const SUBJECTS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];
    let mut keys = Vec::new();
    for _ in 0..16 {
        keys.push(at.created().await.key);
    }
    let later = at.time.later();
    let storm = |seed: usize| {
        let (store, keys, template) = (Arc::clone(&at.store), keys.clone(), at.record());
        tokio::spawn(async move {
            for step in 0..60 {
                // A walk over keys, calls and subjects that differs from actor to actor.
                let n = (seed * 7919 + step * 104_729) ^ (step * seed);
                let key = keys[n % keys.len()];
                let subject = SUBJECTS[(n / 5) % 4].map(Arc::from);
                let fresh = Record {
                    key,
                    subject,
                    ..rewritten(&template, b"storm")
                };
                match n / 3 % 6 {
                    0 => drop(store.delete(&key).await.expect("delete")),
                    1 => drop(store.create(&fresh).await.expect("create")),
                    2 => {
                        let at = later.saturating_add(Duration::from_millis(n as u64 % 1000));
                        if let Some(now) = store.load(&key).await.expect("load") {
                            let _ = store.touch(&key, now.revision, at).await.expect("touch");
                        }
                    }
                    3 => drop(store.delete_subject("a", Some(&key)).await.expect("delete")),
                    _ => {
                        if let Some(now) = store.load(&key).await.expect("load") {
                            let _ = store.update(now.revision, &fresh).await.expect("update");
                        }
                    }
                }
            }
        })
    };
    for actor in (0..8).map(storm).collect::<Vec<_>>() {
        actor.await.expect("an actor");
    }
    let mut live = BTreeMap::<Option<Arc<str>>, BTreeSet<SessionKey>>::new();
    let mut count = 0;
    for key in &keys {
        if let Some(record) = at.load(key).await {
            live.entry(record.subject).or_default().insert(*key);
            count += 1;
        }
    }
    for subject in ["a", "b", "c"] {
        let expected = live
            .get(&Some(Arc::from(subject)))
            .cloned()
            .unwrap_or_default();
        assert_eq!(at.keys_of(subject).await, expected, "{subject}");
    }
    assert_eq!(at.store.count().await.expect("count"), count);
    assert_eq!(at.scanned().await.len() as u64, count);
}

/// Index: no limit is too large or too small for it.
pub async fn index_takes_any_limit<S: SessionIndex>(at: Fixture<S>) {
    let mut records = vec![at.of("zoë").await, at.of("zoë").await, at.of("zoë").await];
    records.sort_by_key(|record| record.key);
    for limit in [0, 1, 2, 3, 1 << 20, usize::MAX] {
        let listed = at.store.list("zoë", None, limit).await.expect("list");
        assert_eq!(listed, records[..limit.min(3)], "list of at most {limit}");
        let scanned = at.store.scan(None, limit).await.expect("scan");
        assert_eq!(scanned.len(), limit.min(3), "scan of at most {limit}");
    }
}

/// Index: a record whose deadline was moved is listed for as long as it lives.
pub async fn index_lists_a_record_whose_deadline_moved<S: SessionIndex>(at: Fixture<S>) {
    let of_zoe = |record| Record {
        subject: Some(Arc::from("zoë")),
        ..record
    };
    let (touched, updated) = (of_zoe(at.expiring()), of_zoe(at.expiring()));
    at.create(&touched).await;
    at.create(&updated).await;
    let later = at.time.later();
    at.touch(&touched, later).await;
    let longer = Record {
        expires_at: later,
        ..rewritten(&updated, b"longer")
    };
    at.update(updated.revision, &longer).await;
    at.time
        .reach(updated.expires_at.max(touched.expires_at))
        .await;
    at.cleanup().await;
    let both = BTreeSet::from([touched.key, updated.key]);
    assert_eq!(at.keys_of("zoë").await, both);
    assert_eq!(at.scanned().await.len(), 2);
    assert_eq!(
        at.store.delete_subject("zoë", None).await.expect("delete"),
        2
    );
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

/// List: a subject with a NUL, where it can be stored, is another one than its parts.
pub async fn index_of_a_subject_with_a_nul_is_not_its_beginnings<S: SessionIndex>(at: Fixture<S>) {
    let record = Record {
        subject: Some(Arc::from("zoë\0y")),
        ..at.record()
    };
    // Refused or stored whole, which another case looks at.
    let stored = at.store.create(&record).await.is_ok();
    for subject in ["zoë", "zoë\0", "y", ""] {
        assert!(at.keys_of(subject).await.is_empty(), "{subject:?}");
        let ended = at.store.delete_subject(subject, None).await;
        assert_eq!(ended.expect("delete"), 0, "{subject:?}");
    }
    assert_eq!(at.load(&record.key).await.is_some(), stored);
    if stored {
        assert_eq!(at.keys_of("zoë\0y").await, BTreeSet::from([record.key]));
    }
}

/// Delete of a subject: what has expired is not counted.
pub async fn index_delete_of_a_subject_counts_live_records<S: SessionIndex>(at: Fixture<S>) {
    let expiring = Record {
        subject: Some(Arc::from("zoë")),
        ..at.expiring()
    };
    at.create(&expiring).await;
    at.of("zoë").await;
    let yan = at.of("zoë").await;
    let moved = Record {
        subject: Some(Arc::from("yan")),
        ..rewritten(&yan, b"yan's now")
    };
    at.update(yan.revision, &moved).await;
    at.time.reach(expiring.expires_at).await;
    let ended = at.store.delete_subject("zoë", None).await.expect("delete");
    assert_eq!(ended, 1);
    assert_eq!(at.load(&moved.key).await, Some(moved));
    assert_eq!(at.store.count().await.expect("count"), 1);
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
    }
    for key in staying {
        let times = met.iter().filter(|met| met.key == key).count();
        assert_eq!(times, 1, "{key}");
    }
    assert!(
        met.is_sorted_by_key(|record| ScanCursor::from(record)),
        "out of order"
    );
}
