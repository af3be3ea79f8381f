//! Loads: what was stored comes back, while it is live.

use std::sync::Arc;

use super::{Fixture, rewritten};
use crate::{Record, SessionKey, SessionStore, Timestamp};

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

/// Isolation: keys are compared whole, and case counts.
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

pub(super) fn odd_subjects() -> Vec<String> {
    let odd = [
        "", " ", "a", "A", "a ", "user:1", "user:*", "%", "_", "'; --", "]]", "{}", "\\", "\"",
        "\n", "ß", "日本", "🦀", "e\u{301}", "é",
    ];
    let mut subjects: Vec<String> = odd.map(str::to_owned).into();
    subjects.push("s".repeat(Record::MAX_SUBJECT));
    subjects
}
