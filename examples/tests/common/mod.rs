//! The demo as a process of its own, and clients that keep its cookie.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test file uses its own part of it, and a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long something may take that a test waits for: much more than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A demo that listens on a free port, killed when it is dropped.
pub(crate) struct Demo {
    child: Child,
    pub(crate) address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    log: watch::Receiver<Vec<u8>>,
    reader: Option<JoinHandle<()>>,
}

impl Demo {
    /// Starts it with this store, and waits until it listens.
    pub(crate) fn start(store: &str) -> Self {
        Self::start_with(store, &[], "info")
    }

    pub(crate) fn start_with(store: &str, options: &[&str], log: &str) -> Self {
        Self::try_start(store, options, log).unwrap_or_else(|log| panic!("no demo: {log}"))
    }

    /// Starts it with more in its environment.
    pub(crate) fn start_in(store: &str, environment: &[(&str, &str)]) -> Self {
        Self::launch(store, &[], "info", environment).unwrap_or_else(|log| panic!("no demo: {log}"))
    }

    /// Starts it, or gives what it said before it ended.
    pub(crate) fn try_start(store: &str, options: &[&str], log: &str) -> Result<Self, String> {
        Self::launch(store, options, log, &[])
    }

    fn launch(
        store: &str,
        options: &[&str],
        log: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
            .env("OBSESSION_LISTEN", "127.0.0.1:0")
            .args(["--store", store])
            .args(options)
            .env("RUST_LOG", log)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (reader, log) = drain(child.stderr.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some((_, address)) = line.trim().split_once("://") else {
            child.wait().unwrap();
            reader.join().unwrap();
            return Err(String::from_utf8(log.borrow().clone()).unwrap());
        };
        Ok(Self {
            address: address.parse().unwrap(),
            child,
            stdout,
            log,
            reader: Some(reader),
        })
    }

    pub(crate) fn client(&self) -> Client {
        Client::at(self.address)
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits until it has logged this.
    pub(crate) async fn logs(&self, text: &str) {
        let mut log = self.log.clone();
        let found = log.wait_for(|log| String::from_utf8_lossy(log).contains(text));
        let found = tokio::time::timeout(PATIENCE, found).await;
        assert!(matches!(found, Ok(Ok(_))), "{text:?} is not logged");
    }

    /// Waits for its end: how it ended, and what it wrote.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<u8>) {
        let status = self.child.wait().unwrap();
        let mut written = Vec::new();
        self.stdout.read_to_end(&mut written).unwrap();
        self.reader.take().unwrap().join().unwrap();
        written.extend(self.log.borrow().iter());
        (status, written)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drain(mut stderr: ChildStderr) -> (JoinHandle<()>, watch::Receiver<Vec<u8>>) {
    let (written, log) = watch::channel(Vec::new());
    let reader = std::thread::spawn(move || {
        let mut part = [0; 8192];
        loop {
            match stderr.read(&mut part).unwrap() {
                0 => break,
                read => written.send_modify(|log| log.extend(&part[..read])),
            }
        }
    });
    (reader, log)
}

/// A browser, as far as cookies go: it keeps the last one that it was sent.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    cookie: Arc<Mutex<Option<String>>>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn sets_cookie(&self) -> bool {
        self.headers.contains_key(SET_COOKIE)
    }
}

impl Client {
    pub(crate) fn at(address: SocketAddr) -> Self {
        let cookie = Arc::default();
        Self { address, cookie }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, "")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(self.request(Method::POST, path, body)).await
    }

    /// Posts a form as a browser does, and wants a page.
    pub(crate) async fn submit(&self, path: &str, form: &str) -> Answer {
        let mut request = self.request(Method::POST, path, form);
        let headers = request.headers_mut();
        let form = "application/x-www-form-urlencoded";
        headers.insert(CONTENT_TYPE, form.parse().unwrap());
        headers.insert(ACCEPT, "text/html".parse().unwrap());
        let origin = format!("http://{}", self.address);
        headers.insert(ORIGIN, origin.parse().unwrap());
        self.send(request).await
    }

    /// What `GET /api/session` says.
    pub(crate) async fn session(&self) -> Value {
        self.get("/api/session").await.json()
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string());
        if let Some(cookie) = self.cookie() {
            request = request.header(COOKIE, format!("other=1; {cookie}"));
        }
        let body = Full::from(Bytes::copy_from_slice(body.as_bytes()));
        request.body(body).unwrap()
    }

    /// Sends a request and keeps the cookie of the answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        for cookie in head.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let forgotten = cookie.to_str()?.contains("Max-Age=0");
            *self.cookie.lock().unwrap() = (!forgotten).then(|| pair.to_owned());
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Opens its stream of events.
    pub(crate) async fn listen(&self) -> Events {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = self.request(Method::GET, "/events", "");
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
        Events {
            body: answer.into_body(),
            read: String::new(),
        }
    }

    /// `name=value`, if it has one.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    pub(crate) fn set_cookie(&self, cookie: Option<String>) {
        *self.cookie.lock().unwrap() = cookie;
    }

    /// Another client that presents the same cookie and keeps its own from then on.
    pub(crate) fn copy(&self) -> Self {
        Self {
            address: self.address,
            cookie: Arc::new(Mutex::new(self.cookie())),
        }
    }

    /// The same client of a server that was started again.
    pub(crate) fn moved(&self, demo: &Demo) -> Self {
        Self {
            address: demo.address,
            cookie: Arc::clone(&self.cookie),
        }
    }
}

/// A stream of events that is open.
pub(crate) struct Events {
    body: Incoming,
    read: String,
}

impl Events {
    /// The next one, or nothing when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(event);
            }
            let frame = self.body.frame().await?.unwrap();
            let part = frame.into_data().unwrap_or_default();
            self.read.push_str(str::from_utf8(&part).unwrap());
        }
    }
}

/// The stores that can be started here, with a folder of their own in `folder`.
pub(crate) fn stores(folder: &Path) -> Vec<String> {
    let mut stores = vec![
        "memory:".to_owned(),
        format!("file:{}", folder.join("files").display()),
    ];
    if cfg!(feature = "sled") {
        stores.push(format!("sled:{}", folder.join("sled").display()));
    }
    if cfg!(feature = "sqlite") {
        stores.push(format!("sqlite:{}", folder.join("sqlite").display()));
    }
    stores
}

/// A visitor who shops, signs in, looks at devices and signs one out; and a demo that is killed. Gives
/// what the second demo has logged.
pub(crate) async fn visit(store: &str) -> String {
    let demo = Demo::start(store);
    let (first, second) = (demo.client(), demo.client());
    assert_eq!(first.post("/visit", "").await.json(), json!({"visits": 1}));
    first.post("/cart", r#"{"item": "quince"}"#).await;
    let anonymous = first.copy();
    for client in [&first, &second] {
        client.submit("/sign-in", "user=zoe").await;
    }
    assert_eq!(anonymous.session().await["key"], Value::Null, "{store}");
    let session = first.session().await;
    assert_eq!(session["cart"], json!(["quince"]), "{store}");
    let devices = first.get("/api/devices").await;
    assert_eq!(
        devices.json()["devices"].as_array().map(Vec::len),
        Some(2),
        "{store}: {}",
        devices.text()
    );
    demo.kill();

    let demo = Demo::start(store);
    let (first, second) = (first.moved(&demo), second.moved(&demo));
    assert_eq!(first.session().await, session, "{store}");
    let key = session["key"].as_str().unwrap();
    let path = format!("/devices/{key}/sign-out");
    assert_eq!(
        second.post(&path, "").await.status,
        StatusCode::OK,
        "{store}"
    );
    assert_eq!(first.session().await["key"], Value::Null, "{store}");
    demo.interrupt();
    let (status, log) = demo.wait();
    assert!(status.success());
    String::from_utf8_lossy(&log).into_owned()
}
