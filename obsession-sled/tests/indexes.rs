//! The indexes have one entry for what each record says, and no other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::{key, of, record, with_body};
use obsession_core::{Clock, ManualClock, Record, SessionIndex, SessionStore, Timestamp};
use obsession_sled::SledStore;

/// What a step does follows from its number; the numbers are as good as random.
async fn step(store: &SledStore, clock: &ManualClock, n: u64) {
    let key = key(n % 17);
    let soon = clock.now().saturating_add(Duration::from_millis(n % 400));
    let fresh = Record {
        expires_at: soon,
        ..with_body(usize::from(n.is_multiple_of(3)) * 8_000, record(n % 17))
    };
    let fresh = match n / 7 % 4 {
        0 => fresh,
        subject => of(["a", "b", "\u{7f}"][usize::from(subject > 1)], fresh),
    };
    match n / 31 % 8 {
        0 => drop(store.delete(&key).await.unwrap()),
        1 => {
            if let Some(old) = store.load(&key).await.unwrap() {
                let _ = store.touch(&key, old.revision, soon).await.unwrap();
            }
        }
        2 => drop(store.delete_expired(3).await.unwrap()),
        3 if n.is_multiple_of(5) => drop(store.delete_subject("a", Some(&key)).await.unwrap()),
        4 => clock.advance(Duration::from_millis(n % 9)),
        5 => drop(store.create(&fresh).await.unwrap()),
        _ => {
            if let Some(old) = store.load(&key).await.unwrap() {
                let _ = store.update(old.revision, &fresh).await.unwrap();
            } else {
                let _ = store.create(&fresh).await.unwrap();
            }
        }
    }
}

fn mixed(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ (n >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40
}

#[tokio::test]
async fn after_any_calls_they_have_what_the_records_say() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1000)));
    let builder = SledStore::builder(folder.path()).clock(Arc::clone(&clock));
    let store = builder.open().await.unwrap();
    for n in 0..1500_u64 {
        step(&store, &clock, mixed(n)).await;
    }
    let count = store.count().await.unwrap();
    assert_eq!(count, store.scan(None, 100).await.unwrap().len() as u64);
    store.close().await.unwrap();

    let db = sled::open(folder.path()).unwrap();
    let entries = |tree: &str| -> BTreeSet<Vec<u8>> {
        let tree = db.open_tree(tree).unwrap();
        tree.iter()
            .keys()
            .map(|key| key.unwrap().to_vec())
            .collect()
    };
    let (mut deadlines, mut subjects, mut pieces) = (BTreeSet::new(), BTreeSet::new(), 0);
    for row in &db.open_tree("records").unwrap() {
        let (key, value) = row.unwrap();
        let record = Record::from_row(key[..].try_into().unwrap(), &value[2..]).unwrap();
        let millis = record.expires_at.as_millis().to_be_bytes();
        deadlines.insert([&millis[..], &key].concat());
        if let Some(subject) = &record.subject {
            subjects.insert([subject.as_bytes(), b"\0", &key].concat());
        }
        pieces += usize::from(u16::from_le_bytes([value[0], value[1]]));
    }
    assert!(
        deadlines.len() > 3 && !subjects.is_empty(),
        "{deadlines:?} {subjects:?}"
    );
    assert_eq!(entries("deadlines"), deadlines);
    assert_eq!(entries("subjects"), subjects);
    assert_eq!(entries("overflow").len(), pieces);
}
