//! A future that is dropped at any await leaves a before or an after, and a handle that works.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use common::{At, Fault, at, sent};
use obsession_core::{ClientAction, Error, Session, SessionId};

/// Polls a call at most `polls` times and drops it then.
async fn cut<T>(call: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut call = pin!(call);
    for _ in 0..polls {
        let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
    }
    None
}

/// Drops `call` after each number of polls, and looks with `check` at what is left. `check` is told
/// what the call gave, if it ended.
async fn at_every_poll<T>(
    stored: bool,
    call: impl AsyncFn(&Session) -> Result<T, Error>,
    check: impl AsyncFn(&At, &Session, Option<&SessionId>, Option<T>),
) {
    for polls in 0..100 {
        let at = at();
        let id = if stored {
            Some(at.stored().await)
        } else {
            None
        };
        let session = at.manager.open(id.clone());
        at.store.set_always(Fault::Yield);
        let given = cut(call(&session), polls).await.transpose().unwrap();
        at.store.set_always(Fault::Pass);
        let ended = given.is_some();
        check(&at, &session, id.as_ref(), given).await;
        if ended {
            assert!(polls > 1, "it ended after {polls} polls");
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn a_look_can_be_made_again() {
    at_every_poll(
        true,
        async |session| session.get::<Vec<String>>("cart").await,
        async |_, session, _, _| {
            let cart = session.get::<Vec<String>>("cart").await.unwrap();
            assert_eq!(cart.unwrap(), ["quince"]);
        },
    )
    .await;
}

#[tokio::test]
async fn an_update_is_counted_once_or_not_at_all() {
    at_every_poll(
        true,
        async |session| {
            session.update("n", |n: &mut u64| *n += 1).await?;
            session.save().await
        },
        async |at, session, id, given| {
            let id = id.unwrap();
            let stored = at.other(id).get::<u64>("n").await.unwrap();
            assert!(stored.is_none_or(|n| n == 1));
            assert!(given.is_none() || stored.is_some());
            // What the handle shows is what the end of the request makes of it.
            let shown = session.get::<u64>("n").await.unwrap();
            assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
            let stored = at.other(id).get::<u64>("n").await.unwrap();
            assert_eq!(stored, shown);
            assert!(stored.is_none_or(|n| n == 1));
        },
    )
    .await;
}

#[tokio::test]
async fn a_new_session_is_made_once() {
    at_every_poll(
        false,
        async |session| {
            session.insert("a", &1)?;
            session.save().await
        },
        async |at, session, _, _| {
            assert!(at.store.inner().len() <= 1);
            let told = sent(session.finish(true).await.unwrap());
            assert_eq!(at.store.inner().len(), usize::from(told.is_some()));
            if let Some(id) = told {
                assert_eq!(at.names(&id).await.unwrap(), ["a"]);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_value_is_taken_at_most_once() {
    at_every_poll(
        true,
        async |session| session.take::<Vec<String>>("cart").await,
        async |at, session, id, given| {
            let id = id.unwrap();
            let theirs = at.other(id).take::<Vec<String>>("cart").await.unwrap();
            let mine = given.flatten();
            assert!(mine.is_none() || theirs.is_none(), "both have it");
            // A foreign write on one in doubt can only be reported.
            let _ = session.finish(true).await;
            assert_eq!(at.names(id).await.unwrap(), [""; 0]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_delete_that_was_begun_is_ended_by_whatever_comes_next() {
    for next in 0..3 {
        at_every_poll(
            true,
            async |session| {
                session.update("n", |n: &mut u64| *n += 1).await?;
                session.delete().await
            },
            async move |at, session, id, given| {
                let id = id.unwrap();
                let begun = at.store.calls().contains(&"delete");
                assert!(given.is_none() || at.names(id).await.is_none());
                match next {
                    0 => session.delete().await.unwrap(),
                    1 => drop(session.names().await.unwrap()),
                    _ => {}
                }
                let action = session.finish(next != 2).await.unwrap();
                if begun || next == 0 {
                    assert_eq!(at.names(id).await, None);
                    assert_eq!(action, ClientAction::Clear);
                }
            },
        )
        .await;
    }
}

/// A save was dropped on its way, as by a time limit of the application, and may have arrived.
#[tokio::test]
async fn a_delete_after_a_dropped_save_leaves_nothing() {
    at_every_poll(
        false,
        async |session| {
            session.insert("user", "zoë")?;
            session.save().await
        },
        async |at, session, _, _| {
            session.delete().await.unwrap();
            let action = session.finish(true).await.unwrap();
            assert_eq!(sent(action), None);
            assert!(at.store.inner().is_empty());
        },
    )
    .await;
}

/// The write of the dropped save is sent again by the next one, which has more to write.
#[tokio::test]
async fn changes_after_a_dropped_save_are_written_too() {
    at_every_poll(
        true,
        async |session| {
            session.insert("a", &1)?;
            session.save().await
        },
        async |at, session, id, _| {
            session.insert("a", &1).unwrap();
            session.insert("b", &1).unwrap();
            session.save().await.unwrap();
            let names = at.names(id.unwrap()).await.unwrap();
            assert_eq!(names, ["a", "b", "cart"]);
        },
    )
    .await;
}

#[tokio::test]
async fn a_sign_in_is_whole_or_has_not_begun_and_the_client_gets_the_token_that_works() {
    at_every_poll(
        true,
        async |session| {
            session.sign_in("user-42")?;
            session.insert("role", "admin")?;
            session.save().await
        },
        async |at, session, id, _| {
            let id = id.unwrap();
            if let Some(names) = at.names(id).await {
                assert_eq!(names, ["cart"]);
                assert_eq!(at.other(id).subject().await.unwrap(), None);
            }
            let told = sent(session.finish(true).await.unwrap());
            let current = told.as_ref().unwrap_or(id);
            let names = at.names(current).await.unwrap();
            if told.is_some() {
                assert_eq!(names, ["cart", "role"]);
                assert_eq!(at.names(id).await, None);
            } else {
                assert_eq!(names, ["cart"]);
            }
            assert_eq!(at.store.inner().len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn the_end_of_a_request_can_be_dropped_and_done_again() {
    at_every_poll(
        true,
        async |session| {
            session.insert("a", &1)?;
            session.finish(true).await
        },
        async |at, session, id, _| {
            let id = id.unwrap();
            assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
            // Unless it was dropped before it was polled at all.
            let changed = session.activity().looked;
            let names = at.names(id).await.unwrap();
            assert_eq!(names.contains(&"a".to_owned()), changed);
        },
    )
    .await;
}
