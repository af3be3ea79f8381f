//! The end of a request, on a task that a client cannot drop by disconnecting.

use std::future::Future;
use std::pin::Pin;

use obsession_core::{ClientAction, Error, Session};
use tracing::Instrument;

/// What came of it.
pub(crate) enum Outcome {
    Done(Result<ClientAction, Error>),
    Panicked,
}

pub(crate) type Finishing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Which end it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The head of the response, of whose body more may come.
    Head,
    Request,
}

/// Finishes at once, if that takes no I/O.
pub(crate) fn try_finish(session: &Session, end: End, keep: bool) -> Option<ClientAction> {
    match end {
        End::Head => session.try_finish_head(keep),
        End::Request => session.try_finish(keep),
    }
}

/// Finishes, also if what is given here is dropped. Its log lines are the request's.
pub(crate) fn finish(session: &Session, end: End, keep: bool) -> Finishing {
    let session = session.clone();
    let finish = async move {
        Outcome::Done(match end {
            End::Head => session.finish_head(keep).await,
            End::Request => session.finish(keep).await,
        })
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            let task = runtime.spawn(finish.in_current_span());
            Box::pin(async { task.await.unwrap_or(Outcome::Panicked) })
        }
        // Without tokio, which a store in memory can do without, whoever waits for it does it.
        Err(_) => Box::pin(finish),
    }
}
