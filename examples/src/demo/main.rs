//! A small site with real sessions: `cargo run -p examples`.

mod input;
mod options;
mod page;
mod reply;
mod routes;
mod store;
mod stream;
mod tls;

use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use obsession_hyper::{Cookie, SessionService};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::options::Options;
use crate::routes::App;
use crate::tls::Greeting;

/// How long requests that are under way get to finish when the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Below that, sled logs while it is torn down, at times from a thread that is ending. There is
    // nothing left to format a line with then, and the process would abort instead of stopping.
    let filter = filter.add_directive(Directive::from_str("sled=info").unwrap_or_default());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut message = format!("demo: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                message = format!("{message}: {cause}");
                source = cause.source();
            }
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let greeting = Greeting::of(&options)?;
    let store = store::open(&options).await?;
    let cookie = match &greeting {
        // On this machine alone, so the cookie can not ask for https.
        Greeting::Plain => Cookie::for_development(),
        #[cfg(feature = "tls")]
        Greeting::Tls(_) => Cookie::default(),
    };
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("can not listen on {}: {error}", options.listen))?;
    println!(
        "listening on {}://{}",
        greeting.scheme(),
        listener.local_addr()?
    );
    println!("sessions in {}", store.description);
    println!("stop with Ctrl-C");

    let stop = Arc::new(Notify::new());
    let cleanup = {
        let stop = Arc::clone(&stop);
        let cleanup = store.manager.cleanup();
        tokio::spawn(cleanup.run_until(async move { stop.notified().await }))
    };

    let (stops, stopping) = tokio::sync::watch::channel(false);
    let app = Arc::new(App {
        store: store.description.clone(),
        stopping: stopping.clone(),
    });
    let routes = service_fn(move |request| routes::answer(Arc::clone(&app), request));
    let service = SessionService::new(routes, store.manager.clone(), cookie);
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    let graceful = GracefulShutdown::new();
    let mut told = std::pin::pin!(told_to_stop());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely; some will be free in a moment.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut told => break,
        };
        let (server, service, watcher) = (server.clone(), service.clone(), graceful.watcher());
        let (greeting, mut stopping) = (greeting.clone(), stopping.clone());
        // Each on a task of its own, so that nobody waits for another one's greeting.
        tokio::spawn(async move {
            let greeted = tokio::select! {
                biased;
                greeted = greeting.greet(stream) => greeted,
                _ = stopping.wait_for(|stops| *stops) => return,
            };
            let stream = match greeted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a client was not greeted");
                    return;
                }
            };
            let connection = server.serve_connection(TokioIo::new(stream), service);
            let connection = watcher.watch(connection.into_owned());
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }

    println!("stopping: requests that are under way are finished");
    drop(listener);
    stops.send_replace(true);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests took more than {GRACE:?} and were dropped");
    }
    stop.notify_one();
    let removed = cleanup.await?;
    store.close().await?;
    println!("stopped; {removed} expired sessions were removed on the way");
    Ok(())
}

/// Ctrl-C, or a polite kill.
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
