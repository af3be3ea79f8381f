//! A server on a free port of this machine, and a client that speaks to it.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{COOKIE, HOST, HeaderName};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::client::conn;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};

/// Which version of HTTP a client speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    Http1,
    Http2,
}

pub(crate) const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// Serves `service` until the runtime ends, in both versions.
pub(crate) async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let connection = server.serve_connection(TokioIo::new(stream), service);
                drop(connection.await);
            });
        }
    });
    address
}

/// One connection.
pub(crate) enum Client {
    Http1(conn::http1::SendRequest<String>),
    Http2(conn::http2::SendRequest<String>),
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, version: Version) -> Self {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        match version {
            Version::Http1 => {
                let (client, connection) = conn::http1::handshake(stream).await.unwrap();
                tokio::task::spawn(connection);
                Self::Http1(client)
            }
            Version::Http2 => {
                let executor = TokioExecutor::new();
                let (client, connection) = conn::http2::handshake(executor, stream).await.unwrap();
                tokio::task::spawn(connection);
                Self::Http2(client)
            }
        }
    }

    /// The answer to a request of `path` with these lines in its head.
    pub(crate) async fn send(
        &mut self,
        path: &str,
        lines: &[(HeaderName, &str)],
    ) -> Response<String> {
        let answer = self.try_send(path, lines).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response::from_parts(head, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn try_send(
        &mut self,
        path: &str,
        lines: &[(HeaderName, &str)],
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::new(String::new());
        let uri = match self {
            Self::Http1(_) => path.to_owned(),
            Self::Http2(_) => format!("http://localhost{path}"),
        };
        *request.uri_mut() = uri.parse().unwrap();
        for (name, value) in lines {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        match self {
            Self::Http1(client) => {
                let host = "localhost".parse().unwrap();
                request.headers_mut().insert(HOST, host);
                client.send_request(request).await
            }
            Self::Http2(client) => client.send_request(request).await,
        }
    }

    /// Its status, if there is an answer.
    pub(crate) async fn status(
        &mut self,
        path: &str,
        lines: &[(HeaderName, &str)],
    ) -> Option<StatusCode> {
        self.try_send(path, lines)
            .await
            .ok()
            .map(|answer| answer.status())
    }

    /// Begins up to `streams` requests with this Cookie line and resets each when it is under way.
    /// How many were begun before the server ended the connection.
    pub(crate) async fn reset(self, streams: usize, cookie: &str) -> usize {
        let Self::Http2(client) = self else {
            panic!("HTTP/1 has no streams");
        };
        for n in 0..streams {
            let request = Request::get("http://localhost/").header(COOKIE, cookie);
            let request = request.body(String::new()).unwrap();
            let mut client = client.clone();
            if client.ready().await.is_err() {
                return n;
            }
            let answer = client.send_request(request);
            let under_way = tokio::time::timeout(Duration::from_millis(2), answer).await;
            if matches!(under_way, Ok(Err(_))) {
                return n;
            }
        }
        streams
    }

    /// The same with one Cookie line.
    pub(crate) async fn get(&mut self, path: &str, cookie: Option<&str>) -> Response<String> {
        let lines: Vec<_> = cookie.map(|cookie| (COOKIE, cookie)).into_iter().collect();
        self.send(path, &lines).await
    }
}

/// The pair in a `Set-Cookie` line, as a browser sends it back.
pub(crate) fn pair(line: &str) -> &str {
    line.split(';').next().unwrap()
}
