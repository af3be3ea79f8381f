//! One call after another: every clause of [`SessionStore`] alone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, revision, rewritten};
use crate::{Create, Delete, Record, SessionKey, SessionStore, Timestamp, Touch, Update};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Live or absent: what was never created is absent.
pub async fn load_of_an_unknown_key_is_nothing<S: SessionStore>(at: Fixture<S>) {
    assert_eq!(at.load(&at.record().key).await, None);
}

/// Bytes in, bytes out: all fields.
pub async fn load_gives_back_every_field<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.record();
    record.subject = Some(Arc::from("user-42"));
    record.created_at = Timestamp::from_millis(1);
    at.create(&record).await;
    assert_eq!(at.load(&record.key).await, Some(record));
}

/// Bytes in, bytes out: the body is no text.
pub async fn load_gives_back_every_byte<S: SessionStore>(at: Fixture<S>) {
    let all: Vec<u8> = (0..=255).collect();
    for body in [&[][..], &[0], &[0xff, 0xfe, 0], &all, b"\r\n\t\\'\"%_"] {
        let record = rewritten(&at.record(), body);
        at.create(&record).await;
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

/// Bytes in, bytes out: nothing is cut.
pub async fn load_gives_back_a_large_body<S: SessionStore>(at: Fixture<S>) {
    let body: Vec<u8> = (0..1 << 20)
        .map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let record = rewritten(&at.record(), &body);
    at.create(&record).await;
    let loaded = at.load(&record.key).await.expect("the record");
    assert!(loaded == record, "1 MiB came back otherwise");
}

/// A load gives this key's record: keys are compared whole, and case counts.
pub async fn load_keeps_keys_apart_that_differ_in_one_character<S: SessionStore>(at: Fixture<S>) {
    let keys = [
        "AbCdEfGhIjKlMnO.",
        "abcdefghijklmno.",
        "AbCdEfGhIjKlMnO-",
        "aBCdEfGhIjKlMnO.",
        "................",
    ];
    for key in keys {
        let key: SessionKey = key.parse().expect("a key");
        at.create(&Record {
            key,
            body: Arc::from(key.as_bytes().as_slice()),
            ..at.record()
        })
        .await;
    }
    for key in keys {
        let record = at
            .load(&key.parse().expect("a key"))
            .await
            .expect("the record");
        assert_eq!((record.key.as_str(), &*record.body), (key, key.as_bytes()));
    }
}

/// Bytes in, bytes out: a subject is any text of at most 1,024 bytes without a NUL.
pub async fn load_gives_back_odd_subjects<S: SessionStore>(at: Fixture<S>) {
    for subject in odd_subjects() {
        let record = Record {
            subject: Some(Arc::from(&*subject)),
            ..at.record()
        };
        at.create(&record).await;
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

pub(super) fn odd_subjects() -> Vec<String> {
    let odd = [
        "", " ", "a", "A", "a ", "user:1", "user:*", "%", "_", "'; --", "]]", "{}", "\\", "\"",
        "\n", "ß", "日本", "🦀", "e\u{301}", "é",
    ];
    let mut subjects: Vec<String> = odd.map(str::to_owned).into();
    subjects.push("s".repeat(Record::MAX_SUBJECT));
    subjects
}

/// Live or absent: before the deadline and not at it.
pub async fn load_before_the_deadline_but_not_at_it<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        ..at.record()
    };
    at.create(&record).await;
    if at.time.is_set() {
        let before = Timestamp::from_millis(record.expires_at.as_millis() - 1);
        at.time.reach(before).await;
    }
    assert_eq!(
        at.load(&record.key).await.as_ref(),
        Some(&record),
        "a millisecond before"
    );
    at.time.reach(record.expires_at).await;
    assert_eq!(at.load(&record.key).await, None, "at the deadline");
}

/// Live or absent: a deadline thousands of years away is one.
pub async fn load_of_a_far_deadline<S: SessionStore>(at: Fixture<S>) {
    // The year 9999, which every database's integers and clocks still hold.
    let record = Record {
        expires_at: Timestamp::from_millis(253_402_300_799_000),
        ..at.record()
    };
    at.create(&record).await;
    assert_eq!(at.load(&record.key).await, Some(record));
}

/// Create: a live record of the key stays as it is.
pub async fn create_of_a_taken_key_changes_nothing<S: SessionStore>(at: Fixture<S>) {
    let first = at.created().await;
    let second = rewritten(&first, b"second");
    assert_eq!(
        at.store.create(&second).await.expect("create"),
        Create::KeyTaken
    );
    assert_eq!(at.load(&first.key).await, Some(first));
}

/// Recognised retries: a create that was applied answers as it did.
pub async fn create_again_is_recognised<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    assert_eq!(
        at.store.create(&record).await.expect("create"),
        Create::Created
    );
    assert_eq!(at.load(&record.key).await, Some(record));
}

/// Live or absent: an expired record does not keep its key.
pub async fn create_over_an_expired_record_replaces_it<S: SessionStore>(at: Fixture<S>) {
    let old = Record {
        expires_at: at.time.soon(),
        ..at.record()
    };
    at.create(&old).await;
    at.time.reach(old.expires_at).await;
    let new = Record {
        key: old.key,
        ..at.record()
    };
    at.create(&new).await;
    assert_eq!(at.load(&old.key).await.as_ref(), Some(&new));
    at.store.delete_expired(100).await.expect("cleanup");
    assert_eq!(at.load(&old.key).await, Some(new), "after cleanup");
}

/// Delete: nothing but a create with this key makes it load again.
pub async fn create_after_a_delete<S: SessionStore>(at: Fixture<S>) {
    let old = at.created().await;
    assert_eq!(
        at.store.delete(&old.key).await.expect("delete"),
        Delete::Deleted
    );
    let new = rewritten(&old, b"new");
    at.create(&new).await;
    assert_eq!(at.load(&old.key).await, Some(new));
}

/// Live or absent: a record that is created too late is not served.
pub async fn create_of_an_expired_record_is_never_served<S: SessionStore>(at: Fixture<S>) {
    for expires_at in [at.time.now(), Timestamp::from_millis(0)] {
        let record = Record {
            expires_at,
            ..at.record()
        };
        let _ = at.store.create(&record).await.expect("create");
        assert_eq!(at.load(&record.key).await, None);
    }
}

/// Update: everything is replaced.
pub async fn update_replaces_every_field<S: SessionStore>(at: Fixture<S>) {
    let old = Record {
        subject: Some(Arc::from("before")),
        ..at.record()
    };
    at.create(&old).await;
    let mut last = old.revision;
    for subject in [Some("after"), None, Some("")] {
        let new = Record {
            subject: subject.map(Arc::from),
            created_at: Timestamp::from_millis(77),
            expires_at: old.expires_at.saturating_add(MILLISECOND),
            ..rewritten(&old, b"a longer body than it was")
        };
        at.update(last, &new).await;
        assert_eq!(at.load(&old.key).await.as_ref(), Some(&new));
        last = new.revision;
    }
}

/// Update: only against the revision that was read, and a conflict brings the current record.
pub async fn update_of_another_revision_is_a_conflict_with_the_current_record<S: SessionStore>(
    at: Fixture<S>,
) {
    let first = at.created().await;
    let second = rewritten(&first, b"second");
    at.update(first.revision, &second).await;
    let stale = rewritten(&first, b"stale");
    let answer = at
        .store
        .update(first.revision, &stale)
        .await
        .expect("update");
    assert_eq!(answer, Update::Conflict(second.clone()));
    assert_eq!(at.load(&first.key).await, Some(second));
}

/// Recognised retries: an update that was applied is not a conflict.
pub async fn update_again_is_recognised<S: SessionStore>(at: Fixture<S>) {
    let first = at.created().await;
    let second = rewritten(&first, b"second");
    at.update(first.revision, &second).await;
    at.update(first.revision, &second).await;
    assert_eq!(at.load(&first.key).await, Some(second));
}

/// Never an upsert: of what never was.
pub async fn update_of_an_unknown_key_does_not_insert<S: SessionStore>(at: Fixture<S>) {
    let record = at.record();
    for expected in [record.revision, revision()] {
        assert_eq!(
            at.store.update(expected, &record).await.expect("update"),
            Update::Gone
        );
    }
    assert_eq!(at.load(&record.key).await, None);
}

/// Never an upsert: of what was deleted.
pub async fn update_of_a_deleted_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    assert_eq!(
        at.store.delete(&record.key).await.expect("delete"),
        Delete::Deleted
    );
    let late = rewritten(&record, b"late");
    assert_eq!(
        at.store
            .update(record.revision, &late)
            .await
            .expect("update"),
        Update::Gone
    );
    assert_eq!(at.load(&record.key).await, None);
}

/// Never an upsert: of what expired, whether or not cleanup ran.
pub async fn update_of_an_expired_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        ..at.record()
    };
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    let late = Record {
        expires_at: at.time.later(),
        ..rewritten(&record, b"late")
    };
    for _ in 0..2 {
        assert_eq!(
            at.store
                .update(record.revision, &late)
                .await
                .expect("update"),
            Update::Gone
        );
        assert_eq!(at.load(&record.key).await, None);
        at.store.delete_expired(100).await.expect("cleanup");
    }
}

/// Update: the new deadline may be earlier than the old one, and holds.
pub async fn update_may_end_earlier<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let shorter = Record {
        expires_at: at.time.soon(),
        ..rewritten(&record, b"shorter")
    };
    at.update(record.revision, &shorter).await;
    assert_eq!(at.load(&record.key).await.as_ref(), Some(&shorter));
    at.time.reach(shorter.expires_at).await;
    assert_eq!(at.load(&record.key).await, None);
    assert_eq!(at.store.delete_expired(100).await.expect("cleanup"), 1);
}

/// Touch: the deadline, and nothing else.
pub async fn touch_moves_the_deadline_and_nothing_else<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        subject: Some(Arc::from("s")),
        ..at.record()
    };
    at.create(&record).await;
    let touched = Record {
        expires_at: at.time.later(),
        ..record.clone()
    };
    let answer = at
        .store
        .touch(&record.key, touched.expires_at)
        .await
        .expect("touch");
    assert_eq!(answer, Touch::Touched);
    at.time.reach(record.expires_at).await;
    assert_eq!(at.load(&record.key).await, Some(touched));
}

/// Touch: only ever later.
pub async fn touch_never_shortens<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    for earlier in [
        at.time.soon(),
        at.time.now(),
        Timestamp::from_millis(0),
        record.expires_at,
    ] {
        let answer = at.store.touch(&record.key, earlier).await.expect("touch");
        assert_eq!(answer, Touch::Touched);
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    }
}

/// Never an upsert: a touch never creates.
pub async fn touch_of_an_unknown_key_does_not_create<S: SessionStore>(at: Fixture<S>) {
    let key = at.record().key;
    assert_eq!(
        at.store.touch(&key, at.time.later()).await.expect("touch"),
        Touch::Gone
    );
    assert_eq!(at.load(&key).await, None);
}

/// Never an upsert: a touch after a delete.
pub async fn touch_of_a_deleted_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let key = at.created().await.key;
    assert_eq!(
        at.store.delete(&key).await.expect("delete"),
        Delete::Deleted
    );
    assert_eq!(
        at.store.touch(&key, at.time.later()).await.expect("touch"),
        Touch::Gone
    );
    assert_eq!(at.load(&key).await, None);
}

/// Never an upsert: a touch after the deadline.
pub async fn touch_of_an_expired_record_does_not_revive_it<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        ..at.record()
    };
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    assert_eq!(
        at.store
            .touch(&record.key, at.time.later())
            .await
            .expect("touch"),
        Touch::Gone
    );
    assert_eq!(at.load(&record.key).await, None);
}

/// Touch: the revision stays.
pub async fn touch_is_no_conflict_for_an_update<S: SessionStore>(at: Fixture<S>) {
    let record = at.created().await;
    let later = record.expires_at.saturating_add(MILLISECOND);
    assert_eq!(
        at.store.touch(&record.key, later).await.expect("touch"),
        Touch::Touched
    );
    at.update(record.revision, &rewritten(&record, b"after the touch"))
        .await;
}

/// Delete: the record is gone when it is acknowledged.
pub async fn delete_ends_the_record<S: SessionStore>(at: Fixture<S>) {
    let key = at.created().await.key;
    assert_eq!(
        at.store.delete(&key).await.expect("delete"),
        Delete::Deleted
    );
    assert_eq!(at.load(&key).await, None);
}

/// Delete: again, or of what never was, is an outcome.
pub async fn delete_again_is_gone<S: SessionStore>(at: Fixture<S>) {
    let key = at.created().await.key;
    let answers = [Delete::Deleted, Delete::Gone, Delete::Gone];
    for answer in answers {
        assert_eq!(at.store.delete(&key).await.expect("delete"), answer);
    }
    assert_eq!(
        at.store.delete(&at.record().key).await.expect("delete"),
        Delete::Gone
    );
}

/// Live or absent: there is nothing to delete after the deadline.
pub async fn delete_of_an_expired_record_is_gone<S: SessionStore>(at: Fixture<S>) {
    let record = Record {
        expires_at: at.time.soon(),
        ..at.record()
    };
    at.create(&record).await;
    at.time.reach(record.expires_at).await;
    assert_eq!(
        at.store.delete(&record.key).await.expect("delete"),
        Delete::Gone
    );
}

/// Delete: this record and no other.
pub async fn delete_leaves_others_alone<S: SessionStore>(at: Fixture<S>) {
    let (one, other) = (at.created().await, at.created().await);
    assert_eq!(
        at.store.delete(&one.key).await.expect("delete"),
        Delete::Deleted
    );
    assert_eq!(at.load(&other.key).await, Some(other));
}

/// Cleanup: all that has expired, nothing that is live.
pub async fn cleanup_removes_the_expired_and_nothing_else<S: SessionStore>(at: Fixture<S>) {
    let soon = at.time.soon();
    let mut live = Vec::new();
    for n in 0..12 {
        let mut record = at.record();
        if n % 3 > 0 {
            record.expires_at = soon;
        } else {
            live.push(record.clone());
        }
        at.create(&record).await;
    }
    at.time.reach(soon).await;
    // A store may have removed some in passing, and one whose server does it by itself all.
    assert!(at.store.delete_expired(100).await.expect("cleanup") <= 8);
    assert_eq!(
        at.store.delete_expired(100).await.expect("cleanup"),
        0,
        "a second time"
    );
    for record in live {
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

/// Cleanup: at most `limit`, and fewer only when no more were found.
pub async fn cleanup_keeps_to_its_limit<S: SessionStore>(at: Fixture<S>) {
    let soon = at.time.soon();
    let mut keys = HashSet::new();
    for _ in 0..10 {
        let record = Record {
            expires_at: soon,
            ..at.record()
        };
        at.create(&record).await;
        keys.insert(record.key);
    }
    at.time.reach(soon).await;
    assert_eq!(at.store.delete_expired(0).await.expect("cleanup"), 0);
    let first = at.store.delete_expired(4).await.expect("cleanup");
    assert!(first <= 4, "{first} of at most 4");
    while at.store.delete_expired(4).await.expect("cleanup") == 4 {}
    assert_eq!(at.store.delete_expired(4).await.expect("cleanup"), 0);
}

/// Cleanup: what a touch or an update saved in time is live.
pub async fn cleanup_spares_what_was_touched_or_updated<S: SessionStore>(at: Fixture<S>) {
    let soon = at.time.soon();
    let touched = Record {
        expires_at: soon,
        ..at.record()
    };
    let updated = Record {
        expires_at: soon,
        ..at.record()
    };
    at.create(&touched).await;
    at.create(&updated).await;
    let later = at.time.later();
    assert_eq!(
        at.store.touch(&touched.key, later).await.expect("touch"),
        Touch::Touched
    );
    at.update(
        updated.revision,
        &Record {
            expires_at: later,
            ..rewritten(&updated, b"u")
        },
    )
    .await;
    at.time.reach(soon).await;
    assert_eq!(at.store.delete_expired(100).await.expect("cleanup"), 0);
    assert!(at.load(&touched.key).await.is_some(), "touched");
    assert!(at.load(&updated.key).await.is_some(), "updated");
}

/// Cleanup: nothing to do is no error.
pub async fn cleanup_of_an_empty_store_is_zero<S: SessionStore>(at: Fixture<S>) {
    assert_eq!(at.store.delete_expired(100).await.expect("cleanup"), 0);
}
