//! Finding sessions by whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::chance::Chance;
use super::{Fixture, load::odd_subjects, rewritten};
use crate::{Record, SessionIndex, SessionKey, Update};

impl<S: SessionIndex> Fixture<S> {
    pub(super) async fn of(&self, subject: &str) -> Record {
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

    pub(super) async fn scanned(&self) -> Vec<Record> {
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
    at.delete(&record.key).await;
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
    at.cleanup().await;
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
    at.cleanup().await;
    assert_eq!(at.store.count().await.expect("count"), 5);
}

/// Index: it agrees with the records whatever was done at once.
pub async fn index_agrees_with_the_records_after_a_storm<S: SessionIndex>(at: Fixture<S>) {
    let mut keys = Vec::new();
    for _ in 0..6 {
        keys.push(at.created().await.key);
    }
    for round in 0..10 {
        let actors: Vec<_> = (0..8)
            .map(|actor| {
                let (store, keys, template) = (Arc::clone(&at.store), keys.clone(), at.record());
                let mut chance = Chance::new(round * 8 + actor);
                tokio::spawn(async move {
                    for _ in 0..8 {
                        let key = keys[chance.below(keys.len())];
                        any_change(&*store, key, &template, &mut chance).await;
                    }
                })
            })
            .collect();
        for actor in actors {
            actor.await.expect("an actor");
        }
        assert_agrees(&at, &keys).await;
    }
}

async fn any_change<S: SessionIndex>(
    store: &S,
    key: SessionKey,
    template: &Record,
    chance: &mut Chance,
) {
    const SUBJECTS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];
    let next = Record {
        key,
        subject: SUBJECTS[chance.below(4)].map(Arc::from),
        ..rewritten(template, b"storm")
    };
    match chance.below(8) {
        0 => drop(store.delete(&key).await.expect("delete")),
        1 => drop(store.delete_subject("a", Some(&key)).await.expect("delete")),
        2 => drop(store.create(&next).await.expect("create")),
        kind => match store.load(&key).await.expect("load") {
            None => drop(store.create(&next).await.expect("create")),
            Some(now) if kind == 3 => {
                let later = now.expires_at.saturating_add(Duration::from_millis(7));
                let _ = store.touch(&key, now.revision, later).await.expect("touch");
            }
            Some(now) => drop(store.update(now.revision, &next).await.expect("update")),
        },
    }
}

async fn assert_agrees<S: SessionIndex>(at: &Fixture<S>, keys: &[SessionKey]) {
    let mut live = BTreeMap::<Option<Arc<str>>, BTreeSet<SessionKey>>::new();
    let mut count = 0;
    for key in keys {
        if let Some(record) = at.load(key).await {
            live.entry(record.subject).or_default().insert(*key);
            count += 1;
        }
    }
    for subject in ["a", "b", "c"] {
        let expected = live.remove(&Some(Arc::from(subject))).unwrap_or_default();
        assert_eq!(at.keys_of(subject).await, expected, "{subject}");
    }
    assert_eq!(at.store.count().await.expect("count"), count);
    assert_eq!(at.scanned().await.len() as u64, count);
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

/// Index: three hundred records of one subject are listed, scanned, counted and ended.
pub async fn index_of_many_records_is_whole<S: SessionIndex>(at: Fixture<S>) {
    const RECORDS: usize = 300;
    let mut keys = BTreeSet::new();
    for _ in 0..RECORDS {
        keys.insert(at.of("zoë").await.key);
    }
    let yan = at.of("yan").await;
    assert_eq!(at.keys_of("zoë").await, keys);
    assert_eq!(at.scanned().await.len(), RECORDS + 1);
    assert_eq!(at.store.count().await.expect("count"), RECORDS as u64 + 1);
    let kept = keys.pop_first();
    let ended = at.store.delete_subject("zoë", kept.as_ref()).await;
    assert_eq!(ended.expect("delete"), RECORDS - 1);
    assert_eq!(at.keys_of("zoë").await, kept.into_iter().collect());
    assert_eq!(at.load(&yan.key).await, Some(yan));
}

/// Delete of a subject: a session that signs in as somebody else meanwhile is that one's.
pub async fn race_of_a_sign_in_and_the_end_of_a_subject<S: SessionIndex>(at: Fixture<S>) {
    for round in 0..16 {
        let record = at.of("zoë").await;
        let moved = Record {
            subject: Some(Arc::from("yan")),
            ..rewritten(&record, b"yan's")
        };
        let ending = {
            let store = Arc::clone(&at.store);
            tokio::spawn(async move { store.delete_subject("zoë", None).await })
        };
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let answer = at.store.update(record.revision, &moved).await;
        let updated = answer.expect("update") == Update::Updated;
        let ended = ending.await.expect("an actor").expect("delete");
        assert_eq!(at.load(&record.key).await.is_some(), updated);
        assert_eq!(ended, usize::from(!updated));
        at.store.delete_subject("yan", None).await.expect("delete");
    }
}
