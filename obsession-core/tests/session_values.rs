//! Values come back as they went in, or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::error::Error as _;

use common::{At, at, at_with, saved};
use obsession_core::{Error, Serializer, Session};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const BOTH: [Serializer; 2] = [Serializer::Json, Serializer::Postcard];

fn at_in(serializer: Serializer) -> At {
    at_with(|builder| builder.serializer(serializer))
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_and_stays() {
    for serializer in BOTH {
        let at = at_in(serializer);
        let session = at.others.open(None);
        session.insert("name", "zoë").unwrap();
        let id = saved(&session).await;
        let before = at.record(&id).await;

        let session = at.open(&id);
        let add = |n: &mut Vec<u64>| n.push(1);
        for answer in [
            session.get::<Vec<u64>>("name").await.map(drop),
            session.get_mut::<Vec<u64>>("name").await.map(drop),
            session.update("name", add).await,
            session.take::<Vec<u64>>("name").await.map(drop),
            session
                .get_or_insert_with("name", Vec::<u64>::new)
                .await
                .map(drop),
        ] {
            assert!(matches!(answer, Err(Error::Decode { .. })), "{answer:?}");
        }
        assert!(session.contains("name").await.unwrap());
        let _ = session.finish(true).await.unwrap();
        assert_eq!(at.store.calls(), ["load"]);
        assert_eq!(at.record(&id).await, before);
    }
}

/// Sets another value, and may fail, when it is halfway written.
struct Halfway<'a>(&'a Session, bool);

impl Serialize for Halfway<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeTuple};
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element("before")?;
        self.0.insert("inner", "inner").map_err(Error::custom)?;
        if self.1 {
            return Err(Error::custom("it fails"));
        }
        tuple.serialize_element("after")?;
        tuple.end()
    }
}

/// Values are written in memory that a thread keeps.
#[tokio::test]
async fn no_value_has_bytes_of_another() {
    for serializer in BOTH {
        let at = at_in(serializer);
        let session = at.others.open(None);
        let long = "long".repeat(3000);
        session.insert("long", &long).unwrap();
        session.insert("short", "short").unwrap();
        assert!(session.insert("outer", &Halfway(&session, true)).is_err());
        session.insert("next", "next").unwrap();
        session.insert("outer", &Halfway(&session, false)).unwrap();
        session.insert("last", "last").unwrap();
        let id = saved(&session).await;
        let session = at.open(&id);
        for (name, value) in [("long", &*long), ("short", "short"), ("inner", "inner")] {
            assert_eq!(
                session.get::<String>(name).await.unwrap().as_deref(),
                Some(value)
            );
        }
        let outer: Option<(String, String)> = session.get("outer").await.unwrap();
        assert_eq!(outer, Some(("before".to_owned(), "after".to_owned())));
        for name in ["next", "last"] {
            assert_eq!(
                session.get::<String>(name).await.unwrap().as_deref(),
                Some(name)
            );
        }
    }
}

/// An error is logged and shown, so the value must not stand in it.
#[tokio::test]
async fn an_error_about_a_value_does_not_quote_it() {
    for serializer in BOTH {
        let session = at_in(serializer).manager.open(None);
        session.insert("pin", "hunter2").unwrap();
        let error = session.get::<bool>("pin").await.unwrap_err();
        let source = error.source().unwrap();
        for text in [error.to_string(), format!("{error:?}"), source.to_string()] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[derive(Serialize, Deserialize, PartialEq, Clone, Debug)]
struct Place {
    name: String,
    at: (f64, f32),
}

/// JSON writes `NaN`, which no other reader takes, or null, which is another value.
#[tokio::test]
async fn json_refuses_numbers_that_are_not_finite_wherever_they_stand() {
    async fn refused<T: Serialize>(value: T) {
        let session = at().manager.open(None);
        let answer = session.insert("value", &value);
        assert!(matches!(answer, Err(Error::Encode { .. })), "{answer:?}");
        assert!(session.is_empty().await.unwrap());
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused(number).await;
        #[allow(clippy::cast_possible_truncation, reason = "they stay what they are")]
        refused(number as f32).await;
        refused(Some(number)).await;
        refused(vec![None, Some(1.0), Some(number)]).await;
        refused(BTreeMap::from([("a", ("null", number))])).await;
        refused(Place {
            name: "null".to_owned(),
            at: (number, 0.0),
        })
        .await;
        // Postcard has them.
        let session = at_in(Serializer::Postcard).manager.open(None);
        session.insert("n", &number).unwrap();
        let back = session.get::<f64>("n").await.unwrap().unwrap();
        assert_eq!(back.to_bits(), number.to_bits());
    }
    // And nothing else is refused that has a null in it.
    let session = at().manager.open(None);
    session.insert("a", &(None::<u8>, "null", 1.5)).unwrap();
}

#[tokio::test]
async fn json_gives_back_every_finite_number() {
    let session = at().manager.open(None);
    let mut bits = 1_u64;
    for _ in 0..20_000 {
        // Xorshift64 (Marsaglia 2003).
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let number = f64::from_bits(bits);
        if number.is_finite() {
            session.insert("n", &number).unwrap();
            let back = session.get::<f64>("n").await.unwrap().unwrap();
            assert_eq!(back.to_bits(), bits, "{number:e} and {back:e}");
        }
    }
}

/// The one kind of value that JSON cannot tell from another; postcard can.
#[tokio::test]
async fn json_takes_an_inner_none_for_an_outer_one() {
    for (serializer, back) in [(Serializer::Json, None), (Serializer::Postcard, Some(None))] {
        let session = at_in(serializer).manager.open(None);
        session.insert("a", &Some(None::<u8>)).unwrap();
        let value = session.get::<Option<Option<u8>>>("a").await.unwrap();
        assert_eq!(value, Some(back));
    }
}

#[tokio::test]
async fn postcard_bytes_that_are_left_over_are_an_error() {
    let session = at_in(Serializer::Postcard).manager.open(None);
    session.insert("pair", &(1_u8, 2_u8)).unwrap();
    let answer = session.get::<u8>("pair").await;
    assert!(matches!(answer, Err(Error::Decode { .. })), "{answer:?}");
}

#[tokio::test]
async fn values_of_both_kinds_are_read_whatever_is_chosen() {
    let json = at_in(Serializer::Json);
    let postcard = obsession_core::SessionManager::builder(json.store.inner().clone())
        .clock(std::sync::Arc::clone(&json.clock))
        .serializer(Serializer::Postcard)
        .build();
    let session = json.manager.open(None);
    session.insert("a", &["quince"]).unwrap();
    session.insert("n", &1_u64).unwrap();
    let id = saved(&session).await;

    let session = postcard.open(Some(id.clone()));
    session.insert("b", &["medlar"]).unwrap();
    session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    session.save().await.unwrap();

    let session = json.open(&id);
    for name in ["a", "b"] {
        assert_eq!(
            session
                .get::<[String; 1]>(name)
                .await
                .unwrap()
                .unwrap()
                .len(),
            1
        );
    }
    assert_eq!(session.get::<u64>("n").await.unwrap(), Some(2));
}

#[derive(Serialize, Deserialize, PartialEq, Clone, Debug)]
enum Kind {
    Empty,
    One(i64),
    Two(String, bool),
    Named { key: u8, rest: Vec<Kind> },
}

fn kinds() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        Just(Kind::Empty),
        any::<i64>().prop_map(Kind::One),
        (any::<String>(), any::<bool>()).prop_map(|(text, flag)| Kind::Two(text, flag)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        (any::<u8>(), vec(inner, 0..4)).prop_map(|(key, rest)| Kind::Named { key, rest })
    })
}

/// Everything that drifted: numbers as keys, tuples, and the ends of every kind of number.
type Mixed = (
    BTreeMap<u32, (i8, u64)>,
    Option<Vec<Option<String>>>,
    (char, i128, u128),
    Kind,
);

fn mixed() -> impl Strategy<Value = Mixed> {
    (
        btree_map(any::<u32>(), (any::<i8>(), any::<u64>()), 0..5),
        proptest::option::of(vec(proptest::option::of(any::<String>()), 0..4)),
        (any::<char>(), any::<i128>(), any::<u128>()),
        kinds(),
    )
}

async fn comes_back<T>(value: &T, serializer: Serializer)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let at = at_in(serializer);
    let session: Session = at.manager.open(None);
    session.insert("value", value).unwrap();
    let id = saved(&session).await;
    let back = at.other(&id).get::<T>("value").await.unwrap();
    assert_eq!(back.as_ref(), Some(value));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_in_comes_back(value in mixed()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for serializer in BOTH {
            runtime.block_on(comes_back(&value, serializer));
        }
    }
}
