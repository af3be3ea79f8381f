//! The bytes of format 1, written down here by hand so that no change of the code changes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::Revision;

const KEY: &str = "AAAAAAAAAAAAAAA.";
const CREATED_AT: Timestamp = Timestamp::from_millis(1_000);

/// Format and flags of a body without a lifetime of its own.
const PLAIN: [u8; 2] = [1, 0];
/// The hash, which is of 32 different bytes here.
const HASH: [u8; 32] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
];
/// 5, 300 and 16,384 milliseconds after the record's creation: numbers of 1, 2 and 3 bytes.
const TIMES: [u8; 6] = [5, 0xac, 0x02, 0x80, 0x80, 0x01];
/// One day and seven days in milliseconds.
const LIFETIME: [u8; 9] = [0x80, 0xb8, 0x99, 0x29, 0x80, 0x88, 0xb2, 0xa0, 0x02];
/// "cart": 10 bytes times 4 plus 0 for JSON.
const CART: &[u8] = b"\x04cart\x28[\"quince\"]";
/// "n": 2 bytes times 4 plus 1 for postcard, whose numbers are LEB128 as well: 300.
const N: &[u8] = b"\x01n\x09\xac\x02";

fn record(body: Vec<u8>) -> Record {
    Record {
        key: KEY.parse().unwrap(),
        revision: Revision::from_u64(1),
        subject: None,
        created_at: CREATED_AT,
        expires_at: Timestamp::MAX,
        body: body.into(),
    }
}

fn after(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000 + millis)
}

fn head(lifetime: Option<Lifetime>) -> Head {
    Head {
        hash: TokenHash::from_bytes(HASH),
        cycled_at: after(5),
        issued_at: after(300),
        written_at: after(16_384),
        lifetime,
    }
}

fn encode(head: Head, entries: &BTreeMap<String, Value>) -> Vec<u8> {
    let write = |writer: &mut Writer| {
        for (name, value) in entries {
            writer.entry(name.as_bytes(), value.raw());
        }
    };
    let body = Body::encode(&KEY.parse().unwrap(), CREATED_AT, head, 0, write);
    body.bytes().to_vec()
}

/// What is in a body, to compare it.
fn content(body: &Body) -> (Vec<u64>, Option<Lifetime>, BTreeMap<String, Value>) {
    let head = &body.head;
    assert_eq!(head.hash.as_bytes(), &HASH);
    let times = [head.cycled_at, head.issued_at, head.written_at];
    let entries = body.entries().map(|(name, value)| {
        let name = str::from_utf8(name).unwrap();
        let found = body.get(name).unwrap();
        assert_eq!(found.raw(), value);
        (name.to_owned(), found)
    });
    (
        times.map(Timestamp::as_millis).into(),
        head.lifetime,
        entries.collect(),
    )
}

fn with_checksum(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = parts.concat();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// A body whose checksum is right, so that only what it says can be wrong.
fn checked(start: [u8; 2], key: &str, rest: &[&[u8]]) -> Result<Body, &'static str> {
    let parts = [&start, key.as_bytes(), &HASH, &rest.concat()];
    Body::decode(&record(with_checksum(&parts)))
}

fn golden() -> [(Option<Lifetime>, Vec<u8>); 3] {
    let (day, week) = (Duration::from_secs(86_400), Duration::from_secs(7 * 86_400));
    let own = Lifetime::new(day, week);
    let key = KEY.as_bytes();
    // The checksums were computed by another implementation (Python's zlib).
    let plain = [&[1, 0], key, &HASH, &TIMES, CART, N, b"\xc6\x73\x74\xab"].concat();
    let with = |flags: u8, checksum: &[u8]| {
        let start = [1, flags];
        [&start, key, &HASH, &TIMES, &LIFETIME, CART, N, checksum].concat()
    };
    [
        (None, plain),
        (Some(own), with(1, b"\x35\x94\x9f\xf9")),
        (Some(own.persistent()), with(3, b"\x37\x2d\x9c\xee")),
    ]
}

#[test]
fn the_golden_bodies_of_format_1() {
    let cart = Serializer::Json.encode("cart", &["quince"]).unwrap();
    let n = Serializer::Postcard.encode("n", &300_u64).unwrap();
    let entries = BTreeMap::from([("cart".to_owned(), cart), ("n".to_owned(), n)]);
    for (lifetime, bytes) in golden() {
        let body = Body::decode(&record(bytes.clone())).ok().unwrap();
        assert_eq!(
            content(&body),
            (vec![1_005, 1_300, 17_384], lifetime, entries.clone())
        );
        assert_eq!(body.get("n").unwrap().decode::<u64>("n").unwrap(), 300);
        assert!(body.get("m").is_none() && body.get("").is_none());
        assert_eq!(encode(head(lifetime), &entries), bytes);
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    for (_, bytes) in golden() {
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Body::decode(&record(bytes)).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_an_error_also_under_a_right_checksum() {
    for (_, bytes) in golden() {
        // Between entries there is nothing that says that more should follow; the checksum does.
        let ends = [0, N.len(), N.len() + CART.len()].map(|rest| bytes.len() - CHECKSUM - rest);
        for len in 0..bytes.len() {
            assert!(Body::decode(&record(bytes[..len].into())).is_err(), "{len}");
            let cut = Body::decode(&record(with_checksum(&[&bytes[..len]])));
            assert_eq!(cut.is_ok(), ends.contains(&len), "{len}, checksum right");
        }
    }
}

#[test]
fn bytes_left_over_are_an_error() {
    for (_, bytes) in golden() {
        for more in [&[0][..], &[1], &[1, b'o'], &[1, b'o', 4], &[0x80]] {
            let after = [&bytes, more].concat();
            assert!(Body::decode(&record(after)).is_err(), "{more:?}");
            let inside = with_checksum(&[&bytes[..bytes.len() - CHECKSUM], more]);
            assert!(Body::decode(&record(inside)).is_err(), "{more:?} inside");
        }
    }
}

#[test]
fn another_format_or_an_unknown_flag_is_an_error() {
    assert!(checked(PLAIN, KEY, &[&TIMES, N]).is_ok(), "the control");
    for format in (0..=255).filter(|format| *format != 1) {
        assert!(checked([format, 0], KEY, &[&TIMES, N]).is_err(), "{format}");
    }
    // 2 would be a persistent lifetime that is not there.
    for flags in std::iter::once(2).chain(4..=255) {
        let bytes: [&[u8]; 3] = [&TIMES, &LIFETIME, N];
        assert!(checked([1, flags], KEY, &bytes).is_err(), "{flags}");
        assert!(checked([1, flags], KEY, &[&TIMES, N]).is_err(), "{flags}");
    }
}

#[test]
fn another_key_is_an_error() {
    for key in ["AAAAAAAAAAAAAAAA", "aAAAAAAAAAAAAAA."] {
        let answer = checked(PLAIN, key, &[&TIMES, N]).err();
        assert_eq!(answer, Some("it belongs to another key"));
    }
}

#[test]
fn names_out_of_order_or_twice_are_an_error() {
    let answer = |entries: &[&[u8]]| checked(PLAIN, KEY, &[&TIMES, &entries.concat()]).err();
    let out_of_order = Some("its names are out of order");
    assert_eq!(answer(&[CART, N]), None);
    assert_eq!(answer(&[N, CART]), out_of_order);
    assert_eq!(answer(&[N, N]), out_of_order);
    assert_eq!(answer(&[b"\x00\x00", CART]), None, "an empty name is first");
    assert_eq!(answer(&[CART, b"\x00\x00"]), out_of_order);
    // Bytewise: upper case before lower case.
    assert_eq!(answer(&[b"\x01N\x00", N]), None);
    assert_eq!(answer(&[N, b"\x01N\x00"]), out_of_order);
}

#[test]
fn a_number_that_is_not_in_its_shortest_form_is_an_error() {
    let long: [&[u8]; 6] = [
        &[0x80, 0],
        &[0x85, 0],
        &[0xac, 0x82, 0],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
        &[
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0,
        ],
        &[
            0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01,
        ],
    ];
    for number in long {
        let wrong = Some("a number is not in its shortest form");
        let times = [number, &TIMES[1..]].concat();
        assert_eq!(checked(PLAIN, KEY, &[&times, N]).err(), wrong, "a time");
        let name = [&TIMES, number].concat();
        assert_eq!(checked(PLAIN, KEY, &[&name]).err(), wrong, "of a name");
        let value = [&TIMES, &b"\x01n"[..], number].concat();
        assert_eq!(checked(PLAIN, KEY, &[&value]).err(), wrong, "of a value");
        let idle = [&TIMES, number, &LIFETIME[4..]].concat();
        assert_eq!(checked([1, 1], KEY, &[&idle]).err(), wrong, "a lifetime");
    }
    let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert!(checked(PLAIN, KEY, &[&largest, &TIMES[1..]]).is_ok());
}

#[test]
fn a_length_beyond_the_end_a_name_that_is_no_text_and_an_unknown_value_are_errors() {
    let answer = |entry: &[u8]| checked(PLAIN, KEY, &[&TIMES, entry]).err();
    assert_eq!(answer(b"\x02n"), Some("it is cut short"));
    assert_eq!(answer(b"\x01n\x04"), Some("it is cut short"));
    let huge = b"\x01n\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(answer(huge), Some("it is cut short"));
    assert_eq!(answer(b"\x01\xff\x00"), Some("a name is not UTF-8"));
    for format in [2, 3] {
        let unknown = Some("a value is of an unknown format");
        assert_eq!(answer(&[1, b'n', format]), unknown);
    }
}

fn values() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let value = (any::<bool>(), vec(any::<u8>(), 0..200)).prop_map(|(json, bytes)| {
        let format = if json {
            Serializer::Json
        } else {
            Serializer::Postcard
        };
        let (whole, range): (Arc<[u8]>, _) = (bytes.clone().into(), 0..bytes.len());
        Value::part(format, &whole, range)
    });
    btree_map(".{0,40}", value, 0..12)
}

fn some_name() -> impl Strategy<Value = String> {
    prop_oneof!["[\0aé]{0,12}", "a{120,140}"]
}

fn lifetimes() -> impl Strategy<Value = Option<Lifetime>> {
    let own = (any::<[u64; 2]>(), any::<bool>()).prop_map(|([idle, absolute], persistent)| {
        let own = Lifetime::new(Duration::from_millis(idle), Duration::from_millis(absolute));
        if persistent { own.persistent() } else { own }
    });
    proptest::option::of(own)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(
        entries in values(),
        lifetime in lifetimes(),
        times in any::<[u64; 3]>(),
    ) {
        let [cycled_at, issued_at, written_at] =
            times.map(|t| CREATED_AT.saturating_add(Duration::from_millis(t)));
        let head = Head { cycled_at, issued_at, written_at, ..head(lifetime) };
        let bytes = encode(head.clone(), &entries);
        let body = Body::decode(&record(bytes.clone())).unwrap_or_else(|e| panic!("{e}"));
        let times = [cycled_at, issued_at, written_at].map(Timestamp::as_millis);
        prop_assert_eq!(content(&body), (times.to_vec(), lifetime, entries.clone()));
        for (name, value) in &entries {
            prop_assert_eq!(body.get(name), Some(value.clone()));
        }
        prop_assert_eq!(encode(body.head.clone(), &entries), bytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = Body::decode(&record(bytes));
    }

    #[test]
    fn no_bytes_behind_a_right_start_make_it_panic(flags in 0..4_u8, rest in vec(any::<u8>(), 0..60)) {
        if let Ok(body) = checked([1, flags], KEY, &[&rest]) {
            // What is taken can be walked over, and its names are found.
            for (name, value) in body.entries() {
                let found = body.get(str::from_utf8(name).unwrap());
                prop_assert_eq!(found.as_ref().map(Value::raw), Some(value));
            }
        }
    }

    /// Names that begin alike, that end in zeros, and whose length takes two bytes.
    #[test]
    fn a_walk_finds_a_name_or_its_place(
        names in btree_set(some_name(), 0..12), others in btree_set(some_name(), 0..12),
    ) {
        let value = Serializer::Json.encode("n", &1).unwrap();
        let entries = names.iter().map(|name| (name.clone(), value.clone())).collect();
        let body = Body::decode(&record(encode(head(None), &entries))).ok().unwrap();
        let mut walk = body.walk();
        for name in names.union(&others) {
            for walk in [&mut walk, &mut body.walk()] {
                let (_, found) = walk.up_to(name.as_bytes());
                prop_assert_eq!(found.is_some(), names.contains(name), "{:?}", name);
                let rest = Reader { bytes: walk.0.bytes, at: walk.0.at };
                let next = Walk(rest).0.entry().unwrap();
                let next = next.map(|(next, ..)| next);
                let after = names.iter().find(|other| *other > name);
                prop_assert_eq!(next, after.map(String::as_bytes));
            }
        }
    }

    /// At every place, also in the middle of an entry.
    #[test]
    fn what_is_read_at_once_is_what_is_read_step_by_step(
        entries in vec((vec(any::<u8>(), 0..130), any::<Vec<u8>>(), 0..4_u8, 0..3_usize), 0..4),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        for (name, value, format, zeros) in entries {
            put_number(&mut bytes, name.len() as u64);
            bytes.extend(name);
            put_number(&mut bytes, (value.len() as u64) << 2 | u64::from(format));
            // Now and then a number that is longer than it must be.
            if zeros == 2 && let Some(last) = bytes.last_mut() {
                *last |= 0x80;
                bytes.push(0);
            }
            bytes.extend(value);
        }
        if !bytes.is_empty() {
            for (place, flip) in flips {
                *place.get_mut(&mut bytes) ^= flip;
            }
            bytes.truncate(end.index(bytes.len() * 2));
        }
        for at in 0..=bytes.len() + 1 {
            let reader = || Reader { bytes: &bytes, at };
            let (mut at_once, mut step_by_step) = (reader(), reader());
            if let Some(entry) = at_once.usual_entry() {
                prop_assert_eq!(step_by_step.any_entry(), Ok(Some(entry)));
                prop_assert_eq!(at_once.at, step_by_step.at);
            } else {
                prop_assert_eq!(at_once.at, at);
            }
        }
    }

    #[test]
    fn no_entries_behind_a_right_head_make_it_panic(rest in vec(0..16_u8, 0..60)) {
        let _ = checked(PLAIN, KEY, &[&TIMES, &rest]);
    }
}

/// What this process wrote is read without its checksum, and only that: not under another key, nor
/// once somebody has made bytes of it.
#[test]
fn what_was_written_here_is_not_checked_again_as_long_as_nobody_touched_it() {
    let damaged = golden().map(|(lifetime, mut bytes)| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        (lifetime, bytes)
    });
    for (lifetime, bytes) in damaged {
        let own = Record {
            body: RecordBody::own(&bytes),
            ..record(Vec::new())
        };
        assert_eq!(Body::decode(&own).ok().unwrap().head.lifetime, lifetime);
        assert_eq!(own.body, bytes.clone().into(), "bytes alone are compared");
        let copied = Record {
            body: own.body.to_vec().into(),
            ..own.clone()
        };
        assert_eq!(Body::decode(&copied).err(), Some("its checksum is wrong"));
        let of_another = Record {
            key: "AAAAAAAAAAAAAAAA".parse().unwrap(),
            ..own
        };
        let wrong = Some("it belongs to another key");
        assert_eq!(Body::decode(&of_another).err(), wrong);
    }
}
