//! Clients that cost little: one request is written, its answer is read, and so on.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use work::{Outcome, Round};

use super::CONNECTIONS;
use crate::request::Work;

const SESSIONS: usize = 1_000;
const NOBODY: &str = "id=0123456789012345678901234567890123456789";

/// The clients of one server.
pub struct Client {
    port: u16,
    cookies: Arc<[String]>,
}

impl Client {
    /// Makes sessions, if the server has any, and sees that they work.
    pub(crate) async fn new(port: u16, has_sessions: bool) -> Outcome<Self> {
        let mut connection = Connection::open(port).await?;
        let mut cookies = Vec::new();
        for _ in 0..SESSIONS {
            let answer = connection.ask(&head(Work::Fill, NOBODY)).await?;
            cookies.push(match has_sessions {
                true => answer.cookie().ok_or("a new session sets a cookie")?,
                false => NOBODY.to_owned(),
            });
        }
        if has_sessions {
            let written = connection
                .ask(&head(Work::ReadAndWrite, &cookies[0]))
                .await?;
            let read = connection.ask(&head(Work::Read, &cookies[0])).await?;
            let other = connection.ask(&head(Work::Read, &cookies[1])).await?;
            if written.body != read.body || read.body == other.body {
                return Err("what was written is not what is read".into());
            }
        }
        let cookies = cookies.into();
        Ok(Self { port, cookies })
    }

    pub(crate) async fn round(&self, work: Work, time: Duration) -> Outcome<Round> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(self.port).await?);
        }
        let share = self.cookies.len() / CONNECTIONS;
        let began = Instant::now();
        let tasks: Vec<_> = (connections.into_iter().enumerate())
            .map(|(n, connection)| {
                let mine = &self.cookies[n * share..(n + 1) * share];
                let heads = mine.iter().map(|cookie| head(work, cookie)).collect();
                tokio::spawn(connection.run(heads, began + time))
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        Round::of(times, began.elapsed())
    }
}

fn head(work: Work, cookie: &str) -> Vec<u8> {
    let path = work.path();
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n").into_bytes()
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

    async fn run(mut self, heads: Vec<Vec<u8>>, until: Instant) -> Outcome<Vec<Duration>> {
        let mut times = Vec::new();
        for head in heads.iter().cycle() {
            let began = Instant::now();
            if began >= until {
                break;
            }
            self.exchange(head).await?;
            times.push(began.elapsed());
        }
        Ok(times)
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
