//! A stream of events that ends with the session.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame};
use obsession_core::{Session, WatchEnd};
use tokio::sync::watch::Receiver;

/// Server-sent events: one when it begins, and one when the session is over, which is the last.
pub(crate) struct Stream {
    begun: bool,
    over: Option<Over>,
}

/// How the session ended; nothing if the server stops first.
type Over = Pin<Box<dyn Future<Output = Option<WatchEnd>> + Send>>;

impl Stream {
    pub(crate) fn of(session: &Session, mut stopping: Receiver<bool>) -> Self {
        let watch = session.watch();
        let over = async move {
            tokio::select! {
                end = watch => Some(end),
                _ = stopping.wait_for(|stops| *stops) => None,
            }
        };
        Self {
            begun: false,
            over: Some(Box::pin(over)),
        }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = |text| Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text)))));
        if !std::mem::replace(&mut self.begun, true) {
            return event(b"event: begun\ndata: the session lives\n\n");
        }
        let Some(over) = &mut self.over else {
            return Poll::Ready(None);
        };
        let end = ready!(over.as_mut().poll(cx));
        self.over = None;
        match end {
            Some(WatchEnd::Expired) => event(b"event: over\ndata: expired\n\n"),
            Some(WatchEnd::OtherSubject) => event(b"event: over\ndata: somebody signed in\n\n"),
            Some(_) => event(b"event: over\ndata: ended\n\n"),
            None => Poll::Ready(None),
        }
    }
}
