//! What is saved and what is answered where something failed: the table of `SavePolicy`, and a store
//! that is down, with the store's calls counted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use common::{call, cookie_of, ok, request, seen, site, stored};
use http::{Request, Response, StatusCode};
use hyper::service::{Service, service_fn};
use obsession_core::conformance::Fault;
use obsession_core::{Error, Session, SessionId, SessionManager};
use obsession_hyper::{Cookie, SavePolicy, SessionService};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Ends {
    Answers(u16),
    Error,
    Panics,
}

/// Signs in, changes a value, and ends like that. Gives the status of the answer, if there is one.
async fn run(manager: &SessionManager, policy: SavePolicy, ends: Ends, id: &SessionId) -> u16 {
    let handler = move |request: Request<String>| {
        let session = request.extensions().get::<Session>().unwrap().clone();
        async move {
            session.names().await.unwrap();
            session.sign_in("user-42").unwrap();
            session.insert("n", &1).unwrap();
            let mut answer = ok();
            match ends {
                Ends::Answers(status) => *answer.status_mut() = status.try_into().unwrap(),
                Ends::Error => return Err("the handler's"),
                Ends::Panics => panic!("the handler's"),
            }
            Ok(answer)
        }
    };
    let service = SessionService::new(service_fn(handler), manager.clone(), Cookie::default())
        .save_policy(policy);
    let cookie = format!("__Host-id={}", id.expose());
    let answer = tokio::spawn(service.call(request(Some(&cookie)))).await;
    // What was left to a task of its own is done.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    answer.map_or(0, |answer| {
        answer.map_or(1, |answer| answer.status().into())
    })
}

#[tokio::test]
async fn what_is_saved_is_all_or_nothing_and_as_the_table_says() {
    use SavePolicy::{Always, UnlessBroken, UnlessFailed};
    let table = [
        (Ends::Answers(200), [true, true, true]),
        (Ends::Answers(404), [true, true, true]),
        (Ends::Answers(500), [false, true, true]),
        (Ends::Answers(503), [false, true, true]),
        (Ends::Error, [false, false, true]),
        (Ends::Panics, [false, false, true]),
    ];
    for (ends, saved) in table {
        for (policy, saved) in [UnlessFailed, UnlessBroken, Always].into_iter().zip(saved) {
            let (store, manager) = seen();
            let id = stored(&manager).await;
            store.calls();
            let status = run(&manager, policy, ends, &id).await;
            let told = match ends {
                Ends::Panics => 0,
                Ends::Error => 1,
                Ends::Answers(status) => status,
            };
            assert_eq!(status, told, "{ends:?} {policy:?}");
            let calls: &[_] = if saved {
                &["load", "update"]
            } else {
                &["load"]
            };
            assert_eq!(store.calls(), calls, "{ends:?} {policy:?}");
            // Signed in and changed, or neither.
            let before = manager.load_id(id).await.unwrap();
            assert_eq!(before.is_none(), saved, "{ends:?} {policy:?}");
            if let Some(before) = before {
                assert_eq!(before.names().await.unwrap(), ["cart"]);
                assert_eq!(before.subject().await.unwrap(), None);
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_before_its_answer_saves_nothing_whatever_the_policy() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session| async move {
        session.insert("n", &1).unwrap();
        std::future::pending::<()>().await;
        ok()
    })
    .save_policy(SavePolicy::Always);
    let cookie = format!("__Host-id={}", id.expose());
    {
        let mut call = pin!(service.call(request(Some(&cookie))));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(call.as_mut().poll(&mut cx), Poll::Pending));
    }
    tokio::task::yield_now().await;
    assert_eq!(store.calls(), [""; 0]);
}

/// What the handler saved or deleted itself stays, and is told, whatever comes after.
#[tokio::test]
async fn a_saved_sign_in_and_a_delete_are_not_undone_by_a_failure_after_them() {
    for deletes in [false, true] {
        let (_, manager) = seen();
        let id = stored(&manager).await;
        let service = site(&manager, move |session| async move {
            if deletes {
                session.delete().await.unwrap();
            } else {
                session.sign_in("user-42").unwrap();
                session.save().await.unwrap();
            }
            let mut answer = ok();
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        });
        let answer = call(&service, Some(&id)).await;
        assert!(cookie_of(answer.headers()).is_some());
        assert!(manager.load_id(id).await.unwrap().is_none());
    }
}

type Replied = Result<Response<()>, Error>;

/// A handler that passes on what the session said.
fn careful(
    manager: &SessionManager,
    work: impl AsyncFn(&Session) -> Result<(), Error> + Copy + Send + Sync + 'static,
) -> impl Fn(Option<SessionId>) -> Pin<Box<dyn Future<Output = Replied>>> {
    let handler = move |request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap().clone();
        work(&session).await.map(|()| ok())
    };
    let service = SessionService::new(service_fn(handler), manager.clone(), Cookie::default());
    let service = Arc::new(service);
    move |id| {
        let service = Arc::clone(&service);
        Box::pin(async move {
            let cookie = id.map(|id| format!("__Host-id={}", id.expose()));
            let answer = service.call(request(cookie.as_deref())).await?;
            assert!(http_body::Body::is_end_stream(answer.body()), "no body");
            Ok(answer.map(|_| ()))
        })
    }
}

/// The end of the request looks once more, for what is to be saved, and that goes well.
#[tokio::test]
async fn a_look_that_failed_is_503_also_if_the_next_one_does_not() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    let handler = |request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap().clone();
        session.insert("n", &1)?;
        session.names().await.map(|_| ok())
    };
    let service = SessionService::new(service_fn(handler), manager.clone(), Cookie::default())
        .save_policy(SavePolicy::Always);
    store.calls();
    store.plan([Fault::Refuse]);
    let cookie = format!("__Host-id={}", id.expose());
    let answer = service.call(request(Some(&cookie))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(store.calls(), ["load", "load", "update"]);
}

#[tokio::test]
async fn a_store_that_is_down_is_503_without_a_body_where_the_session_was_touched() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    store.set_always(Fault::Refuse);
    let untouched = careful(&manager, async |_| Ok(()));
    let answer = untouched(Some(id.clone())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(store.calls(), [""; 0]);

    let loads = careful(&manager, async |session| session.names().await.map(drop));
    let saves = careful(&manager, async |session| {
        session.insert("n", &1)?;
        session.save().await
    });
    let commits = careful(&manager, async |session| session.insert("n", &1));
    let deletes = careful(&manager, async |session| session.delete().await);
    // At the commit the load is tried once more; after an error there is nothing left to do.
    for (name, answer) in [
        ("loads", loads(Some(id.clone())).await),
        ("saves", saves(Some(id.clone())).await),
        ("commits", commits(Some(id.clone())).await),
        ("deletes", deletes(Some(id.clone())).await),
    ] {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{name}");
        assert_eq!(cookie_of(answer.headers()), None, "{name}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{name}");
    }
    assert_eq!(store.calls(), ["load"; 4]);
    store.set_always(Fault::Pass);
    assert!(loads(Some(id)).await.unwrap().status().is_success());
}

/// A handler that answers has answered, and an error that has nothing to do with the session is
/// passed on.
#[tokio::test]
async fn a_handlers_own_answer_and_its_own_error_are_left_alone() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.set_always(Fault::Refuse);
    let service = site(&manager, |session| async move {
        session.names().await.unwrap_err();
        ok()
    });
    assert_eq!(call(&service, Some(&id)).await.status(), StatusCode::OK);
    store.set_always(Fault::Pass);
    let fails = careful(&manager, async |session| {
        session.names().await?;
        Err(Error::NoIndex)
    });
    assert!(matches!(fails(Some(id)).await, Err(Error::NoIndex)));
}

/// The panic goes on to whoever catches it, and the session is usable afterwards.
#[tokio::test]
async fn a_panic_passes_through_and_leaves_no_half_of_a_session() {
    let (_, manager) = seen();
    let id = stored(&manager).await;
    let status = run(&manager, SavePolicy::UnlessFailed, Ends::Panics, &id).await;
    assert_eq!(status, 0);
    let session = AssertUnwindSafe(manager.open(Some(id)));
    session.insert("n", &2).unwrap();
    session.save().await.unwrap();
}
