//! What of a request's head its session's id will be read from, when somebody looks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use http::header::{HeaderMap, HeaderValue};
use obsession_core::{IdSource, Presented};

use crate::head;
use crate::layer::Shared;
use crate::reader;
use crate::transport::{Link, Way};

/// The lines of a request that its transport reads, unread.
pub(crate) struct RequestSource {
    /// Nearly every request has one line at most; HTTP/2 may have more (RFC 9113 8.2.3).
    first: Option<Line>,
    others: Vec<Line>,
    /// What ways of the application's own have found, each with its place in the chain.
    found: Vec<(usize, Presented)>,
    came_by: CameBy,
    shared: Arc<Shared>,
}

/// A line, and the place in the chain of the way that reads it.
struct Line {
    place: usize,
    value: HeaderValue,
}

impl RequestSource {
    /// Takes what is needed from the head of `request`, where it is marked as sensitive.
    pub(crate) fn new<B>(request: &mut Request<B>, shared: &Arc<Shared>) -> Self {
        let links = shared.transport.links();
        let mut source = Self {
            first: None,
            others: Vec::new(),
            found: Vec::new(),
            came_by: CameBy::new(links.len()),
            shared: Arc::clone(shared),
        };
        for (place, link) in links.iter().enumerate() {
            match &link.way {
                Way::Custom(custom) => {
                    let presented = head::of_request(request, |head| custom.extract(head));
                    source.found.push((place, presented));
                }
                Way::Cookie(_) | Way::Bearer | Way::Header(_) => {
                    source.take_lines(place, link, request.headers_mut());
                }
            }
        }
        source
    }

    pub(crate) fn came_by(&self) -> CameBy {
        self.came_by.clone()
    }

    fn take_lines(&mut self, place: usize, link: &Link, headers: &mut HeaderMap) {
        let Some(name) = link.way.reads() else { return };
        // Whoever logs a request must not log a token.
        let Some(first) = headers.get_mut(name) else {
            return;
        };
        first.set_sensitive(true);
        let value = first.clone();
        if headers.len() == headers.keys_len() && self.first.is_none() {
            // No name has two lines.
            self.first = Some(Line { place, value });
            return;
        }
        let mut lines = 0;
        for value in headers.get_all(name).iter().cloned() {
            let unread = Line { place, value };
            if self.first.is_none() {
                self.first = Some(unread);
            } else {
                self.others.push(unread);
            }
            lines += 1;
        }
        if lines > 1 {
            let lines = headers.iter_mut().filter(|(other, _)| *other == name);
            lines.for_each(|(_, value)| value.set_sensitive(true));
        }
    }

    fn read(&self, place: usize, link: &Link) -> Presented {
        if let Some((_, presented)) = self.found.iter().find(|(at, _)| *at == place) {
            return presented.clone();
        }
        let lines = self.first.iter().chain(&self.others);
        let lines = lines.filter(|line| line.place == place);
        reader::read(&link.way, lines.map(|line| &line.value))
    }
}

impl IdSource for RequestSource {
    fn presented(&self) -> Presented {
        for (place, link) in self.shared.transport.links().iter().enumerate() {
            let presented = self.read(place, link);
            if !matches!(presented, Presented::Nothing) {
                self.came_by.set(place);
                return presented;
            }
        }
        Presented::Nothing
    }

    fn max_age(&self) -> Option<Duration> {
        self.shared.transport.max_age()
    }
}

/// The lines hold tokens.
impl fmt::Debug for RequestSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSource")
    }
}

/// The place in the chain of the way by which something was presented.
#[derive(Clone)]
pub(crate) struct CameBy(
    /// Shared by source and response, and not there where there is one way only.
    Option<Arc<AtomicUsize>>,
);

/// Nothing was presented, or nobody has looked.
const NOWHERE: usize = usize::MAX;

impl CameBy {
    fn new(links: usize) -> Self {
        Self((links > 1).then(|| Arc::new(AtomicUsize::new(NOWHERE))))
    }

    fn set(&self, place: usize) {
        if let Some(came_by) = &self.0 {
            came_by.store(place, Ordering::Relaxed);
        }
    }

    /// The links that were asked, the last of which was presented something: all of them where
    /// nothing was.
    pub(crate) fn asked<'a>(&self, links: &'a [Link]) -> &'a [Link] {
        links.get(..=self.place()).unwrap_or(links)
    }

    /// The link that tells the client: the one by which it presented something, or the first that
    /// can. None where the one by which it did is read only.
    pub(crate) fn teller<'a>(&self, links: &'a [Link]) -> Option<&'a Link> {
        match links.get(self.place()) {
            Some(link) => link.tells.then_some(link),
            None => links.iter().find(|link| link.tells),
        }
    }

    fn place(&self) -> usize {
        let only = |came_by: &Arc<AtomicUsize>| came_by.load(Ordering::Relaxed);
        self.0.as_ref().map_or(0, only)
    }
}
