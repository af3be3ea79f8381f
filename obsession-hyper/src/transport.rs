//! From a request's headers to an id, when somebody asks for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue};
use obsession_core::{IdSource, Presented};

use crate::layer::Shared;
use crate::reader;

/// The Cookie lines of a request, unread.
pub(crate) struct CookieHeaders {
    /// Nearly every request has one line at most; HTTP/2 may have more (RFC 9113 8.2.3).
    first: Option<HeaderValue>,
    others: Vec<HeaderValue>,
    shared: Arc<Shared>,
}

impl CookieHeaders {
    pub(crate) fn new(headers: &HeaderMap, shared: Arc<Shared>) -> Self {
        let mut lines = headers.get_all(COOKIE).iter().cloned();
        Self {
            first: lines.next(),
            others: lines.collect(),
            shared,
        }
    }
}

impl IdSource for CookieHeaders {
    fn presented(&self) -> Presented {
        reader::read(
            self.shared.cookie.name(),
            self.first.iter().chain(&self.others),
        )
    }

    fn max_age(&self) -> Option<Duration> {
        self.shared.cookie.max_age()
    }
}

/// The lines hold tokens.
impl fmt::Debug for CookieHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieHeaders")
    }
}
