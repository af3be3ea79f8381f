//! actix-session, and the same application without sessions. It ships no store in memory: the one
//! here is of this benchmark, states as JSON behind one lock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration as Time, Instant};

use actix_session::config::BrowserSession;
use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_session::{Session, SessionMiddleware};
use actix_web::body::{MessageBody, to_bytes};
use actix_web::cookie::{Key, time::Duration};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{COOKIE as COOKIES, HeaderMap, HeaderValue, SET_COOKIE};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use work::Outcome;

use crate::request::{Ask, Work};
use crate::server::{Contestant, Server};
use crate::site::{Handle, Site, VALUE};

const COOKIE: &str = "id";

type State = HashMap<String, String>;

#[derive(Default)]
struct Memory(Mutex<HashMap<String, (Vec<u8>, Instant)>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Vec<u8>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: &str, state: &State, ttl: &Duration) -> Result<(), serde_json::Error> {
        let state = serde_json::to_vec(state)?;
        let until = Instant::now() + Time::try_from(*ttl).unwrap_or_default();
        self.lock().insert(key.to_owned(), (state, until));
        Ok(())
    }
}

impl SessionStore for Memory {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let found = match self.lock().get(key.as_ref()) {
            Some((state, until)) if *until > Instant::now() => state.clone(),
            _ => return Ok(None),
        };
        let state = serde_json::from_slice(&found);
        state
            .map(Some)
            .map_err(|error| LoadError::Deserialization(error.into()))
    }

    async fn save(&self, state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        let put = self.put(key.as_ref(), &state, ttl);
        put.map_err(|error| SaveError::Serialization(error.into()))?;
        Ok(key)
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let put = self.put(key.as_ref(), &state, ttl);
        put.map_err(|error| UpdateError::Serialization(error.into()))?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        if let Some((_, until)) = self.lock().get_mut(key.as_ref()) {
            *until = Instant::now() + Time::try_from(*ttl)?;
        }
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.lock().remove(key.as_ref());
        Ok(())
    }
}

/// An application, as actix tests call it.
struct Application<S>(S);

pub(crate) async fn application(site: &'static Site) -> Box<dyn Contestant> {
    let lifecycle = BrowserSession::default().state_ttl(Duration::days(14));
    let sessions = SessionMiddleware::builder(Memory::default(), Key::generate())
        .session_lifecycle(lifecycle)
        .build();
    let handler = move |request: HttpRequest, session: Session| answer(request, session, site);
    let app = App::new().wrap(sessions).default_service(web::to(handler));
    Box::new(Application(init_service(app).await))
}

pub(crate) async fn bare() -> Box<dyn Contestant> {
    let handler = |request: HttpRequest| async move {
        match Work::at(request.path()) {
            Ok(_) => HttpResponse::Ok().body(VALUE),
            Err(error) => HttpResponse::NotFound().body(error.to_string()),
        }
    };
    let app = App::new().default_service(web::to(handler));
    Box::new(Application(init_service(app).await))
}

async fn answer(request: HttpRequest, session: Session, site: &'static Site) -> HttpResponse {
    match site.act(request.path(), session).await {
        Ok(Some(value)) => HttpResponse::Ok().body(value),
        Ok(None) => HttpResponse::NotFound().finish(),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

impl Handle for Session {
    async fn get(&mut self, key: &str) -> Outcome<Option<String>> {
        Session::get(self, key).map_err(|error| error.to_string().into())
    }

    async fn insert(&mut self, key: &str, value: &str) -> Outcome<()> {
        Session::insert(self, key, value).map_err(|error| error.to_string().into())
    }

    async fn cycle(&mut self) -> Outcome<()> {
        self.renew();
        Ok(())
    }
}

impl<S, B> Server for Application<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    type Request = actix_http::Request;
    type Response = ServiceResponse<B>;
    type Headers = HeaderMap;

    fn cookie(&self) -> &'static str {
        COOKIE
    }

    fn request(ask: &Ask) -> Outcome<Self::Request> {
        let mut request = TestRequest::with_uri(ask.work.path());
        if let Some(cookies) = &ask.cookies {
            let cookies = HeaderValue::from_maybe_shared(cookies.clone())?;
            request = request.insert_header((COOKIES, cookies));
        }
        Ok(request.to_request())
    }

    async fn call(&mut self, request: Self::Request) -> Outcome<Self::Response> {
        let answer = self.0.call(request).await;
        answer.map_err(|error| error.to_string().into())
    }

    fn is_ok(response: &Self::Response) -> bool {
        response.status().is_success()
    }

    fn take_headers(response: &mut Self::Response) -> Self::Headers {
        std::mem::take(response.headers_mut())
    }

    fn lines(headers: &Self::Headers) -> Vec<&[u8]> {
        headers
            .get_all(SET_COOKIE)
            .map(HeaderValue::as_bytes)
            .collect()
    }

    async fn body(response: Self::Response) -> Outcome<Bytes> {
        let body = to_bytes(response.into_body()).await;
        body.map_err(|_| "the body has failed".into())
    }
}
