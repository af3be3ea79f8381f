//! A client that leaves when it likes.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{COOKIE, SET_COOKIE};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use obsession_core::SessionId;
use testing::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// When and how it leaves.
pub(crate) struct Leaves {
    /// How much of its request it sends, in parts of 1,000.
    sends: usize,
    /// How long it waits then.
    after: Duration,
    /// Whether the connection is reset, not closed.
    resets: bool,
}

impl Leaves {
    pub(crate) fn new(random: &mut Random) -> Self {
        // Of all sizes, since nobody knows how long a request takes on a busy machine.
        let most = Duration::from_millis(1 << random.below(10));
        let leaves = Self {
            // Most send it all: the rest is no request.
            sends: [random.below(1000), 1000, 1000, 1000][random.below(4)],
            after: random.between(Duration::ZERO, most),
            resets: random.below(2) == 0,
        };
        // Some see it through.
        if random.below(8) == 0 {
            return Self {
                sends: 1000,
                after: Duration::from_mins(1),
                ..leaves
            };
        }
        leaves
    }
}

/// Sends a request and leaves. If its answer has come whole by then: the cookie that it sets, if any.
pub(crate) async fn visit(
    address: SocketAddr,
    version: Version,
    path: &str,
    id: &SessionId,
    leaves: Leaves,
) -> Option<Option<String>> {
    let stream = TcpStream::connect(address).await.unwrap();
    if leaves.resets {
        stream.set_zero_linger().unwrap();
    }
    let cookie = format!("__Host-id={}", id.expose());
    match version {
        Version::Http1 => http1(stream, path, &cookie, &leaves).await,
        Version::Http2 => http2(stream, path, &cookie, &leaves).await,
    }
}

async fn http1(
    mut stream: TcpStream,
    path: &str,
    cookie: &str,
    leaves: &Leaves,
) -> Option<Option<String>> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    let sent = &request.as_bytes()[..request.len() * leaves.sends / 1000];
    stream.write_all(sent).await.unwrap();
    let mut answer = String::new();
    let read = timeout(leaves.after, stream.read_to_string(&mut answer)).await;
    let whole = matches!(read, Ok(Ok(_))) && answer.ends_with("done, and all of it");
    whole.then(|| {
        let lines = answer.lines();
        let mut cookies = lines.filter_map(|line| line.strip_prefix("set-cookie: "));
        cookies.next().map(str::to_owned)
    })
}

async fn http2(
    stream: TcpStream,
    path: &str,
    cookie: &str,
    leaves: &Leaves,
) -> Option<Option<String>> {
    let io = TokioIo::new(stream);
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (mut client, connection) = client.await.ok()?;
    let request = Request::get(format!("http://localhost{path}"))
        .header(COOKIE, cookie)
        .body(Empty::<Bytes>::new())
        .unwrap();
    let ask = async {
        let answer = client.send_request(request).await.ok()?;
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers().get(SET_COOKIE);
        let cookie = cookie.map(|cookie| cookie.to_str().unwrap().to_owned());
        answer.into_body().collect().await.ok()?;
        Some(cookie)
    };
    // The request, the connection or the client ends first, and all of them are dropped with it.
    tokio::select! {
        answer = ask => answer,
        _ = connection => None,
        () = sleep(leaves.after) => None,
    }
}
