//! A request is dropped after each of its polls, at each door, whatever its handler was at: what is
//! stored is one of the states between which the handler moved it, never something between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod cases;
mod doors;

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use cases::{CASES, Case, DAY, State};
use common::{Seen, seen, stored};
use doors::{Answering, DOORS};
use http_body::Body;
use obsession_core::conformance::Fault;
use obsession_core::{Record, SessionId, SessionManager, SessionStore, timeout_at};
use obsession_hyper::{Cookie, SessionLayer};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Whether what the request has spawned gets a turn between its polls.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Pace {
    Fair,
    Greedy,
}

/// What a call has come to before it was dropped.
struct Cut {
    ended: bool,
    /// The frames of its body that were seen.
    frames: usize,
}

/// Polls an answer and then its body, so many times in all, and drops what is there then.
async fn cut(mut answering: Answering, polls: usize, pace: Pace) -> Cut {
    let mut left = polls;
    let mut done = Cut {
        ended: false,
        frames: 0,
    };
    let answer = loop {
        if left == 0 {
            return done;
        }
        left -= 1;
        match poll_fn(|cx| Poll::Ready(answering.as_mut().poll(cx))).await {
            Poll::Ready(answer) => break answer,
            Poll::Pending => turn(pace).await,
        }
    };
    let mut body = pin!(answer.into_body());
    loop {
        if left == 0 {
            return done;
        }
        left -= 1;
        match poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await {
            Poll::Ready(None) => {
                done.ended = true;
                return done;
            }
            Poll::Ready(Some(_)) => done.frames += 1,
            Poll::Pending => turn(pace).await,
        }
    }
}

async fn turn(pace: Pace) {
    if pace == Pace::Fair {
        tokio::task::yield_now().await;
    }
}

/// A call that waits, and the task that keeps the deadlines of all calls while there is one.
const KEPT: usize = 2;

/// Has the deadlines of calls kept from here on, so that this is no task of a request.
async fn keep_deadlines() {
    let far = Instant::now() + DAY;
    drop(tokio::spawn(timeout_at(far, pending::<()>())));
    settle().await;
}

/// Waits until no other task is left.
async fn settle() {
    let alive = || Handle::current().metrics().num_alive_tasks();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
        if alive() == KEPT {
            return;
        }
    }
    panic!("{} tasks are left", alive());
}

/// What is stored of the session.
async fn state_of(store: &Seen, manager: &SessionManager, id: &SessionId, old: &Record) -> State {
    let found = store.inner().load(&id.key()).await.unwrap();
    let works = manager.load_id(id.clone()).await.unwrap();
    let Some(record) = found else {
        assert!(works.is_none());
        return State::Gone;
    };
    let body = String::from_utf8_lossy(&record.body);
    let names: Vec<_> = cases::NAMES
        .into_iter()
        .filter(|name| body.contains(name))
        .collect();
    if let Some(session) = &works {
        assert_eq!(session.names().await.unwrap(), names);
        assert_eq!(session.subject().await.unwrap(), record.subject);
    }
    State::Live {
        names,
        subject: record.subject.map(|subject| subject.to_string()),
        token: works.is_some(),
        longer: record.expires_at > old.expires_at.saturating_add(DAY),
    }
}

/// The store and the manager are of use to the next request, and what is over stays over.
async fn go_on(manager: &SessionManager, id: &SessionId, state: &State) {
    let lives = matches!(state, State::Live { token: true, .. });
    let next = manager.open(Some(id.clone()));
    assert_eq!(next.is_empty().await.unwrap(), !lives);
    if lives {
        next.insert("next", &1).unwrap();
    } else {
        next.sign_in("the next one").unwrap();
    }
    next.save().await.unwrap();
    let next = next.id().await.unwrap().unwrap();
    assert_eq!(next.key() == id.key(), lives);
    let old = manager.load_id(id.clone()).await.unwrap();
    assert_eq!(old.is_some(), lives, "a token that is over works again");
}

/// Drops a request of `case` after so many polls. How far it came, and what was stored then.
async fn dropped_after(
    polls: usize,
    pace: Pace,
    case: &Case,
    door: doors::Door,
) -> (Cut, State, usize) {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    let old = store.inner().load(&id.key()).await.unwrap().unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let layer = SessionLayer::new(manager.clone(), Cookie::default());
    let call = door(&layer, case.handler, Arc::clone(&made));
    let cookie = format!("__Host-id={}", id.expose());
    store.set_always(Fault::Yield);
    let cut = cut(call(common::request(Some(&cookie))), polls, pace).await;
    settle().await;
    store.set_always(Fault::Pass);
    let state = state_of(&store, &manager, &id, &old).await;
    go_on(&manager, &id, &state).await;
    // No task and no request holds on to the store.
    drop((call, layer, manager));
    assert_eq!(Arc::strong_count(&store), 1);
    (cut, state, made.load(Ordering::Relaxed))
}

#[tokio::test]
async fn lc_02_a_dropped_request_leaves_what_was_or_what_was_to_be() {
    keep_deadlines().await;
    let mut points = 0;
    for (name, door) in DOORS {
        for case in CASES {
            let states = (case.states)();
            // How many polls it takes to the end.
            let (mut polls, mut furthest) = (0, 0);
            loop {
                let at = format!("{name}, {}, after {polls} polls", case.name);
                let (cut, state, made) = dropped_after(polls, Pace::Fair, case, door).await;
                let reached = states.iter().position(|known| *known == state);
                let reached = reached.unwrap_or_else(|| panic!("{at}: {state:?}"));
                assert!(reached >= furthest, "{at}: less than a poll before");
                assert!(polls > 0 || reached == 0, "{at}: nothing was asked for");
                assert!(cut.frames <= made, "{at}");
                if made > 0 {
                    assert_eq!(reached, made + 1, "{at}: what the body changed is lost");
                }
                furthest = reached;
                if cut.ended {
                    assert_eq!(reached + 1, states.len(), "{at}: it has ended");
                    break;
                }
                polls += 1;
                assert!(polls < 100, "{at}: it does not end");
            }
            for polls in 0..=polls {
                let (_, state, _) = dropped_after(polls, Pace::Greedy, case, door).await;
                assert!(states.contains(&state), "{name}, {}: {state:?}", case.name);
            }
            println!("{name}, {}: {polls} polls", case.name);
            points += 2 * polls;
        }
    }
    // A request that is answered at once would have nowhere to be dropped.
    assert!(points >= 350, "{points} places to drop a request");
}

/// Once a handler has answered, which these do at their first poll, the client may leave.
#[tokio::test]
async fn a_commit_that_has_begun_ends_without_the_client() {
    keep_deadlines().await;
    let at_once = ["signs in", "cycles", "wants to be remembered"];
    let cases = CASES.iter().filter(|case| at_once.contains(&case.name));
    assert_eq!(cases.clone().count(), at_once.len());
    for case in cases {
        for (name, door) in DOORS {
            for pace in [Pace::Fair, Pace::Greedy] {
                let (cut, state, _) = dropped_after(1, pace, case, door).await;
                assert!(!cut.ended);
                let last = (case.states)().pop();
                assert_eq!(Some(state), last, "{name}, {}, {pace:?}", case.name);
            }
        }
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
