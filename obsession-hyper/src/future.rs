//! From the inner service's answer to the response head.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use obsession_core::Session;
use pin_project_lite::pin_project;

use crate::body::{OpenSession, SessionBody};
use crate::finishing::{self, End, Outcome, finish, try_finish};
use crate::policy::Ending;
use crate::tell::Teller;

pin_project! {
    /// The answer to one request: the inner service's, with its session saved.
    pub struct SessionFuture<F, R> {
        #[pin]
        inner: F,
        session: Session,
        teller: Teller,
        // Boxed, since most requests never come here.
        finishing: Option<Box<Finishing<R>>>,
        answered: bool,
    }

    impl<F, R> PinnedDrop for SessionFuture<F, R> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.answered && std::thread::panicking() {
                let keep = this.teller.policy().saves(Ending::Panic);
                // There is nobody to wait for it.
                if try_finish(this.session, End::Request, keep).is_none() {
                    drop(finish(this.session, End::Request, keep, this.teller.places()));
                }
            }
        }
    }
}

struct Finishing<R> {
    outcome: finishing::Finishing,
    answer: Answer<R>,
}

/// The inner service's answer, and the session if its body may still change that.
type Answer<R> = (Response<R>, Option<OpenSession>);

impl<F, R> SessionFuture<F, R> {
    pub(crate) fn new(inner: F, session: Session, teller: Teller) -> Self {
        Self {
            inner,
            session,
            teller,
            finishing: None,
            answered: false,
        }
    }
}

impl<F, R, E> Future for SessionFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<SessionBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let span = this.session.span().clone();
        let _in = span.enter();
        if this.finishing.is_none() {
            let answer = ready!(this.inner.poll(cx));
            *this.answered = true;
            let policy = this.teller.policy();
            let keep = policy.saves(match &answer {
                Ok(response) => Ending::Answer(response.status()),
                Err(_) => Ending::Error,
            });
            // Whoever makes the body may still use the session, if anybody has it.
            let end = match &answer {
                Ok(_) if this.session.is_shared() => End::Head,
                _ => End::Request,
            };
            let finished = try_finish(this.session, end, keep);
            let mut response = match answer {
                Ok(response) => response,
                Err(error) => {
                    // What the handler has seen, whatever another try brings.
                    let failure = this.session.failure();
                    if finished.is_none() {
                        // There is no response to wait for it.
                        drop(finish(this.session, end, keep, this.teller.places()));
                    }
                    return Poll::Ready(this.teller.instead_of(error, failure, this.session));
                }
            };
            let open = || OpenSession::new(this.session.clone(), this.teller.shared(), keep);
            let body = (end == End::Head).then(open);
            if let Some(action) = finished {
                this.teller.tell(&mut response, &action, this.session);
                return Poll::Ready(Ok(response.map(|inner| SessionBody::new(inner, body))));
            }
            let mut outcome = finish(this.session, end, keep, this.teller.places());
            match Pin::new(&mut outcome).poll(cx) {
                Poll::Ready(outcome) => {
                    let answer = (response, body);
                    return Poll::Ready(Ok(this.teller.answer(outcome, answer, this.session)));
                }
                Poll::Pending => {
                    let answer = (response, body);
                    *this.finishing = Some(Box::new(Finishing { outcome, answer }));
                }
            }
            return Poll::Pending;
        }
        let Some(finishing) = this.finishing else {
            return Poll::Pending;
        };
        let outcome = ready!(Pin::new(&mut finishing.outcome).poll(cx));
        let Some(finishing) = this.finishing.take() else {
            return Poll::Pending;
        };
        let answer = finishing.answer;
        Poll::Ready(Ok(this.teller.answer(outcome, answer, this.session)))
    }
}

impl Teller {
    /// What is sent after the session was finished, or could not be.
    fn answer<R>(
        &self,
        outcome: Outcome,
        (mut response, body): Answer<R>,
        session: &Session,
    ) -> Response<SessionBody<R>> {
        match outcome {
            Outcome::Done(Ok(action)) => {
                self.tell(&mut response, &action, session);
                response.map(|inner| SessionBody::new(inner, body))
            }
            Outcome::Done(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "session not saved"
                );
                self.refuse(self.failed(&error), session)
            }
            Outcome::Panicked => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                self.refuse(response, session)
            }
        }
    }
}

impl<F, R> fmt::Debug for SessionFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFuture")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
