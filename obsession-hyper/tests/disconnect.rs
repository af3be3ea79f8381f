//! A request may be dropped at every await: the session is then before or after, and usable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use common::{ok, seen, site, stored};
use hyper::service::Service;
use obsession_core::conformance::Fault;
use obsession_core::{Session, SessionId, SessionManager};

/// Polls a call with `id` at most `polls` times and drops it then. Whether it had ended.
async fn cut<S>(service: &S, id: &SessionId, polls: usize) -> bool
where
    S: Service<http::Request<String>>,
{
    let cookie = format!("__Host-id={}", id.expose());
    let mut call = pin!(service.call(common::request(Some(&cookie))));
    for _ in 0..polls {
        let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
        if polled {
            return true;
        }
        // What was spawned gets its turn as well.
        tokio::task::yield_now().await;
    }
    false
}

/// Lets everything that was spawned end.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Cuts `handler` after each number of polls, and looks at what is left with `check`.
async fn at_every_poll<F, R>(
    handler: impl Fn(Session) -> F + Clone,
    check: impl Fn(SessionManager, SessionId) -> R,
) where
    F: Future<Output = http::Response<String>> + Send,
    R: Future<Output = ()>,
{
    for polls in 0..100 {
        let (store, manager) = seen();
        let id = stored(&manager).await;
        store.set_always(Fault::Yield);
        let service = site(&manager, handler.clone());
        let ended = cut(&service, &id, polls).await;
        settle().await;
        store.set_always(Fault::Pass);
        check(manager, id).await;
        if ended {
            assert!(polls > 2, "it ended after {polls} polls");
            return;
        }
    }
    panic!("the request never ended");
}

#[tokio::test]
async fn a_change_is_made_or_not_made() {
    at_every_poll(
        |session| async move {
            session.insert("a", &1).unwrap();
            session.insert("b", &1).unwrap();
            ok()
        },
        |manager, id| async move {
            let session = manager.open(Some(id));
            let names = session.names().await.unwrap();
            assert!(
                names == ["cart"] || names == ["a", "b", "cart"],
                "{names:?}"
            );
            session.update("n", |n: &mut u64| *n += 1).await.unwrap();
            session.save().await.unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn lc_02_a_sign_in_is_whole_or_has_not_begun() {
    at_every_poll(
        |session| async move {
            session.sign_in("user-42").unwrap();
            session.insert("role", "admin").unwrap();
            ok()
        },
        |manager, id| async move {
            if let Some(session) = manager.load_id(id.clone()).await.unwrap() {
                assert_eq!(session.subject().await.unwrap(), None);
                assert_eq!(session.names().await.unwrap(), ["cart"]);
            } else {
                // The client was not told, so it has nothing; it can sign in again.
                let again = manager.open(Some(id));
                assert!(again.is_empty().await.unwrap());
                again.sign_in("user-42").unwrap();
                again.save().await.unwrap();
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_delete_is_not_undone_by_what_was_under_way() {
    at_every_poll(
        |session| async move {
            session.update("n", |n: &mut u64| *n += 1).await.unwrap();
            session.delete().await.unwrap();
            ok()
        },
        |manager, id| async move {
            if let Some(session) = manager.load_id(id.clone()).await.unwrap() {
                assert_eq!(session.names().await.unwrap(), ["cart"]);
                session.delete().await.unwrap();
            }
            assert!(manager.load_id(id).await.unwrap().is_none());
        },
    )
    .await;
}

/// Once the inner service has answered, the commit ends whatever the client does.
#[tokio::test]
async fn a_commit_that_has_begun_ends_without_the_client() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.set_always(Fault::Yield);
    let service = site(&manager, |session| async move {
        session.insert("a", &1).unwrap();
        ok()
    });
    // One poll: the handler answers, and the load is on its way.
    assert!(!cut(&service, &id, 1).await);
    settle().await;
    store.set_always(Fault::Pass);
    assert!(manager.open(Some(id)).contains("a").await.unwrap());
    // No task holds on to the store.
    drop((service, manager));
    assert_eq!(Arc::strong_count(&store), 1);
}
