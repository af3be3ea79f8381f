//! From the inner service's answer to the response head.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use obsession_core::{ClientAction, Error, Session};
use pin_project_lite::pin_project;

use crate::body::SessionBody;
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
    }
}

struct Finishing<R> {
    response: Response<R>,
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

enum Outcome {
    Done(Result<ClientAction, Error>),
    Panicked,
}

impl<F, R> SessionFuture<F, R> {
    pub(crate) fn new(inner: F, session: Session, teller: Teller) -> Self {
        Self {
            inner,
            session,
            teller,
            finishing: None,
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
        if this.finishing.is_none() {
            let answer = ready!(this.inner.poll(cx));
            let keep = answer
                .as_ref()
                .is_ok_and(|response| !response.status().is_server_error());
            let finished = this.session.try_finish(keep);
            let response = match (answer, finished) {
                (Ok(response), Some(action)) => {
                    return Poll::Ready(Ok(this.teller.tell(response, &action, this.session)));
                }
                (Err(error), Some(_)) => return Poll::Ready(Err(error)),
                (Err(error), None) => {
                    // There is no response to wait for it.
                    drop(finish(this.session, keep));
                    return Poll::Ready(Err(error));
                }
                (Ok(response), None) => response,
            };
            let outcome = finish(this.session, keep);
            *this.finishing = Some(Box::new(Finishing { response, outcome }));
        }
        let Some(finishing) = this.finishing else {
            return Poll::Pending;
        };
        let outcome = ready!(finishing.outcome.as_mut().poll(cx));
        let Some(finishing) = this.finishing.take() else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(match outcome {
            Outcome::Done(Ok(action)) => {
                this.teller.tell(finishing.response, &action, this.session)
            }
            Outcome::Done(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "session not saved"
                );
                this.teller.refuse(this.teller.failed(&error), this.session)
            }
            Outcome::Panicked => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                this.teller.refuse(response, this.session)
            }
        }))
    }
}

/// Finishes on a task of its own, which the client cannot drop by disconnecting.
fn finish(session: &Session, keep: bool) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
    let session = session.clone();
    let finish = async move { Outcome::Done(session.finish(keep).await) };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            let task = runtime.spawn(finish);
            Box::pin(async { task.await.unwrap_or(Outcome::Panicked) })
        }
        // Without tokio, which a store in memory can do without, the response's own future does it.
        Err(_) => Box::pin(finish),
    }
}

impl<F, R> fmt::Debug for SessionFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFuture")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
