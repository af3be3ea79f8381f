//! A service that can be asked: of tower, or of actix.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};
use work::Outcome;

use crate::request::{Ask, Work};

/// An answer in full.
#[derive(Debug)]
pub struct Told {
    pub ok: bool,
    pub body: String,
    /// Name and value, as a client sends them back.
    pub cookie: Option<Bytes>,
}

/// What a run of requests has shown.
#[derive(Debug, Default)]
pub struct Run {
    pub took: Duration,
    /// The meter's difference at each request.
    pub metered: Vec<usize>,
    /// What each client is to send from now on, where that is new.
    pub cookies: Vec<Option<Bytes>>,
}

/// A meter that only goes up.
pub type Meter = fn() -> usize;

/// A library that can be measured.
#[async_trait(?Send)]
pub trait Contestant {
    async fn tell(&mut self, ask: &Ask) -> Outcome<Told>;

    /// These requests, one after the other. The time in which they are made is not taken.
    async fn run(&mut self, asks: &[Ask], meter: Option<Meter>) -> Outcome<Run>;
}

/// What libraries differ in.
pub(crate) trait Server {
    type Request;
    type Response;
    type Headers;

    /// The name of its cookie.
    fn cookie(&self) -> &'static str;
    fn request(ask: &Ask) -> Outcome<Self::Request>;
    async fn call(&mut self, request: Self::Request) -> Outcome<Self::Response>;
    fn is_ok(response: &Self::Response) -> bool;
    fn take_headers(response: &mut Self::Response) -> Self::Headers;
    /// The lines that set cookies.
    fn lines(headers: &Self::Headers) -> Vec<&[u8]>;
    async fn body(response: Self::Response) -> Outcome<Bytes>;
}

#[async_trait(?Send)]
impl<S: Server> Contestant for S {
    async fn tell(&mut self, ask: &Ask) -> Outcome<Told> {
        let mut response = self.call(S::request(ask)?).await?;
        let ok = S::is_ok(&response);
        let cookie = new_cookie(self, &S::take_headers(&mut response));
        let body = S::body(response).await?;
        let body = String::from_utf8(body.into())?;
        Ok(Told { ok, body, cookie })
    }

    async fn run(&mut self, asks: &[Ask], meter: Option<Meter>) -> Outcome<Run> {
        // Who has an id already needs to be told the next one.
        let keeps = asks.iter().any(|ask| ask.work == Work::SignIn);
        let mut headers = Vec::with_capacity(asks.len());
        let mut metered = Vec::with_capacity(asks.len());
        let mut took = Duration::ZERO;
        for ask in asks {
            let request = S::request(ask)?;
            let before = meter.map(|meter| meter());
            let began = Instant::now();
            let mut response = self.call(request).await?;
            if !S::is_ok(&response) {
                return Err("a request has failed".into());
            }
            if keeps {
                headers.push(S::take_headers(&mut response));
            }
            drop(response);
            took += began.elapsed();
            if let (Some(meter), Some(before)) = (meter, before) {
                metered.push(meter() - before);
            }
        }
        let cookies = headers.iter().map(|headers| new_cookie(self, headers));
        Ok(Run {
            took,
            cookies: cookies.collect(),
            metered,
        })
    }
}

fn new_cookie<S: Server>(server: &S, headers: &S::Headers) -> Option<Bytes> {
    let name = server.cookie().as_bytes();
    S::lines(headers).into_iter().find_map(|line| {
        let pair = line.split(|byte| *byte == b';').next()?;
        let value = pair.strip_prefix(name)?.strip_prefix(b"=")?;
        (!value.is_empty()).then(|| Bytes::copy_from_slice(pair))
    })
}

/// A service of tower, and the name of its cookie.
#[derive(Clone)]
pub(crate) struct Http<S> {
    pub(crate) service: S,
    pub(crate) cookie: &'static str,
}

pub(crate) fn request(ask: &Ask) -> Outcome<Request<()>> {
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::from_static(ask.work.path());
    if let Some(cookies) = &ask.cookies {
        let cookies = HeaderValue::from_maybe_shared(cookies.clone())?;
        request.headers_mut().insert(COOKIE, cookies);
    }
    Ok(request)
}

impl<S, B> Server for Http<S>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Request = Request<()>;
    type Response = Response<B>;
    type Headers = HeaderMap;

    fn cookie(&self) -> &'static str {
        self.cookie
    }

    fn request(ask: &Ask) -> Outcome<Self::Request> {
        request(ask)
    }

    async fn call(&mut self, request: Self::Request) -> Outcome<Self::Response> {
        Ok(self.service.ready().await?.call(request).await?)
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
            .iter()
            .map(HeaderValue::as_bytes)
            .collect()
    }

    async fn body(response: Self::Response) -> Outcome<Bytes> {
        Ok(response
            .into_body()
            .collect()
            .await
            .map_err(Into::into)?
            .to_bytes())
    }
}
