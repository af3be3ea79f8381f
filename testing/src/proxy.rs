//! A network that misbehaves between a client and a server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a [`Proxy`] does with what it carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Carries it.
    Pass,
    /// Carries it so much later, in each direction.
    Delay(Duration),
    /// Carries single bytes, each in a packet of its own.
    Slice,
    /// Takes everything and carries nothing, as a peer does whose machine is gone.
    HalfOpen,
    /// Carries questions, and cuts the connection instead of carrying the answer.
    CutAnswers,
    /// Takes no connection, and cuts those that are there.
    Refuse,
}

/// Carries bytes between clients and a server on this machine.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of the server on this port. It ends with this value.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub async fn start(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let modes = Arc::clone(&mode);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if *modes.borrow() == Mode::Refuse {
                    continue;
                }
                connections.spawn(carry(client, server, modes.subscribe()));
            }
        });
        Ok(Self {
            address,
            mode,
            task,
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Does this from now on, with the connections that are there as well.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, server: u16, modes: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let mut cut = modes.clone();
    // Whichever ends first, both sockets are closed.
    tokio::select! {
        () = pump(from_client, to_server, modes.clone(), false) => {}
        () = pump(from_server, to_client, modes, true) => {}
        _ = cut.wait_for(|mode| *mode == Mode::Refuse) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    modes: watch::Receiver<Mode>,
    answers: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let mode = *modes.borrow();
        let step = match mode {
            Mode::Delay(by) => {
                tokio::time::sleep(by).await;
                n
            }
            Mode::Slice => 1,
            Mode::HalfOpen => continue,
            Mode::CutAnswers if answers => return,
            Mode::Pass | Mode::CutAnswers => n,
            Mode::Refuse => return,
        };
        for part in buffer[..n].chunks(step) {
            if to.write_all(part).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    }
}
