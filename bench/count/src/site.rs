//! A site with one handler for each kind of request.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use http::{Request, Response};
use hyper::service::{Service, service_fn};
use obsession_core::{Event, Events, MemoryStore, Session, SessionManager, SessionManagerBuilder};
use obsession_hyper::{Cookie, SessionService};
use tokio::runtime::{Builder, Runtime};

use crate::Outcome;

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    Untouched,
    Read,
    ReadAmong,
    Write,
    New,
    SignIn,
}

impl Work {
    pub(crate) const ALL: [Self; 6] = [
        Self::Untouched,
        Self::Read,
        Self::ReadAmong,
        Self::Write,
        Self::New,
        Self::SignIn,
    ];
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untouched => "untouched",
            Self::Read => "read",
            Self::ReadAmong => "read-among-8-cookies",
            Self::Write => "read-and-write",
            Self::New => "new",
            Self::SignIn => "sign-in",
        })
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|work| work.to_string() == name);
        found.ok_or(format!("no work: {name}"))
    }
}

/// How much is in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    Small,
    Large,
}

impl Size {
    pub(crate) const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// How many keys, and how long their values are.
    fn shape(self) -> (usize, usize) {
        match self {
            Self::Small => (10, 16),
            Self::Large => (100, 154),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "256-bytes",
            Self::Large => "16-KiB",
        })
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|size| size.to_string() == name);
        found.ok_or(format!("no size: {name}"))
    }
}

/// Counts the store's answers.
#[derive(Debug, Default)]
pub(crate) struct Calls(AtomicUsize);

impl Events for Calls {
    fn tell(&self, event: &Event) {
        if matches!(event, Event::Answered { .. }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Calls {
    /// Since the site was there.
    pub(crate) fn made(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct Site {
    runtime: Runtime,
    manager: SessionManager,
    /// What the client sends.
    cookie: RefCell<HeaderValue>,
}

impl Site {
    /// A site with one session that is as large.
    pub(crate) fn new(size: Size) -> Outcome<Self> {
        Self::with(size, |builder| builder)
    }

    /// The same, with its store's calls counted from here on.
    pub(crate) fn counting(size: Size) -> Outcome<(Self, Arc<Calls>)> {
        let calls = Arc::new(Calls::default());
        let site = Self::with(size, |builder| builder.events(Arc::clone(&calls)))?;
        calls.0.store(0, Ordering::Relaxed);
        Ok((site, calls))
    }

    fn with(
        size: Size,
        configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Outcome<Self> {
        // New sessions are not to be refused.
        let store = MemoryStore::builder().capacity(usize::MAX).build();
        let manager = configure(SessionManager::builder(store)).build();
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let id = runtime.block_on(async {
            let session = manager.open(None);
            let (keys, length) = size.shape();
            for n in 0..keys {
                session.insert(&format!("key-{n}"), &"x".repeat(length))?;
            }
            session.save().await?;
            session.id().await
        })?;
        let id = id.ok_or("a session without an id")?;
        let cookie = HeaderValue::from_str(&format!("__Host-id={}", id.expose()))?;
        Ok(Self {
            runtime,
            manager,
            cookie: RefCell::new(cookie),
        })
    }

    /// So many requests, one after the other, each as a server hands it on.
    pub(crate) fn requests(&self, work: Work, requests: usize, bare: bool) -> Outcome<()> {
        let inner = service_fn(move |request: Request<String>| async move {
            if let Some(session) = request.extensions().get::<Session>() {
                handle(work, session.clone()).await?;
            }
            Ok::<_, obsession_core::Error>(Response::new(String::new()))
        });
        let bare = bare.then_some(inner);
        let ours = SessionService::new(inner, self.manager.clone(), Cookie::default());
        self.runtime.block_on(async {
            for _ in 0..requests {
                let request = self.request(work);
                if let Some(bare) = &bare {
                    bare.call(request).await?;
                    continue;
                }
                let answer = ours.call(request).await?;
                if let Some(line) = answer.headers().get(SET_COOKIE)
                    && work == Work::SignIn
                {
                    let pair = line.as_bytes().split(|b| *b == b';').next();
                    *self.cookie.borrow_mut() = HeaderValue::from_bytes(pair.unwrap_or_default())?;
                }
            }
            Ok(())
        })
    }

    fn request(&self, work: Work) -> Request<String> {
        let mut request = Request::new(String::new());
        // Servers put in the address of the client, or something like it.
        request.extensions_mut().insert("127.0.0.1");
        let cookie = self.cookie.borrow().clone();
        match work {
            Work::New => {}
            Work::ReadAmong => {
                let others = "; theme=dark; _ga=GA1.1.123456789.1700000000; lang=en; a=b; c=d; \
                              e=f; consent=yes-to-all-of-it; last=/shop/quinces?page=2";
                let line = [cookie.as_bytes(), others.as_bytes()].concat();
                let line = HeaderValue::from_bytes(&line).unwrap_or(cookie);
                request.headers_mut().insert(COOKIE, line);
            }
            _ => _ = request.headers_mut().insert(COOKIE, cookie),
        }
        request
    }
}

async fn handle(work: Work, session: Session) -> Result<(), obsession_core::Error> {
    match work {
        Work::Untouched => return Ok(()),
        Work::Read | Work::ReadAmong => {
            let found = session.get::<String>("key-3").await?;
            assert!(found.is_some(), "the session is there");
        }
        Work::Write => {
            let found = session.get::<String>("key-3").await?;
            let next = if found.is_some_and(|value| value.starts_with('x')) {
                'y'
            } else {
                'x'
            };
            session.insert("key-3", &next.to_string().repeat(16))?;
        }
        Work::New => session.insert("key-3", "a value of 00003")?,
        Work::SignIn => {
            assert!(session.contains("key-3").await?, "the session is there");
            session.insert("at", "now")?;
            session.sign_in("user-42")?;
        }
    }
    Ok(())
}
