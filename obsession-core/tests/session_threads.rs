//! One handle in many tasks at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use common::{Fault, at, saved};
use obsession_core::{Error, Session};

const TASKS: u64 = 64;

/// Runs `task` many times at once, each with a clone of `session`.
async fn many<F, T>(session: &Session, task: impl Fn(u64, Session) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| tokio::spawn(task(n, session.clone())))
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_update_counts_and_all_are_written_together() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    let mut given = many(&session, |_, session| async move {
        session
            .update("n", |n: &mut u64| {
                *n += 1;
                *n
            })
            .await
            .unwrap()
    })
    .await;
    given.sort_unstable();
    assert!(given.into_iter().eq(1..=TASKS), "each saw another value");
    let _ = session.finish(true).await.unwrap();
    assert_eq!(at.other(&id).get("n").await.unwrap(), Some(TASKS));
    assert_eq!(at.store.calls(), ["load", "update"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_and_saves_at_once_lose_nothing() {
    for pace in [Fault::Pass, Fault::Yield] {
        let at = at();
        at.store.set_always(pace);
        let session = at.manager.open(None);
        many(&session, |n, session| async move {
            session.update("n", |n: &mut u64| *n += 1).await.unwrap();
            session.insert(&format!("task {n}"), &n).unwrap();
            session.save().await.unwrap();
        })
        .await;
        let id = session.id().await.unwrap().unwrap();
        assert_eq!(at.other(&id).get("n").await.unwrap(), Some(TASKS));
        let names = at.names(&id).await.unwrap();
        assert_eq!(names.len() as u64, TASKS + 1);
        assert_eq!(at.store.inner().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_task_takes_a_value() {
    for pace in [Fault::Pass, Fault::Yield] {
        let at = at();
        let id = at.stored().await;
        at.store.set_always(pace);
        let session = at.open(&id);
        let taken = many(&session, |_, session| async move {
            session.take::<Vec<String>>("cart").await.unwrap()
        })
        .await;
        assert_eq!(taken.into_iter().flatten().count(), 1);
        assert_eq!(at.names(&id).await.unwrap(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cycles_and_updates_at_once_leave_one_token_and_every_update() {
    let at = at();
    let id = at.stored().await;
    let session = at.open(&id);
    many(&session, |n, session| async move {
        session.update("n", |n: &mut u64| *n += 1).await.unwrap();
        if n % 8 == 0 {
            session.cycle().unwrap();
        }
        session.save().await.unwrap();
    })
    .await;
    let next = saved(&session).await;
    assert_ne!(next, id);
    assert_eq!(at.names(&id).await, None);
    assert_eq!(at.other(&next).get("n").await.unwrap(), Some(TASKS));
    assert_eq!(at.store.inner().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delete_among_updates_ends_what_was_there() {
    for _ in 0..20 {
        let at = at();
        let id = at.stored().await;
        let session = at.open(&id);
        many(&session, |n, session| async move {
            if n == TASKS / 2 {
                session.delete().await.unwrap();
            }
            session.update("n", |n: &mut u64| *n += 1).await.unwrap();
            match session.save().await {
                // Its change was one of those that the delete ended.
                Ok(()) | Err(Error::Ended) => {}
                Err(error) => panic!("{error}"),
            }
        })
        .await;
        // One more, for the case that the delete came last.
        session.update("n", |n: &mut u64| *n += 1).await.unwrap();
        session.save().await.unwrap();
        let _ = session.finish(true).await.unwrap();
        assert_eq!(at.names(&id).await, None);
        let fresh = session.id().await.unwrap().unwrap();
        assert_ne!(fresh.key(), id.key());
        assert_eq!(at.names(&fresh).await.unwrap(), ["n"]);
        assert_eq!(at.store.inner().len(), 1);
    }
}

/// Handles of one session in many tasks, as parallel requests have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_requests_count_exactly_and_end_for_good() {
    let at = Arc::new(at());
    let id = at.stored().await;
    let session = at.open(&id);
    many(&session, |n, _| {
        let (at, id) = (Arc::clone(&at), id.clone());
        async move {
            let mine = at.open(&id);
            mine.update("n", |n: &mut u64| *n += 1).await.unwrap();
            match mine.finish(true).await {
                Ok(_) => {}
                Err(Error::Conflict) => panic!("task {n} gave up"),
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    assert_eq!(at.other(&id).get("n").await.unwrap(), Some(TASKS));
    assert_eq!(at.store.inner().len(), 1);
}
