//! A site with one handler over a store that counts its calls and fails when told to.

#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod wire;

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{COOKIE, HeaderName, SET_COOKIE};
use http::{HeaderMap, Request, Response};
use hyper::service::{Service, service_fn};
use obsession_core::conformance::Faulty;
use obsession_core::{MemoryStore, Session, SessionId, SessionManager};
use obsession_hyper::{Cookie, SessionBody, SessionService, Transport};

pub(crate) type Answer = Response<SessionBody<String>>;

/// A memory store whose calls are seen, and which can be broken.
pub(crate) type Seen = Faulty<MemoryStore>;

pub(crate) fn seen() -> (Arc<Seen>, SessionManager) {
    let store = Arc::new(Faulty::new(MemoryStore::new()));
    (Arc::clone(&store), SessionManager::new(store))
}

/// A stored session with a cart, and its token.
pub(crate) async fn stored(manager: &SessionManager) -> SessionId {
    let session = manager.open(None);
    session.insert("cart", &["quince"]).unwrap();
    session.save().await.unwrap();
    session.id().await.unwrap().unwrap()
}

/// A handler that changes a session which another request ends meanwhile.
pub(crate) async fn late_change(session: Session) -> Response<String> {
    session.update("n", |n: &mut u64| *n += 1).await.unwrap();
    let id = session.id().await.unwrap();
    session.manager().open(id).delete().await.unwrap();
    ok()
}

/// A service of `manager` with the default cookie around `handler`.
pub(crate) fn site<F, R>(
    manager: &SessionManager,
    handler: F,
) -> SessionService<
    impl Service<Request<String>, Response = Response<String>, Error = Infallible, Future: Send>
    + use<F, R>,
>
where
    F: Fn(Session) -> R,
    R: Future<Output = Response<String>> + Send,
{
    site_with(manager, Cookie::default(), handler)
}

/// The same with this transport.
pub(crate) fn site_with<T, F, R>(
    manager: &SessionManager,
    transport: T,
    handler: F,
) -> SessionService<
    impl Service<Request<String>, Response = Response<String>, Error = Infallible, Future: Send>
    + use<T, F, R>,
>
where
    T: Into<Transport>,
    F: Fn(Session) -> R,
    R: Future<Output = Response<String>> + Send,
{
    let inner = service_fn(move |request: Request<String>| {
        let answer = handler(request.extensions().get::<Session>().unwrap().clone());
        async { Ok(answer.await) }
    });
    SessionService::new(inner, manager.clone(), transport)
}

/// Calls `service` with these lines in the request's head.
pub(crate) async fn ask<S>(service: &SessionService<S>, lines: &[(&str, &str)]) -> Answer
where
    S: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let mut request = request(None);
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let Ok(answer) = service.call(request).await;
    answer
}

/// All values of `name`.
pub(crate) fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let values = answer.headers().get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

/// Calls `service` with this token in the default cookie.
pub(crate) async fn call<S>(service: &SessionService<S>, id: Option<&SessionId>) -> Answer
where
    S: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let cookie = id.map(|id| format!("__Host-id={}", id.expose()));
    match service.call(request(cookie.as_deref())).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

pub(crate) fn request(cookie: Option<&str>) -> Request<String> {
    let mut request = Request::new(String::new());
    if let Some(cookie) = cookie {
        let cookie = cookie.parse().unwrap();
        request.headers_mut().insert(COOKIE, cookie);
    }
    request
}

/// The one cookie that a response sets, if it sets one.
pub(crate) fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let mut cookies = headers.get_all(SET_COOKIE).iter();
    let cookie = cookies.next().map(|cookie| cookie.to_str().unwrap());
    assert!(cookies.next().is_none(), "more than one cookie");
    cookie
}

/// The token in the one cookie that a response sets.
pub(crate) fn token_of(answer: &Answer) -> SessionId {
    let cookie = cookie_of(answer.headers()).expect("a cookie");
    let value = cookie.strip_prefix("__Host-id=").unwrap();
    value[..SessionId::LEN].parse().unwrap()
}

pub(crate) fn ok() -> Response<String> {
    Response::new(String::new())
}
