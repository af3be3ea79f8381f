//! A call on its way to a worker and back. It ends by its deadline, and knows whether it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use obsession_core::timeout_at;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::FailureKind;
use crate::error::Failure;

const WAITING: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

/// A call for whoever made it, and for the worker.
pub(crate) fn pair<T>(until: Instant) -> (Waiting<T>, Ticket<T>) {
    let (reply, answer) = oneshot::channel();
    let stage = Arc::new(AtomicU8::new(WAITING));
    let waiting = Waiting {
        stage: Arc::clone(&stage),
        answer,
    };
    let ticket = Ticket {
        stage,
        reply,
        until,
    };
    (waiting, ticket)
}

/// What the worker has of a call.
#[derive(Debug)]
pub(crate) struct Ticket<T> {
    stage: Arc<AtomicU8>,
    reply: oneshot::Sender<Result<T, Failure>>,
    until: Instant,
}

impl<T> Ticket<T> {
    /// Says that it is about to be sent. If not, nobody is waiting any more, and it was told that
    /// nothing had happened, or told nothing.
    pub(crate) fn send(&self) -> bool {
        turn(&self.stage, SENT) || self.stage.load(Ordering::Acquire) == SENT
    }

    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn answer(self, answer: Result<T, Failure>) {
        // Nobody may be waiting any more.
        drop(self.reply.send(answer));
    }
}

/// What the caller has of it. Dropped, it is not sent unless it has been.
pub(crate) struct Waiting<T> {
    stage: Arc<AtomicU8>,
    answer: oneshot::Receiver<Result<T, Failure>>,
}

impl<T> Waiting<T> {
    pub(crate) async fn answer(mut self, until: Instant) -> Result<T, Failure> {
        match timeout_at(until, &mut self.answer).await {
            Some(Ok(answer)) => answer,
            // The worker has gone: it has panicked, or its runtime is ending.
            Some(Err(_)) => Err(self.give_up(FailureKind::Unexpected)),
            None => Err(self.give_up(FailureKind::Late)),
        }
    }

    fn give_up(&self, kind: FailureKind) -> Failure {
        if turn(&self.stage, GIVEN_UP) {
            Failure::not_applied(kind)
        } else {
            Failure::unknown(kind)
        }
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        turn(&self.stage, GIVEN_UP);
    }
}

/// Whether a call that was waiting is now that.
fn turn(stage: &AtomicU8, to: u8) -> bool {
    let turned = stage.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire);
    turned.is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use obsession_core::Effect;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(5)
    }

    #[tokio::test]
    async fn a_call_that_is_late_knows_whether_it_was_sent() {
        let (waiting, ticket) = pair::<()>(soon());
        let failure = waiting.answer(soon()).await.unwrap_err();
        assert_eq!(failure.effect, Effect::NotApplied);
        assert!(!ticket.send(), "it was told that nothing has happened");

        let (waiting, ticket) = pair::<()>(soon());
        assert!(ticket.send());
        let failure = waiting.answer(soon()).await.unwrap_err();
        assert_eq!(failure.effect, Effect::Unknown);
        assert!(ticket.send(), "it may be sent again");
    }

    #[tokio::test]
    async fn a_call_that_was_dropped_is_not_sent() {
        let (waiting, ticket) = pair::<()>(soon());
        drop(waiting);
        assert!(!ticket.send());
    }

    #[tokio::test]
    async fn a_worker_that_has_gone_is_a_failure() {
        let (waiting, ticket) = pair::<()>(soon());
        drop(ticket);
        let failure = waiting.answer(soon()).await.unwrap_err();
        let (kind, effect) = (failure.kind, failure.effect);
        assert_eq!(
            (kind, effect),
            (FailureKind::Unexpected, Effect::NotApplied)
        );

        let (waiting, ticket) = pair::<()>(soon());
        assert!(ticket.send());
        drop(ticket);
        let failure = waiting.answer(soon()).await.unwrap_err();
        assert_eq!(failure.effect, Effect::Unknown);
    }
}
