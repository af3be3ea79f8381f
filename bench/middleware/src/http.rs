//! The same requests over HTTP/1.1 with keep-alive, on loopback: servers in processes of their own.

mod client;
mod server;
mod table;

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use work::{Outcome, Round, Size};

pub use client::Client;
pub use server::serve;
pub use table::{HttpRow, chart, print, rows};

use crate::request::Work;

/// What is asked of each server.
pub const WORKS: [(&str, Work); 5] = [
    ("not touched", Work::Untouched),
    ("read", Work::Read),
    ("read + write", Work::ReadAndWrite),
    ("sign-in", Work::SignIn),
    // What adds sessions comes last.
    ("new, all keys", Work::Fill),
];

/// The connections of a round.
pub const CONNECTIONS: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Site {
    HyperBare,
    HyperObsession,
    AxumBare,
    AxumTower,
}

impl Site {
    pub const ALL: [Self; 4] = [
        Self::HyperBare,
        Self::HyperObsession,
        Self::AxumBare,
        Self::AxumTower,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::HyperBare => "hyper",
            Self::HyperObsession => "hyper + obsession",
            Self::AxumBare => "axum",
            Self::AxumTower => "axum + tower-sessions 0.14",
        }
    }

    /// The same server without sessions.
    pub fn bare(self) -> Self {
        match self {
            Self::HyperBare | Self::HyperObsession => Self::HyperBare,
            Self::AxumBare | Self::AxumTower => Self::AxumBare,
        }
    }

    pub fn named(name: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|site| site.name() == name);
        Ok(found.ok_or_else(|| format!("there is no server {name}"))?)
    }
}

/// A server in a process, and its clients in this one.
pub struct Served {
    _server: Child,
    client: Client,
}

impl Served {
    /// Starts this program again, as that server.
    pub async fn start(site: Site, size: Size) -> Outcome<Self> {
        let mut server = Command::new(std::env::current_exe()?)
            .args(["--serve", site.name(), size.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = server.stdout.take().ok_or("no standard output")?;
        let mut said = BufReader::new(said).lines();
        let port = said
            .next_line()
            .await?
            .ok_or("the server has ended")?
            .parse()?;
        let client = Client::new(port, site != site.bare(), size).await?;
        Ok(Self {
            _server: server,
            client,
        })
    }

    pub async fn round(&mut self, work: Work, time: Duration) -> Outcome<Round> {
        self.client.round(work, time).await
    }
}
