//! A counter for each visitor on bare hyper: `cargo run -p examples --bin counter`.

use std::error::Error;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, server::conn::http1};
use hyper_util::rt::TokioIo;
use obsession_core::{MemoryStore, Session, SessionManager};
use obsession_hyper::{Cookie, SessionService};
use tokio::net::TcpListener;

type Answer = Result<Response<String>, Box<dyn Error + Send + Sync>>;

async fn count(request: Request<Incoming>) -> Answer {
    let session: &Session = request.extensions().get().ok_or("no session service")?;
    // Two requests at once are both counted: the closure runs again on what the other has written.
    let visits = session
        .update("visits", |n: &mut u64| {
            *n += 1;
            *n
        })
        .await?;
    Ok(Response::new(format!("visits: {visits}\n")))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let manager = SessionManager::new(MemoryStore::new());
    // Plain http on this machine; with TLS, `Cookie::default()` is the right one.
    let service = SessionService::new(service_fn(count), manager, Cookie::for_development());
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 8080))).await?;
    println!("try: curl --cookie-jar jar --cookie jar http://127.0.0.1:8080");
    loop {
        let (stream, _) = listener.accept().await?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}
