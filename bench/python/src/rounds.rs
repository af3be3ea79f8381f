//! The side of this library: what `loop.py` does.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::service::Service;
use obsession_core::{Error, MemoryStore, Session, SessionManager};
use obsession_hyper::{Cookie, SessionService};
use work::Outcome;

type Answer = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

/// What an application does with its session.
#[derive(Clone, Copy, Debug)]
enum Application {
    Make,
    Read,
    Write,
}

pub(crate) struct Rust {
    manager: SessionManager,
    lines: Vec<HeaderValue>,
}

impl Rust {
    pub(crate) async fn new(sessions: usize) -> Outcome<Self> {
        let manager = SessionManager::new(MemoryStore::new());
        let service = service(&manager, Application::Make);
        let mut lines = Vec::new();
        for _ in 0..sessions {
            let response = service.call(Request::new(String::new())).await?;
            let cookie = response.headers().get(header::SET_COOKIE);
            let cookie = cookie.ok_or("no cookie")?.to_str()?;
            let cookie = cookie.split(';').next().ok_or("an empty cookie")?;
            lines.push(cookie.parse()?);
        }
        Ok(Self { manager, lines })
    }

    /// Requests a second.
    pub(crate) async fn round(&self, writes: bool, seconds: f64) -> Outcome<f64> {
        let application = if writes {
            Application::Write
        } else {
            Application::Read
        };
        let service = service(&self.manager, application);
        let time = Duration::from_secs_f64(seconds);
        let (mut at, mut done) = (0, 0_u32);
        let began = Instant::now();
        loop {
            at = (at + 7919) % self.lines.len();
            done += 1;
            let mut request = Request::new(String::new());
            let line = self.lines[at].clone();
            request.headers_mut().insert(header::COOKIE, line);
            request.extensions_mut().insert(done);
            let response = service.call(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if status != StatusCode::OK || !body.starts_with(b"a value of") {
                return Err(format!("{status}: {body:?}").into());
            }
            // A look at the clock costs as little as it may.
            if done.is_multiple_of(64) && began.elapsed() >= time {
                return Ok(f64::from(done) / began.elapsed().as_secs_f64());
            }
        }
    }
}

fn service(manager: &SessionManager, application: Application) -> SessionService<Application> {
    SessionService::new(application, manager.clone(), Cookie::default())
}

impl Service<Request<String>> for Application {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<String>) -> Answer {
        let application = *self;
        Box::pin(async move {
            let answer = application.answer(&request).await;
            Ok(answer.unwrap_or_else(|error| {
                let mut response = Response::new(error.to_string());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }))
        })
    }
}

impl Application {
    async fn answer(self, request: &Request<String>) -> Result<Response<String>, Error> {
        let extensions = request.extensions();
        let Some(session) = extensions.get::<Session>() else {
            return Ok(Response::new("no session".to_owned()));
        };
        if let Self::Make = self {
            for (key, value) in work::Size::Small.values() {
                session.insert(&key, &value)?;
            }
            return Ok(Response::new(String::new()));
        }
        let value = session.get::<String>("key-3").await?.unwrap_or_default();
        if let Self::Write = self {
            let n = extensions.get::<u32>().copied().unwrap_or_default() % 100_000;
            session.insert("key-3", &format!("a value of {n:05}"))?;
        }
        Ok(Response::new(value))
    }
}
