//! What changes while a body is produced.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use common::{cookie_of, request, seen, stored};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::service::{Service, service_fn};
use obsession_core::conformance::Fault;
use obsession_core::{Error, Session, SessionId, SessionManager};
use obsession_hyper::{Cookie, SavePolicy, SessionBody, SessionService};

/// A body that changes the session with each frame.
struct Changing {
    session: Session,
    frames: u32,
    fails: bool,
}

impl Body for Changing {
    type Data = &'static [u8];
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.frames == 0 {
            return Poll::Ready(self.fails.then_some(Err("the body's")));
        }
        self.session.insert("frames", &self.frames).unwrap();
        self.frames -= 1;
        Poll::Ready(Some(Ok(Frame::data(b"."))))
    }
}

type Answer = Response<SessionBody<Changing>>;

async fn answer(
    manager: &SessionManager,
    id: &SessionId,
    status: u16,
    fails: bool,
    policy: SavePolicy,
) -> Answer {
    let handler = move |request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap().clone();
        session.insert("head", &1).unwrap();
        let frames = 3;
        let mut answer = Response::new(Changing {
            session,
            frames,
            fails,
        });
        *answer.status_mut() = status.try_into().unwrap();
        Ok::<_, Infallible>(answer)
    };
    let service = SessionService::new(service_fn(handler), manager.clone(), Cookie::default())
        .save_policy(policy);
    let cookie = format!("__Host-id={}", id.expose());
    service.call(request(Some(&cookie))).await.unwrap()
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn changes_of_a_body_are_saved_once_before_its_end_is_seen() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let answer = answer(&manager, &id, 200, false, SavePolicy::default()).await;
    assert_eq!(cookie_of(answer.headers()), None);
    assert_eq!(store.calls(), ["load", "update"], "with the head");
    let mut body = answer.into_body();
    for _ in 0..3 {
        assert!(body.frame().await.unwrap().is_ok());
        assert!(!body.is_end_stream());
    }
    assert_eq!(store.calls(), [""; 0]);
    assert!(body.frame().await.is_none());
    assert_eq!(store.calls(), ["update"]);
    let session = manager.open(Some(id));
    assert_eq!(session.get::<u32>("frames").await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_body_that_is_dropped_half_way_saves_what_it_had_changed() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.set_always(Fault::Yield);
    for frames in 0..3 {
        let answer = answer(&manager, &id, 200, false, SavePolicy::default()).await;
        let mut body = answer.into_body();
        for _ in 0..frames {
            assert!(body.frame().await.unwrap().is_ok());
        }
        drop(body);
        settle().await;
        let session = manager.open(Some(id.clone()));
        let saved = session.get::<u32>("frames").await.unwrap();
        assert_eq!(saved, (frames > 0).then(|| 4 - frames), "{frames} frames");
        session.remove("frames").unwrap();
        session.save().await.unwrap();
    }
    // No task holds on to the store.
    drop(manager);
    assert_eq!(std::sync::Arc::strong_count(&store), 1);
}

/// The wait for the save at the end is dropped at each poll: it is made all the same.
#[tokio::test]
async fn an_end_that_nobody_waits_for_is_saved_as_well() {
    for polls in 1..4 {
        let (store, manager) = seen();
        let id = stored(&manager).await;
        let answer = answer(&manager, &id, 200, false, SavePolicy::default()).await;
        store.set_always(Fault::Yield);
        let mut body = answer.into_body();
        for _ in 0..3 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        for _ in 0..polls {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let _ = Pin::new(&mut body).poll_frame(&mut cx);
            tokio::task::yield_now().await;
        }
        drop(body);
        settle().await;
        let session = manager.open(Some(id));
        assert!(session.contains("frames").await.unwrap(), "{polls} polls");
    }
}

/// | the head | the body | policy | saved |
/// |---|---|---|---|
/// | 200 | ends | default | yes |
/// | 200 | fails | default | no |
/// | 200 | fails | always | yes |
/// | 500 | ends | default | no |
/// | 500 | ends | unless broken | yes |
#[tokio::test]
async fn the_policy_holds_for_bodies_as_well() {
    use SavePolicy::{Always, UnlessBroken, UnlessFailed};
    for (status, fails, policy, saved) in [
        (200, false, UnlessFailed, true),
        (200, true, UnlessFailed, false),
        (200, true, Always, true),
        (500, false, UnlessFailed, false),
        (500, false, UnlessBroken, true),
    ] {
        let (_, manager) = seen();
        let id = stored(&manager).await;
        let answer = answer(&manager, &id, status, fails, policy).await;
        assert_eq!(answer.into_body().collect().await.is_err(), fails);
        settle().await;
        let session = manager.open(Some(id));
        let found = session.contains("frames").await.unwrap();
        assert_eq!(found, saved, "{status} {fails} {policy:?}");
    }
}

#[tokio::test]
async fn what_needs_a_cookie_after_the_head_is_a_typed_error_and_leaves_no_orphan() {
    let (store, manager) = seen();
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keeps = std::sync::Arc::clone(&kept);
    let handler = move |request: Request<String>| {
        *keeps.lock().unwrap() = request.extensions().get::<Session>().cloned();
        async { Ok::<_, Infallible>(Response::new(String::from("."))) }
    };
    let service = SessionService::new(service_fn(handler), manager.clone(), Cookie::default());
    let answer = service.call(request(None)).await.unwrap();
    let session: Session = kept.lock().unwrap().take().unwrap();
    assert!(matches!(session.sign_in("user-42"), Err(Error::HeadSent)));
    session.names().await.unwrap();
    assert!(matches!(session.insert("n", &1), Err(Error::HeadSent)));
    drop(answer);
    settle().await;
    assert!(matches!(session.insert("n", &1), Err(Error::Closed)));
    assert_eq!(store.inner().len(), 0);
}

/// The head is an error then, and there is no body during which anything could be changed.
#[tokio::test]
async fn a_save_that_fails_at_the_head_closes_the_session() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.set_always(Fault::Refuse);
    let answer = answer(&manager, &id, 200, false, SavePolicy::default()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.into_body().is_end_stream());
}
