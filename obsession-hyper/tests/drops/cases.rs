//! What handlers do, and the states of the stored session between which that moves it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http_body::{Body, Frame};
use hyper::body::Bytes;
use obsession_core::{Lifetime, Session};

use crate::Boxed;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) type Handler = fn(Session, Arc<AtomicUsize>) -> Boxed<Response<Frames>>;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) handler: Handler,
    /// From the first, which is as it was, to the last, which is as it was meant.
    pub(crate) states: fn() -> Vec<State>,
}

/// A stored session, by all that a handler changes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum State {
    Live {
        names: Vec<&'static str>,
        subject: Option<String>,
        /// Whether the client's token is still the current one.
        token: bool,
        /// Whether it lives longer than it would have.
        longer: bool,
    },
    Gone,
}

/// All that handlers put down, in the order in which a session lists it.
pub(crate) const NAMES: [&str; 7] = [
    "alpha", "beta", "cart", "late-1", "late-2", "late-3", "role",
];

fn live(names: &[&'static str]) -> State {
    State::Live {
        names: names.to_vec(),
        subject: None,
        token: true,
        longer: false,
    }
}

/// The same, whose token is another.
fn cycled(state: State, subject: Option<&str>) -> State {
    match state {
        State::Live { names, longer, .. } => State::Live {
            names,
            subject: subject.map(str::to_owned),
            token: false,
            longer,
        },
        State::Gone => State::Gone,
    }
}

fn before() -> State {
    live(&["cart"])
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "looks on",
        handler: |_, _| Box::pin(async { done() }),
        states: || vec![before()],
    },
    Case {
        name: "reads",
        handler: |session, _| {
            Box::pin(async move {
                session.names().await.unwrap();
                done()
            })
        },
        states: || vec![before()],
    },
    Case {
        name: "changes",
        handler: |session, _| {
            Box::pin(async move {
                session.insert("alpha", &1).unwrap();
                session.names().await.unwrap();
                session.insert("beta", &1).unwrap();
                done()
            })
        },
        states: || vec![before(), live(&["alpha", "beta", "cart"])],
    },
    Case {
        name: "signs in",
        handler: |session, _| {
            Box::pin(async move {
                session.sign_in("zoë").unwrap();
                session.insert("role", "admin").unwrap();
                done()
            })
        },
        states: || vec![before(), cycled(live(&["cart", "role"]), Some("zoë"))],
    },
    Case {
        name: "cycles",
        handler: |session, _| {
            Box::pin(async move {
                session.cycle().unwrap();
                done()
            })
        },
        states: || vec![before(), cycled(before(), None)],
    },
    Case {
        name: "deletes",
        handler: |session, _| {
            Box::pin(async move {
                session
                    .update("alpha", |n: &mut u64| *n += 1)
                    .await
                    .unwrap();
                session.delete().await.unwrap();
                done()
            })
        },
        states: || vec![before(), State::Gone],
    },
    Case {
        name: "saves, and deletes",
        handler: |session, _| {
            Box::pin(async move {
                session.insert("alpha", &1).unwrap();
                session.save().await.unwrap();
                session.delete().await.unwrap();
                done()
            })
        },
        states: || vec![before(), live(&["alpha", "cart"]), State::Gone],
    },
    Case {
        name: "saves, and cycles",
        handler: |session, _| {
            Box::pin(async move {
                session.insert("alpha", &1).unwrap();
                session.save().await.unwrap();
                session.cycle().unwrap();
                session.insert("beta", &1).unwrap();
                done()
            })
        },
        states: || {
            let last = cycled(live(&["alpha", "beta", "cart"]), None);
            vec![before(), live(&["alpha", "cart"]), last]
        },
    },
    Case {
        name: "removes, and puts down",
        handler: |session, _| {
            Box::pin(async move {
                let cart: Option<Vec<String>> = session.get("cart").await.unwrap();
                session.remove("cart").unwrap();
                session.insert("beta", &cart.unwrap()).unwrap();
                done()
            })
        },
        states: || vec![before(), live(&["beta"])],
    },
    Case {
        name: "saves twice, and changes",
        handler: |session, _| {
            Box::pin(async move {
                for name in ["alpha", "beta"] {
                    session.insert(name, &1).unwrap();
                    session.save().await.unwrap();
                }
                session.insert("role", "admin").unwrap();
                done()
            })
        },
        states: || {
            let names = ["alpha", "cart"];
            let both = live(&["alpha", "beta", "cart"]);
            let all = live(&["alpha", "beta", "cart", "role"]);
            vec![before(), live(&names), both, all]
        },
    },
    Case {
        name: "signs in, saves, and changes",
        handler: |session, _| {
            Box::pin(async move {
                session.sign_in("zoë").unwrap();
                session.save().await.unwrap();
                session.insert("role", "admin").unwrap();
                done()
            })
        },
        states: || {
            let signed_in = |names| cycled(live(names), Some("zoë"));
            vec![before(), signed_in(&["cart"]), signed_in(&["cart", "role"])]
        },
    },
    Case {
        name: "wants to be remembered",
        handler: |session, _| {
            Box::pin(async move {
                let lifetime = Lifetime::new(30 * DAY, 90 * DAY);
                session.set_lifetime(lifetime).unwrap();
                session.insert("alpha", &1).unwrap();
                done()
            })
        },
        states: || {
            let remembered = State::Live {
                names: vec!["alpha", "cart"],
                subject: None,
                token: true,
                longer: true,
            };
            vec![before(), remembered]
        },
    },
    Case {
        name: "changes while it sends",
        handler: |session, made| {
            Box::pin(async move {
                session.insert("alpha", &1).unwrap();
                Response::new(Frames {
                    session: Some(session),
                    made,
                    waits: false,
                })
            })
        },
        states: || {
            let names = ["alpha", "cart", "late-1", "late-2", "late-3"];
            let mut states = vec![before()];
            states.extend((2..=5).map(|count| live(&names[..count])));
            states
        },
    },
];

fn done() -> Response<Frames> {
    Response::new(Frames {
        session: None,
        made: Arc::default(),
        waits: false,
    })
}

/// An empty body, or one that changes its session with each of three frames.
pub(crate) struct Frames {
    session: Option<Session>,
    made: Arc<AtomicUsize>,
    waits: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(session) = &self.session else {
            return Poll::Ready(None);
        };
        let frame = self.made.load(Ordering::Relaxed) + 1;
        if frame > 3 {
            return Poll::Ready(None);
        }
        if !self.waits {
            self.waits = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        session.insert(&format!("late-{frame}"), &1).unwrap();
        self.made.store(frame, Ordering::Relaxed);
        self.waits = false;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }
}
