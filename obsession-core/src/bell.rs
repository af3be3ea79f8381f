//! What a store rings when a record may have changed.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Rings once, when a record may have changed: the answer of [`SessionStore::watch`].
///
/// It is a future that is ready when it has rung. Dropping it ends the watch. A ring says only "look
/// again", never what has happened, and whoever wants to hear of more watches again and then looks.
///
/// [`SessionStore::watch`]: crate::SessionStore::watch
#[must_use = "it rings only as long as it is kept"]
pub struct Bell(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Bell {
    /// One that rings when `rings` has ended, which gives its place back when it is dropped.
    pub fn new(rings: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(rings)))
    }

    /// One that never rings, of a store that pushes nothing: whoever watches has to ask.
    pub const fn silent() -> Self {
        Self(None)
    }

    /// Whether it never rings, or has rung.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    /// One that rings when either does, for a store around two.
    pub fn or(self, other: Self) -> Self {
        if self.is_silent() {
            return other;
        }
        if other.is_silent() {
            return self;
        }
        Self::new(async move {
            tokio::select! {
                () = self => {}
                () = other => {}
            }
        })
    }
}

impl Future for Bell {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rings) = &mut self.0 else {
            return Poll::Pending;
        };
        let rung = rings.as_mut().poll(cx);
        if rung.is_ready() {
            self.0 = None;
        }
        rung
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell")
            .field("is_silent", &self.is_silent())
            .finish_non_exhaustive()
    }
}
