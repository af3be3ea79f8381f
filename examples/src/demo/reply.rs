//! Answers.

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use obsession_core::{Error, Refusal};
use serde_json::json;

use crate::stream::Stream;

pub(crate) type Reply = Response<Either<Full<Bytes>, Stream>>;

/// What went wrong, as it is answered.
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    allow: Option<HeaderValue>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            allow: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    pub(crate) fn foreign() -> Self {
        let message = "another site made your browser ask for this";
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn method(allowed: &'static str) -> Self {
        let allow = Some(HeaderValue::from_static(allowed));
        let message = format!("only {allowed} is possible here");
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            message,
            allow,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Store(_) | Error::Random(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Ended | Error::Conflict => StatusCode::CONFLICT,
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::InvalidSubject => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(error = &error as &dyn std::error::Error, "request failed");
        }
        Self::new(status, error.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(error) => error.into(),
            refusal => Self::new(StatusCode::UNAUTHORIZED, refusal.to_string()),
        }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        let mut reply = json_reply(&json!({ "error": failure.message }));
        *reply.status_mut() = failure.status;
        if let Some(allow) = failure.allow {
            reply.headers_mut().insert(ALLOW, allow);
        }
        reply
    }
}

pub(crate) fn json_reply(value: &serde_json::Value) -> Reply {
    let mut reply = Response::new(full(format!("{value}\n")));
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}

pub(crate) fn html(page: String) -> Reply {
    let mut reply = Response::new(full(page));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    reply.headers_mut().insert(CONTENT_TYPE, html);
    reply
}

pub(crate) fn text(text: &'static str) -> Reply {
    let mut reply = Response::new(full(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(CONTENT_TYPE, plain);
    reply
}

pub(crate) fn events(stream: Stream) -> Reply {
    let mut reply = Response::new(Either::Right(stream));
    let events = HeaderValue::from_static("text/event-stream");
    reply.headers_mut().insert(CONTENT_TYPE, events);
    reply
}

/// Back to the page, after a form (RFC 9110 15.4.4).
pub(crate) fn back(did: &str) -> Reply {
    let mut reply = Response::new(full(""));
    *reply.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::try_from(format!("/?did={did}"));
    let location = location.unwrap_or(HeaderValue::from_static("/"));
    reply.headers_mut().insert(LOCATION, location);
    reply
}

fn full(text: impl Into<Bytes>) -> Either<Full<Bytes>, Stream> {
    Either::Left(Full::new(text.into()))
}
