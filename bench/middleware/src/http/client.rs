//! Clients that cost little: one request is written, its answer is read, and so on.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use work::{Outcome, Round, Size};

use super::CONNECTIONS;
use crate::request::Work;

/// A multiple of the connections is taken of these.
const SESSIONS: usize = 1_000;
/// What a server without sessions is sent.
const NOBODY: &str = "id=0123456789012345678901234567890123456789";

/// The clients of one server.
pub struct Client {
    port: u16,
    has_sessions: bool,
    cookies: Vec<String>,
    most: usize,
}

impl Client {
    /// Makes sessions, if the server has any, and sees that they work.
    pub(crate) async fn new(port: u16, has_sessions: bool, size: Size) -> Outcome<Self> {
        let mut connection = Connection::open(port).await?;
        let mut cookies = Vec::new();
        for _ in 0..SESSIONS {
            let answer = connection.ask(&head(Work::Fill, None)).await?;
            cookies.push(match has_sessions {
                true => answer.cookie().ok_or("a new session sets a cookie")?,
                false => NOBODY.to_owned(),
            });
        }
        if has_sessions {
            let written = head(Work::ReadAndWrite, Some(&cookies[0]));
            let written = connection.ask(&written).await?;
            let signed_in = connection
                .ask(&head(Work::SignIn, Some(&cookies[0])))
                .await?;
            let old = std::mem::take(&mut cookies[0]);
            cookies[0] = signed_in.cookie().ok_or("a sign-in sets a cookie")?;
            let read = connection.ask(&head(Work::Read, Some(&cookies[0]))).await?;
            let other = connection.ask(&head(Work::Read, Some(&cookies[1]))).await?;
            if signed_in.body != read.body || written.body == read.body || read.body == other.body {
                return Err("what was written is not what is read".into());
            }
            if old == cookies[0] {
                return Err("a sign-in keeps the id".into());
            }
        }
        Ok(Self {
            port,
            has_sessions,
            cookies,
            most: size.new_ones() / CONNECTIONS,
        })
    }

    pub(crate) async fn round(&mut self, work: Work, time: Duration) -> Outcome<Round> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(self.port).await?);
        }
        let share = self.cookies.len() / CONNECTIONS;
        let mut cookies = std::mem::take(&mut self.cookies).into_iter();
        let began = Instant::now();
        let mut tasks = Vec::new();
        for connection in connections {
            let user = User {
                connection,
                cookies: cookies.by_ref().take(share).collect(),
                work,
                follows: self.has_sessions && work == Work::SignIn,
            };
            let most = if work.makes() { self.most } else { usize::MAX };
            tasks.push(tokio::spawn(user.run(began + time, most)));
        }
        let mut times = Vec::new();
        self.cookies.extend(cookies);
        for task in tasks {
            let (took, cookies) = task.await??;
            times.extend(took);
            self.cookies.extend(cookies);
        }
        Round::of(times, began.elapsed())
    }
}

/// One connection, with sessions that no other one has.
struct User {
    connection: Connection,
    cookies: Vec<String>,
    work: Work,
    /// Whether each answer has the cookie that is to be sent from then on.
    follows: bool,
}

impl User {
    /// How long requests took, and the cookies as they are now.
    async fn run(mut self, until: Instant, most: usize) -> Outcome<(Vec<Duration>, Vec<String>)> {
        let mut heads: Vec<_> = (self.cookies.iter())
            .map(|cookie| head(self.work, Some(cookie).filter(|_| !self.work.makes())))
            .collect();
        let mut times = Vec::new();
        let places = heads.len();
        for n in (0..places).cycle().take(most) {
            let began = Instant::now();
            if began >= until {
                break;
            }
            if self.follows {
                let answer = self.connection.ask(&heads[n]).await?;
                times.push(began.elapsed());
                self.cookies[n] = answer.cookie().ok_or("a sign-in sets a cookie")?;
                heads[n] = head(self.work, Some(&self.cookies[n]));
            } else {
                self.connection.exchange(&heads[n]).await?;
                times.push(began.elapsed());
            }
        }
        Ok((times, self.cookies))
    }
}

fn head(work: Work, cookie: Option<&String>) -> Vec<u8> {
    let path = work.path();
    let cookie = cookie.map_or_else(String::new, |cookie| format!("cookie: {cookie}\r\n"));
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{cookie}\r\n").into_bytes()
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Name and value of the first cookie that is set.
    fn cookie(&self) -> Option<String> {
        let line = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))?;
        line.split(';').next().map(str::to_owned)
    }
}

impl Connection {
    async fn open(port: u16) -> Outcome<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let read = Vec::with_capacity(4096);
        Ok(Self { stream, read })
    }

    async fn ask(&mut self, head: &[u8]) -> Outcome<Answer> {
        let at = self.exchange(head).await?;
        Ok(Answer {
            head: String::from_utf8(self.read[..at].to_vec())?,
            body: self.read[at..].to_vec(),
        })
    }

    /// Reads the answer in full, and gives where its body begins.
    async fn exchange(&mut self, head: &[u8]) -> Outcome<usize> {
        self.stream.write_all(head).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the server has closed a connection".into());
            }
            if let Some(at) = end_of_head(&self.read)
                && self.read.len() >= at + length(&self.read[..at])?
            {
                return Ok(at);
            }
        }
    }
}

fn end_of_head(read: &[u8]) -> Option<usize> {
    read.windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The length of the body, if the answer is a good one.
fn length(head: &[u8]) -> Outcome<usize> {
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err("a request has failed".into());
    }
    let name = b"content-length: ";
    let at = head.windows(name.len()).position(|part| part == name);
    let at = at.ok_or("an answer without a length")? + name.len();
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}
