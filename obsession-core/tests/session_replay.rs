//! Two requests at once: the changes of the later one are made again on what the earlier one wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{At, Fault, at, saved, sent};
use obsession_core::{ClientAction, Error, Lifetime, Session, SessionId};
use tokio::time::Instant;

/// A session with `cart`, loaded by a request that has not written yet.
async fn late() -> (At, SessionId, Session) {
    let at = at();
    let id = at.stored().await;
    let late = at.open(&id);
    late.contains("cart").await.unwrap();
    (at, id, late)
}

/// Another request changes the session, and ends.
async fn other(at: &At, id: &SessionId, change: impl AsyncFnOnce(&Session)) {
    let session = at.other(id);
    change(&session).await;
    session.save().await.unwrap();
}

async fn value(at: &At, id: &SessionId, name: &str) -> Option<u64> {
    at.other(id).get(name).await.unwrap()
}

/// The whole dictionary was written back, so the later of two requests undid the earlier one.
#[tokio::test]
async fn what_the_other_wrote_stays() {
    let (at, id, late) = late().await;
    other(&at, &id, async |session| {
        session.insert("theirs", &1).unwrap();
    })
    .await;
    late.insert("ours", &2).unwrap();
    late.save().await.unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["cart", "ours", "theirs"]);
    assert_eq!(at.store.calls(), ["load", "update", "update"]);
    assert_eq!(late.activity().replays, 1);
    // From here on the late one sees it too.
    assert_eq!(late.get("theirs").await.unwrap(), Some(1));
}

#[tokio::test]
async fn an_update_runs_again_on_the_newer_value() {
    let (at, id, late) = late().await;
    let given = late.update("n", |n: &mut u64| {
        *n += 1;
        *n
    });
    assert_eq!(given.await.unwrap(), 1);
    other(&at, &id, async |session| session.insert("n", &10).unwrap()).await;
    late.save().await.unwrap();
    assert_eq!(value(&at, &id, "n").await, Some(11));
}

#[tokio::test]
async fn an_insert_is_put_down_whatever_is_there() {
    let (at, id, late) = late().await;
    late.insert("n", &1).unwrap();
    other(&at, &id, async |session| session.insert("n", &10).unwrap()).await;
    late.save().await.unwrap();
    assert_eq!(value(&at, &id, "n").await, Some(1));
}

#[tokio::test]
async fn a_remove_removes_the_newer_value() {
    let (at, id, late) = late().await;
    late.remove("cart").unwrap();
    other(&at, &id, async |session| {
        session.insert("cart", &["medlar"]).unwrap();
        session.insert("theirs", &1).unwrap();
    })
    .await;
    late.save().await.unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["theirs"]);
}

#[tokio::test]
async fn a_clear_clears_what_the_other_added() {
    let (at, id, late) = late().await;
    late.clear().unwrap();
    late.insert("ours", &1).unwrap();
    other(&at, &id, async |session| {
        session.insert("theirs", &1).unwrap();
    })
    .await;
    late.save().await.unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["ours"]);
}

#[tokio::test]
async fn a_take_that_comes_second_gets_nothing() {
    let (at, id, late) = late().await;
    other(&at, &id, async |session| {
        assert!(session.take::<Vec<String>>("cart").await.unwrap().is_some());
    })
    .await;
    assert_eq!(late.take::<Vec<String>>("cart").await.unwrap(), None);
    assert_eq!(at.names(&id).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_take_gives_the_newer_value() {
    let (at, id, late) = late().await;
    other(&at, &id, async |session| {
        session.insert("cart", &["medlar"]).unwrap();
    })
    .await;
    let taken = late.take::<Vec<String>>("cart").await.unwrap();
    assert_eq!(taken.unwrap(), ["medlar"]);
    assert_eq!(at.names(&id).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn of_two_that_insert_what_is_missing_the_first_stays() {
    let (at, id, late) = late().await;
    assert_eq!(late.get_or_insert_with("n", || 1_u64).await.unwrap(), 1);
    other(&at, &id, async |session| session.insert("n", &10).unwrap()).await;
    late.save().await.unwrap();
    assert_eq!(value(&at, &id, "n").await, Some(10));
    assert_eq!(late.get("n").await.unwrap(), Some(10));
}

#[tokio::test]
async fn a_guard_of_what_the_other_changed_is_a_conflict_and_overwrites_nothing() {
    let (at, id, late) = late().await;
    {
        let mut cart = late.get_mut::<Vec<String>>("cart").await.unwrap().unwrap();
        cart.push("medlar".to_owned());
    }
    other(&at, &id, async |session| {
        session.insert("cart", &["rowan"]).unwrap();
    })
    .await;
    let answer = late.save().await;
    assert!(matches!(answer, Err(Error::Conflict)), "{answer:?}");
    // It is not tried again behind the back of the application.
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    let cart = at.other(&id).get::<Vec<String>>("cart").await.unwrap();
    assert_eq!(cart.unwrap(), ["rowan"]);
}

#[tokio::test]
async fn a_guard_that_changed_nothing_is_no_conflict() {
    let (at, id, late) = late().await;
    {
        let mut cart = late.get_mut::<Vec<String>>("cart").await.unwrap().unwrap();
        cart.push("medlar".to_owned());
        cart.pop();
    }
    late.insert("ours", &1).unwrap();
    other(&at, &id, async |session| {
        session.insert("cart", &["rowan"]).unwrap();
    })
    .await;
    late.save().await.unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["cart", "ours"]);
    let cart = at.other(&id).get::<Vec<String>>("cart").await.unwrap();
    assert_eq!(cart.unwrap(), ["rowan"]);
}

#[tokio::test]
async fn a_guard_of_something_else_is_no_conflict() {
    let (at, id, late) = late().await;
    {
        let mut cart = late.get_mut::<Vec<String>>("cart").await.unwrap().unwrap();
        cart.push("medlar".to_owned());
    }
    other(&at, &id, async |session| {
        session.insert("theirs", &1).unwrap();
    })
    .await;
    late.save().await.unwrap();
    assert_eq!(at.names(&id).await.unwrap(), ["cart", "theirs"]);
    let cart = at.other(&id).get::<Vec<String>>("cart").await.unwrap();
    assert_eq!(cart.unwrap(), ["quince", "medlar"]);
}

/// What a guard had changed before another user signed in was in the way of all that came after.
#[tokio::test]
async fn what_is_removed_after_another_sign_in_is_no_conflict() {
    let at = at();
    let session = at.others.open(None);
    session.insert("cart", &1).unwrap();
    session.sign_in("user-1").unwrap();
    let id = saved(&session).await;
    let late = at.open(&id);
    *late.get_mut::<u64>("cart").await.unwrap().unwrap() += 1;
    late.sign_in("user-2").unwrap();
    late.remove("cart").unwrap();
    other(&at, &id, async |session| {
        session.insert("cart", &10).unwrap();
    })
    .await;
    let next = saved(&late).await;
    assert_eq!(at.names(&next).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_sign_in_keeps_what_the_other_wrote() {
    let (at, id, late) = late().await;
    late.sign_in("user-42").unwrap();
    other(&at, &id, async |session| {
        session.insert("theirs", &1).unwrap();
    })
    .await;
    let next = sent(late.finish(true).await.unwrap()).unwrap();
    assert_eq!(at.names(&next).await.unwrap(), ["cart", "theirs"]);
    assert_eq!(at.names(&id).await, None);
}

/// Of two that replace the token one wins; the other's changes are dropped and its client is told
/// nothing, so that its late answer cannot overwrite the winner's cookie.
#[tokio::test]
async fn whoever_loses_a_change_of_token_is_dropped() {
    let lost: [fn(&Session); 3] = [
        |session| session.sign_in("mallory").unwrap(),
        |session| session.cycle().unwrap(),
        |session| session.set_lifetime(Lifetime::NIST_AAL1).unwrap(),
    ];
    let won: [fn(&Session); 2] = [
        |session| session.sign_in("user-42").unwrap(),
        |session| session.cycle().unwrap(),
    ];
    for lose in lost {
        for win in won {
            let (at, id, late) = late().await;
            late.insert("ours", &1).unwrap();
            lose(&late);
            let winner = at.other(&id);
            win(&winner);
            let next = saved(&winner).await;

            let answer = late.save().await;
            assert!(matches!(answer, Err(Error::Ended)), "{answer:?}");
            assert!(late.activity().dropped);
            assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
            assert_eq!(at.names(&id).await, None);
            assert_eq!(at.names(&next).await.unwrap(), ["cart"]);
            let subject = at.other(&next).subject().await.unwrap();
            assert_eq!(subject, winner.subject().await.unwrap());
        }
    }
}

/// A request that was under way when the token was replaced goes on: what it has changed is written,
/// and then it sees nothing and changes nothing of what belongs to the newer token.
#[tokio::test]
async fn other_changes_survive_a_cycle_by_another_and_that_is_all_they_do() {
    let (at, id, late) = late().await;
    late.insert("ours", &1).unwrap();
    let winner = at.other(&id);
    winner.cycle().unwrap();
    winner.insert("secret", "theirs").unwrap();
    let next = saved(&winner).await;
    late.save().await.unwrap();
    assert_eq!(at.names(&next).await.unwrap(), ["cart", "ours", "secret"]);
    assert_eq!(at.names(&id).await, None);

    assert_eq!(late.id().await.unwrap(), None, "its token is dead");
    assert!(late.is_empty().await.unwrap() && late.info().await.unwrap().is_none());
    assert!(matches!(late.insert("more", &1), Err(Error::Ended)));
    assert!(matches!(late.cycle(), Err(Error::Ended)));
    assert!(matches!(late.delete().await, Err(Error::Ended)));
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    assert!(at.names(&next).await.is_some());
}

/// Its changes were found to be there already. At its end it kept a session alive whose token it did
/// not have.
#[tokio::test]
async fn a_cycle_by_another_overtakes_also_who_has_nothing_left_to_write() {
    let (at, id, late) = late().await;
    late.insert("ours", &1).unwrap();
    let winner = at.other(&id);
    winner.cycle().unwrap();
    winner.insert("ours", &1).unwrap();
    let next = saved(&winner).await;
    let deadline = at.record(&next).await.unwrap().expires_at;
    at.pass(3 * 24 * 60 * 60);
    late.save().await.unwrap();
    assert!(matches!(late.insert("more", &1), Err(Error::Ended)));
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.store.calls(), ["load", "update"]);
    assert_eq!(at.record(&next).await.unwrap().expires_at, deadline);
}

/// Whoever knows a visitor's token and has a request under way while the visitor signs in could put
/// things into the session of the user, read it, and take it over.
#[tokio::test]
async fn after_a_sign_in_nothing_of_the_token_before_it_arrives() {
    let (at, id, late) = late().await;
    late.insert("ours", &1).unwrap();
    let winner = at.other(&id);
    winner.sign_in("user-42").unwrap();
    winner.insert("iban", "secret").unwrap();
    let next = saved(&winner).await;
    let answer = late.save().await;
    assert!(matches!(answer, Err(Error::Ended)), "{answer:?}");
    assert_eq!(late.get::<String>("iban").await.unwrap(), None);
    assert!(late.cycle().is_err() && late.delete().await.is_err());
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.names(&next).await.unwrap(), ["cart", "iban"]);
}

/// What was done as one user is not put into the session of the next.
#[tokio::test]
async fn changes_of_one_user_are_not_made_in_the_session_of_another() {
    let at = at();
    let session = at.others.open(None);
    session.sign_in("user-1").unwrap();
    let id = saved(&session).await;
    let late = at.open(&id);
    late.contains("cart").await.unwrap();
    late.insert("secret", "of user 1").unwrap();
    session.sign_in("user-2").unwrap();
    let next = saved(&session).await;
    let answer = late.save().await;
    assert!(matches!(answer, Err(Error::Ended)), "{answer:?}");
    assert_eq!(at.names(&next).await.unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_does_not_end_is_reported_and_dropped() {
    let (at, id, late) = late().await;
    let names = [const { "rival" }; 40];
    for (round, name) in names.into_iter().enumerate() {
        let rival = at.other(&id);
        at.store.plan([Fault::behind(async move {
            rival.insert(name, &round).unwrap();
            rival.save().await.unwrap();
        })]);
    }
    late.insert("ours", &1).unwrap();
    let answer = late.save().await;
    assert!(matches!(answer, Err(Error::Conflict)), "{answer:?}");
    let tried = at.store.calls().len();
    assert!((9..40).contains(&tried), "{tried} calls");
    assert_eq!(late.finish(true).await.unwrap(), ClientAction::Keep);
    assert_eq!(at.names(&id).await.unwrap(), ["cart", "rival"]);
}

/// A save that has lost a swap and tries again, which takes a second.
async fn loser(at: &At) -> (SessionId, tokio::task::JoinHandle<Session>) {
    let id = at.stored().await;
    let late = at.open(&id);
    late.insert("ours", &1).unwrap();
    late.contains("cart").await.unwrap();
    let again = Fault::Delay(Duration::from_secs(1));
    at.store.plan([at.rival(&id, "rival"), again]);
    let late = tokio::spawn(async move {
        late.save().await.unwrap();
        late
    });
    while at.store.calls().last() != Some(&"update") {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    (id, late)
}

/// Those who had lost queued in one of 64 places, with whoever wrote to a session that had the same one:
/// under load these queues never emptied.
#[tokio::test(start_paused = true)]
async fn who_has_lost_keeps_no_other_session_waiting() {
    let at = at();
    let (_, late) = loser(&at).await;
    let begun = Instant::now();
    for _ in 0..1000 {
        let other = at.manager.open(None);
        other.insert("n", &1).unwrap();
        let id = saved(&other).await;
        let other = at.open(&id);
        other.insert("n", &2).unwrap();
        other.save().await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(!late.is_finished());
    assert_eq!(late.await.unwrap().activity().replays, 1);
}

#[tokio::test(start_paused = true)]
async fn newcomers_wait_behind_who_has_lost() {
    let at = at();
    let (id, late) = loser(&at).await;
    let newcomers: Vec<_> = (0..3).map(|_| at.open(&id)).collect();
    let newcomers = newcomers.into_iter().map(|newcomer| {
        tokio::spawn(async move {
            let counted = newcomer.update("n", |n: &mut u64| *n += 1);
            counted.await.unwrap();
            newcomer.save().await.unwrap();
        })
    });
    let newcomers: Vec<_> = newcomers.collect();
    let late = late.await.unwrap();
    assert_eq!(late.activity().replays, 1, "nobody went ahead of it");
    for newcomer in newcomers {
        newcomer.await.unwrap();
    }
    assert_eq!(value(&at, &id, "n").await, Some(3));
    assert_eq!(value(&at, &id, "ours").await, Some(1));
}

#[tokio::test]
async fn a_closure_that_panics_when_it_runs_again_loses_no_change() {
    let (at, id, late) = late().await;
    let panics = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&panics);
    late.insert("before", &1).unwrap();
    late.update("n", move |n: &mut u64| {
        assert!(!flag.load(Ordering::SeqCst), "told to panic");
        *n += 1;
    })
    .await
    .unwrap();
    late.insert("after", &1).unwrap();
    other(&at, &id, async |session| {
        session.insert("theirs", &1).unwrap();
    })
    .await;
    panics.store(true, Ordering::SeqCst);
    let saving = late.clone();
    let saved = tokio::spawn(async move { saving.save().await }).await;
    assert!(saved.unwrap_err().is_panic());
    panics.store(false, Ordering::SeqCst);
    late.save().await.unwrap();
    let names = at.names(&id).await.unwrap();
    assert_eq!(names, ["after", "before", "cart", "n", "theirs"]);
    assert_eq!(value(&at, &id, "n").await, Some(1));
}
