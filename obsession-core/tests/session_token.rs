//! Tokens: how they are made, replaced and found, and which of them work.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU8, Ordering};

use common::{at, at_with, saved, sent};
use obsession_core::{ClientAction, Error, MemoryStore, SessionId, SessionManager};

#[tokio::test]
async fn a_sign_in_names_the_user_and_replaces_the_token_in_one_write() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.sign_in("user-42").unwrap();
    assert_eq!(session.subject().await.unwrap().as_deref(), Some("user-42"));
    let next = sent(session.finish(true).await.unwrap()).unwrap();
    assert_eq!(at.store.calls(), ["load", "update"]);
    assert_ne!(next, id);
    assert_eq!(next.key(), id.key());
    assert_eq!(at.names(&id).await, None);
    assert_eq!(at.names(&next).await.unwrap(), ["cart"]);
    let subject = at.other(&next).subject().await.unwrap();
    assert_eq!(subject.as_deref(), Some("user-42"));
}

#[tokio::test]
async fn a_sign_in_without_a_session_makes_one() {
    let at = at();
    let session = at.manager.open(None);
    session.sign_in("user-42").unwrap();
    let id = sent(session.finish(true).await.unwrap()).unwrap();
    let subject = at.other(&id).subject().await.unwrap();
    assert_eq!(subject.as_deref(), Some("user-42"));
}

/// Each cycle made a new stored session, and the ones in between were left behind.
#[tokio::test]
async fn many_cycles_leave_one_record_and_one_token() {
    let at = at();
    let mut tokens = vec![at.stored().await];
    // In one request and in many, with a save after each and without.
    for request in 0..5 {
        let session = at.manager.open(tokens.last().cloned());
        for _ in 0..=request {
            session.cycle().unwrap();
            if request % 2 == 0 {
                tokens.push(saved(&session).await);
            }
        }
        let next = sent(session.finish(true).await.unwrap()).unwrap();
        if tokens.last() != Some(&next) {
            tokens.push(next);
        }
    }
    assert_eq!(at.store.inner().len(), 1);
    let last = tokens.pop().unwrap();
    assert_eq!(at.names(&last).await.unwrap(), ["cart"]);
    assert!(tokens.len() > 8);
    for token in tokens {
        assert_eq!(at.names(&token).await, None);
        assert_eq!(token.key(), last.key());
    }
}

/// A client was sent the id of a session that was never stored.
#[tokio::test]
async fn a_cycle_of_nothing_stores_nothing_and_sends_nothing() {
    let at = at();
    let unknown: SessionId = "x".repeat(40).parse().unwrap();
    for presented in [None, Some(unknown)] {
        let session = at.manager.open(presented);
        session.cycle().unwrap();
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);

        let session = at.manager.open(None);
        session.insert("a", &1).unwrap();
        session.cycle().unwrap();
        session.remove("a").unwrap();
        assert_eq!(session.id().await.unwrap(), None);
        assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    }
    assert!(at.store.inner().is_empty());
}

/// A request that was under way when the token was replaced is not a new visitor: it was made a
/// new session, whose cookie overwrote that of the login.
#[tokio::test]
async fn a_token_that_has_just_been_replaced_begins_nothing_but_a_sign_in() {
    let at = at();
    let old = at.stored().await;
    let session = at.other(&old);
    session.sign_in("user-42").unwrap();
    let current = saved(&session).await;

    at.pass(59);
    let late = at.open(&old);
    assert!(late.is_empty().await.unwrap());
    assert!(matches!(late.insert("a", &1), Err(Error::Ended)));
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    // One that changes without a look is told at the end, by nothing being sent.
    let late = at.open(&old);
    late.insert("a", &1).unwrap();
    assert_eq!(
        late.id().await.unwrap(),
        None,
        "what it would bring is dropped"
    );
    assert_eq!(late.key().await.unwrap(), None);
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    assert!(late.activity().dropped);
    let late = at.open(&old);
    assert!(
        matches!(late.delete().await, Err(Error::Ended)),
        "it lives on"
    );
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.inner().len(), 1);
    let again = at.open(&old);
    again.is_empty().await.unwrap();
    again.sign_in("user-43").unwrap();
    let other = sent(again.finish(true).await.unwrap()).unwrap();
    assert_ne!(other.key(), old.key());

    // A minute later it is a token like any other that is unknown.
    at.pass(1);
    let newcomer = at.open(&old);
    newcomer.insert("a", &1).unwrap();
    let next = sent(newcomer.finish(true).await.unwrap()).unwrap();
    assert_ne!(next.key(), old.key());
    assert_eq!(at.names(&current).await.unwrap(), ["cart"]);
}

/// Switching to an unknown session failed half-way: it had its id and no data.
#[tokio::test]
async fn load_id_of_an_unknown_token_changes_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    let unknown: SessionId = "x".repeat(40).parse().unwrap();
    let mut guessed = id.key().to_string();
    guessed.push_str(&"x".repeat(24));
    for other in [unknown, guessed.parse().unwrap()] {
        assert!(at.manager.load_id(other).await.unwrap().is_none());
        assert_eq!(session.id().await.unwrap().as_ref(), Some(&id));
        assert_eq!(session.names().await.unwrap(), ["a", "cart"]);
    }
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.names(&id).await.unwrap(), ["a", "cart"]);
}

#[tokio::test]
async fn load_id_gives_that_session_and_sends_its_client_nothing() {
    let at = at();
    let id = at.stored().await;
    let session = at.manager.load_id(id.clone()).await.unwrap().unwrap();
    assert_eq!(at.store.calls(), ["load"]);
    assert_eq!(session.id().await.unwrap().as_ref(), Some(&id));
    session.insert("a", &1).unwrap();
    assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.names(&id).await.unwrap(), ["a", "cart"]);
}

/// The id was nothing until data was looked at, although the manual told people to read it.
#[tokio::test]
async fn the_id_is_what_the_client_has_or_will_have() {
    let at = at();
    let id = at.stored().await;
    assert_eq!(at.open(&id).id().await.unwrap().as_ref(), Some(&id));
    assert_eq!(at.manager.open(None).id().await.unwrap(), None);

    let new = at.manager.open(None);
    new.insert("a", &1).unwrap();
    let told = new.id().await.unwrap().unwrap();
    assert_eq!(new.key().await.unwrap(), Some(told.key()));
    assert_eq!(sent(new.finish(true).await.unwrap()), Some(told.clone()));
    assert_eq!(at.names(&told).await.unwrap(), ["a"]);

    let cycled = at.open(&id);
    cycled.cycle().unwrap();
    let told = cycled.id().await.unwrap().unwrap();
    assert_ne!(told, id);
    assert_eq!(cycled.id().await.unwrap().as_ref(), Some(&told));
    assert_eq!(sent(cycled.finish(true).await.unwrap()), Some(told));
    // Whoever presents a dead one has none.
    assert_eq!(at.open(&id).id().await.unwrap(), None);
}

/// An application that has put the coming id somewhere is not told another one when a second
/// request writes in between.
#[tokio::test]
async fn the_id_stays_as_announced_when_changes_are_made_again() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    session.cycle().unwrap();
    let told = session.id().await.unwrap();
    at.store.plan([at.rival(&id, "theirs")]);
    assert_eq!(sent(session.finish(true).await.unwrap()), told);
}

#[tokio::test]
async fn tokens_are_40_even_symbols_and_all_different() {
    let manager = SessionManager::new(MemoryStore::new());
    let mut seen = HashSet::new();
    let mut symbols = BTreeMap::<char, u32>::new();
    for _ in 0..2_000 {
        let session = manager.open(None);
        session.insert("a", &1).unwrap();
        let id = session.id().await.unwrap().unwrap();
        assert_eq!(id.expose().len(), 40);
        id.expose()
            .chars()
            .for_each(|c| *symbols.entry(c).or_default() += 1);
        assert!(seen.insert(id.expose().to_owned()));
    }
    let alphabet: String = symbols.keys().collect();
    let all = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    assert_eq!(alphabet, all);
    // 80,000 symbols of 64 kinds are 1,250 of each, give or take 35; this is more than seven times
    // that.
    for (symbol, count) in symbols {
        assert!((1_000..1_500).contains(&count), "{symbol}: {count}");
    }
}

#[tokio::test]
async fn a_token_with_dots_and_dashes_at_its_ends_works() {
    let at = at_with(|builder| {
        builder.random(|bytes| {
            bytes.fill(63);
            bytes[0] = 62;
            *bytes.last_mut().unwrap() = 62;
            Ok(())
        })
    });
    let session = at.manager.open(None);
    session.insert("a", &1).unwrap();
    let id = saved(&session).await;
    assert!(id.expose().starts_with('.') && id.expose().ends_with('.'));
    assert_eq!(id.expose().parse::<SessionId>().unwrap(), id);
    assert_eq!(at.names(&id).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_key_that_is_taken_is_drawn_again() {
    static DRAWN: AtomicU8 = AtomicU8::new(0);
    let at = at_with(|builder| {
        builder.random(|bytes| {
            // The first three are alike.
            bytes.fill(DRAWN.fetch_add(1, Ordering::SeqCst).saturating_sub(2));
            Ok(())
        })
    });
    let mut tokens = Vec::new();
    for n in 0..2 {
        let session = at.manager.open(None);
        session.insert("n", &n).unwrap();
        tokens.push(saved(&session).await);
    }
    assert_eq!(at.store.calls(), ["create", "create", "create", "create"]);
    for (n, id) in tokens.iter().enumerate() {
        assert_eq!(at.other(id).get("n").await.unwrap(), Some(n));
    }
}

#[tokio::test]
async fn a_generator_that_repeats_itself_overwrites_nobody() {
    let at = at_with(|builder| {
        builder.random(|bytes| {
            bytes.fill(7);
            Ok(())
        })
    });
    let first = at.manager.open(None);
    first.insert("mine", &1).unwrap();
    let id = saved(&first).await;
    let second = at.manager.open(None);
    second.insert("theirs", &1).unwrap();
    let answer = second.save().await;
    assert!(matches!(answer, Err(Error::Conflict)), "{answer:?}");
    assert_eq!(second.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.names(&id).await.unwrap(), ["mine"]);
}

#[tokio::test]
async fn without_random_bytes_there_is_no_id_no_record_and_no_cookie() {
    let at = at_with(|builder| builder.random(|_| Err(getrandom::Error::UNSUPPORTED)));
    let session = at.manager.open(None);
    session.insert("a", &1).unwrap();
    assert!(matches!(session.id().await, Err(Error::Random(_))));
    assert!(matches!(session.save().await, Err(Error::Random(_))));
    assert!(matches!(session.finish(true).await, Err(Error::Random(_))));
    assert_eq!(at.store.calls(), [""; 0]);
    assert!(at.store.inner().is_empty());
}

#[tokio::test]
async fn without_random_bytes_a_cycle_leaves_the_old_token_and_the_old_record() {
    let at = at();
    let id = at.stored().await;
    let before = at.record(&id).await;
    let broken = SessionManager::builder(std::sync::Arc::clone(&at.store))
        .clock(std::sync::Arc::clone(&at.clock))
        .random(|_| Err(getrandom::Error::UNSUPPORTED))
        .build();
    let session = broken.open(Some(id.clone()));
    session.sign_in("user-42").unwrap();
    assert!(matches!(session.id().await, Err(Error::Random(_))));
    assert!(matches!(session.finish(true).await, Err(Error::Random(_))));
    assert_eq!(at.store.calls(), ["load"]);
    assert_eq!(at.record(&id).await, before);
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
}

#[tokio::test]
async fn a_subject_that_no_store_must_take_is_refused() {
    let at = at();
    let session = at.manager.open(None);
    for subject in ["a\0b", &"s".repeat(1025)] {
        let answer = session.sign_in(subject);
        assert!(matches!(answer, Err(Error::InvalidSubject)));
    }
    assert_eq!(session.subject().await.unwrap(), None);
    session.sign_in(&"s".repeat(1024)).unwrap();
    session.save().await.unwrap();
}
