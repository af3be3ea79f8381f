//! A server, on one thread.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::Request as AxumRequest;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tower_sessions::Session;
use work::{Outcome, Size};

use super::Site as Server;
use crate::peers::{ours, tower_sessions::v14};
use crate::request::Work;
use crate::site::{Site, bare};

/// Says its port, and serves until its standard input ends.
pub async fn serve(server: Server, size: Size) -> Outcome<()> {
    let site = Site::new(size);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let serving = async {
        match server {
            Server::HyperBare => accept(listener, service_fn(ours::bare)).await,
            Server::HyperObsession => {
                let inner = service_fn(move |request| ours::handler(request, site));
                accept(listener, ours::layer().layer(inner)).await
            }
            Server::AxumBare => {
                let handler = |request: AxumRequest| async move { bare(request.uri().path()) };
                accept(listener, TowerToHyperService::new(routes(|| get(handler)))).await
            }
            Server::AxumTower => {
                let handler = move |session: Session, request: AxumRequest| async move {
                    site.answer(request.uri().path(), Some(session))
                        .await
                        .into_response()
                };
                let app = routes(|| get(handler)).layer(v14::layer());
                accept(listener, TowerToHyperService::new(app)).await
            }
        }
    };
    let mut nothing = [0];
    tokio::select! {
        failed = serving => failed,
        _ = async { tokio::io::stdin().read(&mut nothing).await } => Ok(()),
    }
}

fn routes(method: impl Fn() -> axum::routing::MethodRouter) -> Router {
    Work::ALL
        .into_iter()
        .fold(Router::new(), |app, work| app.route(work.path(), method()))
}

async fn accept<S, B>(listener: TcpListener, service: S) -> Outcome<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(connection);
    }
}
