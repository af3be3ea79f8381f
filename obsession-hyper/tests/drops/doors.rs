//! The ways into a handler.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use axum::Router;
use axum::routing::get;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::service::service_fn;
use obsession_core::Session;
use obsession_hyper::{CurrentSession, SessionLayer};

use crate::Boxed;
use crate::cases::{Frames, Handler};

type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Answering = Boxed<Response<UnsyncBoxBody<Bytes, Error>>>;
type Call = Box<dyn Fn(Request<String>) -> Answering>;

/// Puts a handler behind a layer. The number is of the frames that its body has made.
pub(crate) type Door = fn(&SessionLayer, Handler, Arc<AtomicUsize>) -> Call;

pub(crate) const DOORS: [(&str, Door); 3] =
    [("hyper", of_hyper), ("tower", of_tower), ("axum", of_axum)];

fn of_hyper(layer: &SessionLayer, handler: Handler, made: Arc<AtomicUsize>) -> Call {
    let service = layer.layer(service_fn(move |request: Request<String>| {
        let answer = handler(session_of(&request), Arc::clone(&made));
        async { Ok::<_, Infallible>(answer.await) }
    }));
    Box::new(move |request| answering(hyper::service::Service::call(&service, request)))
}

fn of_tower(layer: &SessionLayer, handler: Handler, made: Arc<AtomicUsize>) -> Call {
    let service = layer.layer(Inner { handler, made });
    Box::new(move |request| {
        let mut service = service.clone();
        answering(tower_service::Service::call(&mut service, request))
    })
}

fn of_axum(layer: &SessionLayer, handler: Handler, made: Arc<AtomicUsize>) -> Call {
    let handler = move |CurrentSession(session)| handler(session, Arc::clone(&made));
    let router: Router = Router::new().route("/", get(handler)).layer(layer.clone());
    Box::new(move |request| {
        let mut router = router.clone();
        answering(tower_service::Service::call(&mut router, request))
    })
}

#[derive(Clone)]
struct Inner {
    handler: Handler,
    made: Arc<AtomicUsize>,
}

impl tower_service::Service<Request<String>> for Inner {
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = Boxed<Result<Response<Frames>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let answer = (self.handler)(session_of(&request), Arc::clone(&self.made));
        Box::pin(async { Ok(answer.await) })
    }
}

fn session_of(request: &Request<String>) -> Session {
    request.extensions().get::<Session>().unwrap().clone()
}

fn answering<F, B>(call: F) -> Answering
where
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Error>> + Send + 'static,
{
    Box::pin(async move {
        let Ok(answer) = call.await;
        answer.map(|body| body.map_err(Into::into).boxed_unsync())
    })
}
