//! What every handler does, whatever the library.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use work::{Outcome, Size};

use crate::request::{KEY, Work};

/// The handle of a session, as a library gives it to a handler.
pub(crate) trait Handle {
    async fn get(&mut self, key: &str) -> Outcome<Option<String>>;
    async fn insert(&mut self, key: &str, value: &str) -> Outcome<()>;
    /// Replaces the id.
    async fn cycle(&mut self) -> Outcome<()>;
}

/// What a handler knows.
pub(crate) struct Site {
    values: Vec<(String, String)>,
}

impl Site {
    /// Lives as long as the program, so that handlers can be copied as they please.
    pub(crate) fn new(size: Size) -> &'static Self {
        Box::leak(Box::new(Self {
            values: size.values(),
        }))
    }

    /// Does what `path` says, and gives the value that it has seen or written; nothing if the
    /// session is not there.
    pub(crate) async fn act(&self, path: &str, mut handle: impl Handle) -> Outcome<Option<String>> {
        let work = Work::at(path)?;
        match work {
            Work::Untouched => {}
            Work::New => handle.insert(&self.values[0].0, &self.values[0].1).await?,
            Work::Fill => {
                for (key, value) in &self.values {
                    handle.insert(key, value).await?;
                }
            }
            Work::Read => return handle.get(KEY).await,
            Work::ReadAndWrite | Work::SignIn => {
                let Some(mut value) = handle.get(KEY).await? else {
                    return Ok(None);
                };
                turn(&mut value);
                handle.insert(KEY, &value).await?;
                if work == Work::SignIn {
                    handle.cycle().await?;
                }
                return Ok(Some(value));
            }
        }
        Ok(Some(String::new()))
    }

    pub(crate) async fn answer(
        &self,
        path: &str,
        handle: impl Handle,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(match self.act(path, handle).await {
            Ok(Some(value)) => Response::new(Full::new(Bytes::from(value))),
            Ok(None) => with(StatusCode::NOT_FOUND, String::new()),
            Err(error) => with(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        })
    }
}

/// The same answer where there are no sessions.
pub(crate) fn bare(path: &str) -> Response<Full<Bytes>> {
    match Work::at(path) {
        Ok(_) => Response::new(Full::new(Bytes::from_static(VALUE))),
        Err(error) => with(StatusCode::NOT_FOUND, error.to_string()),
    }
}

/// As long as a value of a small session.
pub(crate) const VALUE: &[u8] = b"a value of 00007";

/// Another value of the same length, and again another one when it is done again.
pub(crate) fn turn(value: &mut String) {
    if !value.is_empty() {
        let first = value.remove(0);
        value.push(first);
    }
}

fn with(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
