//! Loads: what was stored comes back, while it is live.

use std::sync::Arc;

use super::{Fixture, rewritten};
use crate::{Create, Effect, Record, Revision, SessionKey, SessionStore, Timestamp};

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
            body: key.as_bytes().as_slice().into(),
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
    let record = at.expiring();
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

/// Bytes in, bytes out: whatever the length, also around those at which formats change.
pub async fn load_gives_back_a_body_of_every_length<S: SessionStore>(at: Fixture<S>) {
    let edges = [1 << 8, 1 << 12, 1 << 13, 1 << 14, 1 << 16];
    let edges = edges.into_iter().flat_map(|edge| edge - 2..=edge + 2);
    for length in (0..70).chain(edges) {
        let body: Vec<u8> = (0..length)
            .map(|n: u32| n.to_le_bytes()[0] ^ 0x5a)
            .collect();
        let record = rewritten(&at.record(), &body);
        at.create(&record).await;
        assert!(
            at.load(&record.key).await == Some(record),
            "a body of {length} bytes came back otherwise"
        );
    }
}

/// Bytes in, bytes out: a subject in every plane of Unicode, and of every length up to the limit.
pub async fn load_gives_back_text_of_every_plane<S: SessionStore>(at: Fixture<S>) {
    let planes = (0..=16_u32).filter_map(|plane| char::from_u32((plane << 16) + 0x1234));
    let edges = [
        '\u{1}',
        '\u{7f}',
        '\u{80}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{fffd}',
        '\u{10fffd}',
    ];
    let ends = planes.chain(edges).map(|last| format!("user {last}"));
    let lengths = [
        31, 32, 63, 64, 127, 128, 191, 254, 255, 256, 512, 1023, 1024,
    ];
    for subject in ends.chain(lengths.map(|length| "u".repeat(length))) {
        let record = Record {
            subject: Some(Arc::from(&*subject)),
            ..at.record()
        };
        at.create(&record).await;
        let seen = at.load(&record.key).await;
        assert_eq!(seen, Some(record), "{subject:?}");
    }
}

/// Bytes in, bytes out: a revision is any number of 64 bits.
pub async fn load_gives_back_every_kind_of_revision<S: SessionStore>(at: Fixture<S>) {
    let half = u64::MAX / 2;
    for number in [0, 1, (1 << 53) + 1, half, half + 1, u64::MAX - 1, u64::MAX] {
        let mut record = at.record();
        record.revision = Revision::from_u64(number);
        at.create(&record).await;
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
        let next = rewritten(&record, b"next");
        at.update(record.revision, &next).await;
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&next));
        at.update(next.revision, &record).await;
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

/// Bytes in, bytes out: times to the millisecond, from 1970 to the year 9999.
pub async fn load_gives_back_every_kind_of_time<S: SessionStore>(at: Fixture<S>) {
    let last = 253_402_300_799_999;
    for millis in [
        0,
        1,
        999,
        1000,
        1_234_567_890_123,
        1 << 31,
        1 << 32,
        2_147_483_648_001,
        last,
    ] {
        let record = Record {
            created_at: Timestamp::from_millis(millis),
            expires_at: Timestamp::from_millis(at.time.later().as_millis().max(millis)),
            ..at.record()
        };
        at.create(&record).await;
        assert_eq!(at.load(&record.key).await, Some(record));
    }
}

/// Isolation: records that are alike in all but their key.
pub async fn load_keeps_apart_what_differs_in_the_key_alone<S: SessionStore>(at: Fixture<S>) {
    let one = Record {
        subject: Some(Arc::from("user-42")),
        ..at.record()
    };
    let twin = Record {
        key: at.record().key,
        ..one.clone()
    };
    at.create(&one).await;
    assert_eq!(at.load(&twin.key).await, None);
    at.create(&twin).await;
    let next = rewritten(&twin, b"next");
    at.update(twin.revision, &next).await;
    assert_eq!(at.load(&one.key).await.as_ref(), Some(&one));
    assert_eq!(at.load(&twin.key).await, Some(next));
    at.delete(&twin.key).await;
    assert_eq!(at.load(&one.key).await, Some(one));
}

/// Touch: only a touch or an update moves the deadline, never a load.
pub async fn load_changes_nothing<S: SessionStore>(at: Fixture<S>) {
    let record = at.expiring();
    at.create(&record).await;
    for _ in 0..3 {
        assert_eq!(at.load(&record.key).await.as_ref(), Some(&record));
    }
    at.time.reach(record.expires_at).await;
    assert_eq!(at.load(&record.key).await, None);
}

/// Honest: a subject that the store cannot hold is refused, not changed.
pub async fn load_of_a_subject_with_a_nul_is_whole_or_refused<S: SessionStore>(at: Fixture<S>) {
    for subject in ["\0", "a\0", "\0a", "a\0b"] {
        let record = Record {
            subject: Some(Arc::from(subject)),
            ..at.record()
        };
        match at.store.create(&record).await {
            Ok(answer) => {
                assert_eq!(answer, Create::Created);
                assert_eq!(at.load(&record.key).await, Some(record));
            }
            Err(error) => {
                assert_eq!(error.effect(), Effect::NotApplied, "{error}");
                assert_eq!(at.load(&record.key).await, None);
            }
        }
    }
}

pub(super) fn odd_subjects() -> Vec<String> {
    let odd = [
        "", " ", "a", "A", "a ", "user:1", "user:*", "%", "_", "'; --", "]]", "{}", "\\", "\"",
        "\n", "ß", "ss", "日本", "🦀", "e\u{301}", "é", "*", "?", "[a-z]", "a b", "user:1:2",
        "user:", "KEYS[1]", "$1", "${x}", "\r\n", "\t", "a\n", "null", "NULL", "1", "01", "\u{7f}",
        "\u{feff}",
    ];
    let mut subjects: Vec<String> = odd.map(str::to_owned).into();
    let longest = "s".repeat(Record::MAX_SUBJECT);
    subjects.push(format!("{}t", &longest[1..]));
    subjects.push(longest);
    subjects
}
