//! The body of a response that went through a [`SessionService`](crate::SessionService).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use obsession_core::Session;
use pin_project_lite::pin_project;

use crate::finishing::{End, Finishing, Outcome, finish, try_finish};
use crate::layer::Shared;
use crate::policy::Ending;

pin_project! {
    /// The inner service's body, or none where the session decided the answer.
    ///
    /// If somebody still has the session, it ends when what was changed meanwhile is saved.
    #[derive(Debug)]
    pub struct SessionBody<B> {
        #[pin]
        inner: Option<B>,
        // Boxed, since few bodies have one.
        open: Option<Box<OpenSession>>,
    }
}

/// A session that is open until a body ends; it is finished on drop at the latest.
pub(crate) struct OpenSession {
    session: Session,
    shared: Arc<Shared>,
    keep: bool,
    finishing: Option<Finishing>,
}

impl<B> SessionBody<B> {
    /// With a session that ends with it, if there is one.
    pub(crate) fn new(inner: B, open: Option<OpenSession>) -> Self {
        Self {
            inner: Some(inner),
            open: open.map(Box::new),
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            inner: None,
            open: None,
        }
    }
}

impl<B: Body> Body for SessionBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if this.open.as_ref().is_none_or(|open| !open.is_finishing()) {
            let frame = match this.inner.as_pin_mut() {
                Some(inner) => ready!(inner.poll_frame(cx)),
                None => None,
            };
            match (&frame, &mut *this.open) {
                (Some(Err(_)), Some(open)) => {
                    open.keep &= open.shared.save_policy.saves(Ending::Error);
                    *this.open = None;
                    return Poll::Ready(frame);
                }
                (Some(_), _) | (None, None) => return Poll::Ready(frame),
                (None, Some(_)) => {}
            }
        }
        if let Some(open) = this.open {
            ready!(open.poll_finish(cx));
        }
        *this.open = None;
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl OpenSession {
    pub(crate) fn new(session: Session, shared: &Arc<Shared>, keep: bool) -> Self {
        Self {
            session,
            shared: Arc::clone(shared),
            keep,
            finishing: None,
        }
    }

    fn is_finishing(&self) -> bool {
        self.finishing.is_some()
    }

    /// Ends when the session is finished. What goes wrong can only be logged: the head said that all
    /// is well.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.finishing.is_none() {
            self.begin();
        }
        let Some(finishing) = &mut self.finishing else {
            return Poll::Ready(());
        };
        if let Outcome::Done(Err(error)) = ready!(Pin::new(finishing).poll(cx)) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "what changed while a body was sent is not saved");
        }
        Poll::Ready(())
    }

    fn begin(&mut self) {
        if try_finish(&self.session, End::Request, self.keep).is_none() {
            self.finishing = Some(finish(
                &self.session,
                End::Request,
                self.keep,
                &self.shared.places,
            ));
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        if self.finishing.is_none() {
            self.keep &= !std::thread::panicking() || self.shared.save_policy.saves(Ending::Panic);
            self.begin();
        }
    }
}

/// What it would show is the session's own.
impl std::fmt::Debug for OpenSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.session.fmt(f)
    }
}
