//! What clients send.

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use hyper::{HeaderMap, Request, StatusCode};

use crate::reply::Failure;

const MAX_BODY: usize = 64 * 1024;

/// A request whose body has been read.
pub(crate) struct Input {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Reads a body of at most 64 KiB.
pub(crate) async fn read(request: Request<Incoming>) -> Result<Input, Failure> {
    let (head, body) = request.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(Input {
            headers: head.headers,
            body: body.to_bytes(),
        }),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("a body may have {MAX_BODY} bytes");
            Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Err(_) => Err(Failure::bad_request("the body could not be read")),
    }
}

impl Input {
    /// The text of field `name` in a JSON object or a form.
    pub(crate) fn field(&self, name: &str) -> Result<String, Failure> {
        // What is JSON is taken for JSON whatever it is called: `curl -d` calls everything a form.
        let json: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let found = if let Some(json) = json {
            json.get(name)
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        } else if has(
            &self.headers,
            &CONTENT_TYPE,
            "application/x-www-form-urlencoded",
        ) {
            let mut pairs = form_urlencoded::parse(&self.body);
            pairs
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        } else {
            return Err(Failure::bad_request("the body is neither JSON nor a form"));
        };
        match found {
            Some(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            _ => Err(Failure::bad_request(format!("a text {name:?} is needed"))),
        }
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Result<&str, Failure> {
        str::from_utf8(&self.body).map_err(|_| Failure::bad_request("the body is not UTF-8"))
    }

    /// Whether it is a browser that sent a form and wants a page.
    pub(crate) fn wants_page(&self) -> bool {
        has(&self.headers, &ACCEPT, "text/html")
    }
}

fn has(headers: &HeaderMap, name: &HeaderName, media_type: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        let mut types = value.as_bytes().split(|b| matches!(b, b',' | b';'));
        types.any(|part| {
            part.trim_ascii()
                .eq_ignore_ascii_case(media_type.as_bytes())
        })
    })
}
