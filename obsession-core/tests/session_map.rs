//! A session reads and writes like a map.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;

use common::{At, at, saved};
use obsession_core::Session;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, PartialEq, Clone, Debug, Default)]
struct Cart {
    items: Vec<String>,
    coupon: Option<String>,
}

fn cart(item: &str) -> Cart {
    Cart {
        items: vec![item.to_owned()],
        coupon: None,
    }
}

/// Two stored entries, `a` and `c`, in a handle that has changed nothing yet.
async fn two(at: &At) -> Session {
    let session = at.others.open(None);
    session.insert("a", &1).unwrap();
    session.insert("c", &3).unwrap();
    let id = saved(&session).await;
    at.open(&id)
}

#[tokio::test]
async fn what_was_inserted_is_read_before_and_after_it_is_saved() {
    let at = at();
    let session = at.manager.open(None);
    session.insert("cart", &cart("quince")).unwrap();
    session.insert("visits", &7_u64).unwrap();
    session.insert("name", "zoë").unwrap();
    let id = saved(&session).await;
    for session in [session, at.open(&id)] {
        assert_eq!(session.get("cart").await.unwrap(), Some(cart("quince")));
        assert_eq!(session.get("visits").await.unwrap(), Some(7_u64));
        let name = session.get::<String>("name").await.unwrap();
        assert_eq!(name.as_deref(), Some("zoë"));
        assert_eq!(session.get::<u64>("nothing").await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_empty_session_has_nothing() {
    let session = at().manager.open(None);
    assert_eq!(session.get::<u64>("a").await.unwrap(), None);
    assert!(!session.contains("a").await.unwrap());
    assert!(session.names().await.unwrap().is_empty());
    assert_eq!(session.len().await.unwrap(), 0);
    assert!(session.is_empty().await.unwrap());
}

#[tokio::test]
async fn names_are_in_order_whether_stored_or_pending() {
    let at = at();
    let session = two(&at).await;
    session.insert("b", &2).unwrap();
    session.insert("", &0).unwrap();
    session.insert("ä", &5).unwrap();
    assert_eq!(session.names().await.unwrap(), ["", "a", "b", "c", "ä"]);
    assert_eq!(session.len().await.unwrap(), 5);
    session.remove("a").unwrap();
    session.remove("b").unwrap();
    assert_eq!(session.names().await.unwrap(), ["", "c", "ä"]);
    assert!(!session.contains("a").await.unwrap());
    assert!(session.contains("c").await.unwrap());
}

#[tokio::test]
async fn clear_hides_what_is_stored_and_what_comes_after_it_stays() {
    let at = at();
    let session = two(&at).await;
    session.insert("b", &2).unwrap();
    session.clear().unwrap();
    assert!(session.is_empty().await.unwrap());
    session.insert("c", &33).unwrap();
    assert_eq!(session.names().await.unwrap(), ["c"]);
    let id = saved(&session).await;
    assert_eq!(at.names(&id).await.unwrap(), ["c"]);
    assert_eq!(at.other(&id).get("c").await.unwrap(), Some(33));
}

#[tokio::test]
async fn removing_what_is_not_there_is_no_error_and_no_write() {
    let at = at();
    let session = two(&at).await;
    session.remove("b").unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load"]);
}

#[tokio::test]
async fn setting_a_value_to_what_it_is_already_is_no_write() {
    let at = at();
    let session = two(&at).await;
    session.insert("a", &1).unwrap();
    session.update("c", |n: &mut u64| *n += 1).await.unwrap();
    session.update("c", |n: &mut u64| *n -= 1).await.unwrap();
    session.insert("b", &2).unwrap();
    session.remove("b").unwrap();
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load"]);
}

#[tokio::test]
async fn update_begins_with_the_default_and_gives_what_its_closure_gave() {
    let at = at();
    let session = at.manager.open(None);
    for round in 1..=3 {
        let before = session.update("visits", |n: &mut u64| {
            *n += 1;
            *n - 1
        });
        assert_eq!(before.await.unwrap(), round - 1);
    }
    let add = |cart: &mut Cart| cart.items.push("medlar".to_owned());
    session.update("cart", add).await.unwrap();
    let id = saved(&session).await;
    assert_eq!(at.other(&id).get("visits").await.unwrap(), Some(3));
    assert_eq!(
        at.other(&id).get("cart").await.unwrap(),
        Some(cart("medlar"))
    );
}

#[tokio::test]
async fn get_or_insert_with_sets_what_is_missing_and_nothing_else() {
    let at = at();
    let session = two(&at).await;
    let never = || -> u64 { panic!("it is there") };
    assert_eq!(session.get_or_insert_with("a", never).await.unwrap(), 1);
    assert_eq!(session.get_or_insert_with("b", || 2_u64).await.unwrap(), 2);
    assert_eq!(session.get_or_insert_with("b", never).await.unwrap(), 2);
    let id = saved(&session).await;
    assert_eq!(at.names(&id).await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_guard_writes_only_if_the_value_changed() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    {
        let mut cart = session.get_mut::<Vec<String>>("cart").await.unwrap();
        let cart = cart.as_mut().unwrap();
        cart.push("medlar".to_owned());
        cart.pop();
        assert_eq!(cart.len(), 1);
    }
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load"]);

    let session = at.open(&id);
    {
        let mut cart = session.get_mut::<Vec<String>>("cart").await.unwrap();
        cart.as_mut().unwrap().push("medlar".to_owned());
    }
    let cart = session.get::<Vec<String>>("cart").await.unwrap();
    assert_eq!(cart.unwrap(), ["quince", "medlar"], "it is seen at once");
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load", "update"]);
    let cart = at.other(&id).get::<Vec<String>>("cart").await.unwrap();
    assert_eq!(cart.unwrap(), ["quince", "medlar"]);
}

#[tokio::test]
async fn a_guard_of_what_is_not_there_is_none() {
    let session = at().manager.open(None);
    assert!(session.get_mut::<Cart>("cart").await.unwrap().is_none());
}

#[tokio::test]
async fn take_gives_a_value_once_and_writes_at_once() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    let taken = session.take::<Vec<String>>("cart").await.unwrap();
    assert_eq!(taken.unwrap(), ["quince"]);
    assert_eq!(at.store.calls(), ["load", "update"]);
    assert_eq!(at.names(&id).await.unwrap(), [""; 0]);
    assert_eq!(session.take::<Vec<String>>("cart").await.unwrap(), None);
    assert_eq!(at.store.calls(), [""; 0]);
}

/// Nested changes are not guessed: what was read is a copy.
#[tokio::test]
async fn a_value_that_was_read_and_changed_changes_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    let mut cart = session.get::<Vec<String>>("cart").await.unwrap().unwrap();
    cart.push("medlar".to_owned());
    let again = session.get::<Vec<String>>("cart").await.unwrap().unwrap();
    assert_eq!(again, ["quince"]);
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.store.calls(), ["load"]);
}

#[tokio::test]
async fn clones_are_the_same_session() {
    let at = at();
    let session = at.manager.open(None);
    let clone = session.clone();
    clone.insert("a", &1).unwrap();
    assert_eq!(session.get("a").await.unwrap(), Some(1));
    let id = saved(&session).await;
    assert_eq!(clone.id().await.unwrap(), Some(id));
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, u8),
    Remove(u8),
    Update(u8),
    GetOrInsert(u8, u8),
    Guard(u8),
    Take(u8),
    Clear,
    Save,
    /// The next request.
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let name = || 0..5_u8;
    let op = prop_oneof![
        4 => (name(), any::<u8>()).prop_map(|(name, value)| Op::Insert(name, value)),
        2 => name().prop_map(Op::Remove),
        2 => name().prop_map(Op::Update),
        1 => (name(), any::<u8>()).prop_map(|(name, value)| Op::GetOrInsert(name, value)),
        1 => name().prop_map(Op::Guard),
        1 => name().prop_map(Op::Take),
        1 => Just(Op::Clear),
        1 => Just(Op::Save),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 0..40)
}

async fn like_a_map(ops: Vec<Op>) {
    let at = at();
    let mut session = at.manager.open(None);
    let mut map = BTreeMap::<String, u8>::new();
    let add = |n: &mut u8| *n = n.wrapping_add(1);
    for op in ops {
        match op {
            Op::Insert(name, value) => {
                session.insert(&name.to_string(), &value).unwrap();
                map.insert(name.to_string(), value);
            }
            Op::Remove(name) => {
                session.remove(&name.to_string()).unwrap();
                map.remove(&name.to_string());
            }
            Op::Update(name) => {
                session.update(&name.to_string(), add).await.unwrap();
                add(map.entry(name.to_string()).or_default());
            }
            Op::GetOrInsert(name, value) => {
                let name = name.to_string();
                let given = session.get_or_insert_with(&name, || value).await.unwrap();
                assert_eq!(given, *map.entry(name).or_insert(value));
            }
            Op::Guard(name) => {
                let name = name.to_string();
                if let Some(mut guard) = session.get_mut::<u8>(&name).await.unwrap() {
                    add(&mut guard);
                }
                map.entry(name).and_modify(add);
            }
            Op::Take(name) => {
                let name = name.to_string();
                assert_eq!(session.take(&name).await.unwrap(), map.remove(&name));
            }
            Op::Clear => {
                session.clear().unwrap();
                map.clear();
            }
            Op::Save => session.save().await.unwrap(),
            Op::Reopen => {
                let id = session.id().await.unwrap();
                let _ = session.finish(true).await.unwrap();
                session = at.manager.open(id);
            }
        }
        let names: Vec<_> = map.keys().cloned().collect();
        assert_eq!(session.names().await.unwrap(), names);
        assert_eq!(session.len().await.unwrap(), map.len());
        for (name, value) in &map {
            assert_eq!(session.get(name).await.unwrap(), Some(*value));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_it_reads_like_a_map(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(like_a_map(ops));
    }
}
