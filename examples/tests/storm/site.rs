//! The site in the storm: each request makes two changes that belong together.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use obsession_core::{Error, Session, SessionId, SessionManager, SessionStore};
use obsession_hyper::{Cookie, SessionService};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::sleep;

pub(crate) const ACTIONS: [&str; 4] = ["change", "cycle", "sign-in", "sign-out"];

/// Two values that are always the same.
const TWINS: [&str; 2] = ["alpha", "omega"];

/// A stored session, and its token.
pub(crate) async fn begin(manager: &SessionManager) -> SessionId {
    let session = manager.open(None);
    for twin in TWINS {
        session.insert(twin, &text(twin, 1)).unwrap();
    }
    session.save().await.unwrap();
    session.id().await.unwrap().unwrap()
}

/// A value that is easy to find among a record's bytes.
fn text(twin: &str, count: u32) -> String {
    format!("<{twin}:{count}>")
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepting: AbortHandle,
}

impl Server {
    /// Takes no more connections.
    pub(crate) fn stop(self) {
        self.accepting.abort();
    }
}

pub(crate) async fn serve(manager: &SessionManager) -> Server {
    let service = SessionService::new(service_fn(answer), manager.clone(), Cookie::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    Server {
        address,
        accepting: accepting.abort_handle(),
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let session = request.extensions().get::<Session>().unwrap().clone();
    let user = request.uri().query().unwrap_or_default();
    // Only the client that has left would see an error.
    let answer = match act(&session, request.uri().path(), user).await {
        Ok(()) => Response::new("done, and all of it".to_owned()),
        Err(error) => {
            let mut answer = Response::new(error.to_string());
            *answer.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    };
    Ok(answer)
}

async fn act(session: &Session, action: &str, user: &str) -> Result<(), Error> {
    for twin in TWINS {
        let counted = session.update(twin, |value: &mut String| *value = text(twin, 2));
        counted.await?;
        // A place to be dropped at, between what belongs together.
        sleep(Duration::from_micros(300)).await;
        yield_now().await;
    }
    match action {
        "/cycle" => session.cycle()?,
        "/sign-in" => session.sign_in(user)?,
        "/sign-out" => session.delete().await?,
        _ => {}
    }
    Ok(())
}

/// What is stored of a session.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The counts of the twins; none if it is gone.
    twins: Option<[u32; 2]>,
    subject: Option<String>,
    /// Whether the token from before still works.
    token: bool,
}

impl Stored {
    pub(crate) async fn of(
        store: &impl SessionStore,
        manager: &SessionManager,
        id: &SessionId,
    ) -> Self {
        let record = store.load(&id.key()).await.unwrap();
        let token = manager.load_id(id.clone()).await.unwrap().is_some();
        let twins = record.as_ref().map(|record| {
            let body = String::from_utf8_lossy(&record.body);
            TWINS.map(|twin| {
                let counts = [1, 2].into_iter();
                let mut counts = counts.filter(|count| body.contains(&text(twin, *count)));
                let count = counts.next().expect("a count");
                assert_eq!(counts.next(), None, "{body}");
                count
            })
        });
        Self {
            twins,
            subject: record.and_then(|record| Some(record.subject?.to_string())),
            token,
        }
    }

    /// Whether `action` of `user` is stored, whole. If not, nothing of it is.
    pub(crate) fn is_after(&self, action: &str, user: &str, at: &str) -> bool {
        let Some(twins) = self.twins else {
            assert_eq!((action, self.token), ("sign-out", false), "{at}: {self:?}");
            return true;
        };
        assert_eq!(twins[0], twins[1], "{at}: half a change: {self:?}");
        let after = twins[0] == 2;
        let replaces = ["cycle", "sign-in"].contains(&action);
        assert_eq!(self.token, !(after && replaces), "{at}: {self:?}");
        let subject = (after && action == "sign-in").then_some(user);
        assert_eq!(self.subject.as_deref(), subject, "{at}: {self:?}");
        // The end of a session goes without a change before it.
        assert!(!(after && action == "sign-out"), "{at}: {self:?}");
        after
    }
}

/// A client that got its whole answer can go on with what that said.
pub(crate) async fn check_answer(
    manager: &SessionManager,
    action: &str,
    cookie: Option<String>,
    at: &str,
) {
    match (action, cookie) {
        ("change", None) => {}
        ("sign-out", Some(cookie)) => assert!(cookie.contains("Max-Age=0"), "{at}"),
        ("cycle" | "sign-in", Some(cookie)) => {
            let value = cookie.strip_prefix("__Host-id=").unwrap();
            let id = value[..SessionId::LEN].parse().unwrap();
            assert!(manager.load_id(id).await.unwrap().is_some(), "{at}");
        }
        _ => panic!("{at}"),
    }
}
