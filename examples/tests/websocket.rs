//! The example of a WebSocket, as a browser and as another site's page would use it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use common::{Client, PATIENCE};
use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

/// The example on a free port, killed when it is dropped.
struct Site {
    child: Child,
    address: SocketAddr,
}

impl Site {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_websocket"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (_, address) = line.trim().split_once("://").unwrap();
        let address = address.parse().unwrap();
        Self { child, address }
    }

    async fn signed_in(&self) -> Client {
        let client = Client::at(self.address);
        assert_eq!(
            client.submit("/sign-in", "").await.status,
            StatusCode::SEE_OTHER
        );
        client
    }

    /// A handshake with the cookie of `client`, asked for by a page of `origin`.
    async fn connect(&self, client: &Client, origin: Option<&str>) -> Result<Socket, StatusCode> {
        let url = format!("ws://{}/socket", self.address);
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        if let Some(cookie) = client.cookie() {
            headers.insert("cookie", cookie.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(answer)) => Err(answer.status()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn own(&self, client: &Client) -> Result<Socket, StatusCode> {
        let origin = format!("http://{}", self.address);
        self.connect(client, Some(&origin)).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn says(&mut self, text: &str) {
        let message = Message::Text(Utf8Bytes::from(text.to_owned()));
        self.0.send(message).await.unwrap();
    }

    async fn hears(&mut self) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.0.next()).await;
        message.unwrap().unwrap().unwrap()
    }

    /// Why the server closed it.
    async fn closed(&mut self) -> String {
        match self.hears().await {
            Message::Close(Some(frame)) => {
                assert_eq!(frame.code, CloseCode::Policy);
                frame.reason.to_string()
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_sign_out_in_one_tab_closes_the_sockets_of_all() {
    let site = Site::start();
    let (client, other) = (site.signed_in().await, site.signed_in().await);
    let mut sockets = [
        site.own(&client).await.unwrap(),
        site.own(&client).await.unwrap(),
    ];
    let mut untouched = site.own(&other).await.unwrap();
    for (n, socket) in (1..).zip(&mut sockets) {
        socket.says("hello").await;
        assert_eq!(socket.hears().await, Message::text(format!("message {n}")));
    }
    client.submit("/sign-out", "").await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, "ended");
    }
    untouched.says("hello").await;
    assert_eq!(untouched.hears().await, Message::text("message 1"));
    assert_eq!(
        site.own(&client).await.err(),
        Some(StatusCode::UNAUTHORIZED)
    );
}

#[tokio::test]
async fn another_sites_page_gets_no_socket() {
    let site = Site::start();
    let client = site.signed_in().await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let refused = site.connect(&client, Some(origin)).await.err();
        assert_eq!(refused, Some(StatusCode::FORBIDDEN), "{origin}");
    }
    // A program sends none, and nobody tricks it into sending a cookie.
    assert!(site.connect(&client, None).await.is_ok());
    let nobody = Client::at(site.address);
    assert_eq!(
        site.own(&nobody).await.err(),
        Some(StatusCode::UNAUTHORIZED)
    );
}

#[tokio::test]
async fn the_page_asks_for_the_socket_that_there_is() {
    let site = Site::start();
    let page = Client::at(site.address).get("/").await;
    assert!(page.text().contains("/socket`"));
    assert!(!page.sets_cookie());
}
