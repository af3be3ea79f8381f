//! What is asked of an inner service: nothing that its framework does not ask.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;

use common::{cookie_of, seen};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use obsession_core::Session;
use obsession_hyper::{Cookie, SessionService};
use tokio::net::TcpListener;

/// Neither it nor its future can be sent to another thread, and there is no second one of it.
struct Lonely {
    calls: Rc<Cell<u32>>,
}

impl hyper::service::Service<Request<Incoming>> for Lonely {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let calls = Rc::clone(&self.calls);
        Box::pin(async move {
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("n", &1).unwrap();
            calls.set(calls.get() + 1);
            Ok(Response::new(calls.get().to_string()))
        })
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_hyper_service_that_is_neither_clone_nor_send_is_served_on_one_thread() {
    let (store, manager) = seen();
    let calls = Rc::new(Cell::new(0));
    let inner = Lonely {
        calls: Rc::clone(&calls),
    };
    let service = SessionService::new(inner, manager, Cookie::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let server = hyper::server::conn::http1::Builder::new();
        server
            .serve_connection(TokioIo::new(stream), service)
            .await
            .unwrap();
    };
    let ask = async {
        let mut client = common::wire::Client::connect(address, common::wire::Version::Http1).await;
        let answer = client.get("/", None).await;
        assert!(cookie_of(answer.headers()).is_some());
        assert_eq!(answer.body(), "1");
    };
    tokio::join!(serve, ask);
    assert_eq!((calls.get(), store.inner().len()), (1, 1));
}

#[cfg(feature = "tower")]
mod tower {
    use std::future::{Ready, poll_fn, ready};
    use std::task::{Context, Poll};

    use obsession_hyper::SessionLayer;
    use tower_layer::Layer;
    use tower_service::Service;

    use super::*;

    /// An error that is nothing but itself.
    #[derive(Debug, PartialEq)]
    struct Odd;

    /// It answers only after it was found ready, which takes two polls, and a clone of it is not.
    #[derive(Default)]
    struct Fussy {
        polls: u32,
    }

    impl Clone for Fussy {
        fn clone(&self) -> Self {
            Self::default()
        }
    }

    impl Service<Request<String>> for Fussy {
        type Response = Response<String>;
        type Error = Odd;
        type Future = Ready<Result<Response<String>, Odd>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Odd>> {
            self.polls += 1;
            if self.polls < 2 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<String>) -> Self::Future {
            assert!(self.polls >= 2, "it was called before it was ready");
            self.polls = 0;
            let session = request.extensions().get::<Session>().unwrap();
            session.insert("n", &1).unwrap();
            ready(match request.uri().path() {
                "/odd" => Err(Odd),
                _ => Ok(Response::new(String::new())),
            })
        }
    }

    #[tokio::test]
    async fn the_service_that_is_ready_is_the_one_that_is_called() {
        let (store, manager) = seen();
        let mut service = Layer::layer(
            &SessionLayer::new(manager, Cookie::default()),
            Fussy::default(),
        );
        for n in 1..=3 {
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                service.poll_ready(cx)
            })
            .await
            .unwrap();
            assert_eq!(polls, 2, "it says that it is ready when the inner one is");
            // As a framework does that calls in a future: the clone stays, the ready one goes.
            let clone = service.clone();
            let mut ready = std::mem::replace(&mut service, clone);
            let call = async move { ready.call(common::request(None)).await };
            let answer = call.await.unwrap();
            assert!(cookie_of(answer.headers()).is_some());
            assert_eq!(store.inner().len(), n);
        }
    }

    #[tokio::test]
    async fn an_error_of_any_type_passes_through_and_nothing_is_saved() {
        let (store, manager) = seen();
        let mut service = SessionService::new(Fussy::default(), manager, Cookie::default());
        poll_fn(|cx| Service::<Request<String>>::poll_ready(&mut service, cx))
            .await
            .unwrap();
        let mut request = common::request(None);
        *request.uri_mut() = "/odd".parse().unwrap();
        assert_eq!(service.call(request).await.unwrap_err(), Odd);
        assert_eq!(store.inner().len(), 0);
    }

    /// A tower service that is neither [`Clone`] nor [`Send`] is wrapped as well.
    #[tokio::test]
    async fn a_tower_service_that_stays_on_its_thread_is_wrapped() {
        struct Local(Rc<Cell<u32>>);

        impl Service<Request<String>> for Local {
            type Response = Response<Rc<str>>;
            type Error = Rc<str>;
            type Future = Ready<Result<Self::Response, Rc<str>>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rc<str>>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: Request<String>) -> Self::Future {
                self.0.set(self.0.get() + 1);
                ready(Ok(Response::new("body".into())))
            }
        }

        let (_, manager) = seen();
        let calls = Rc::new(Cell::new(0));
        let inner = Local(Rc::clone(&calls));
        let mut service = SessionService::new(inner, manager, Cookie::default());
        service.call(common::request(None)).await.unwrap();
        assert_eq!(calls.get(), 1);
    }
}
