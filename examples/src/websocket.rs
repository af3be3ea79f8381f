//! A WebSocket that ends with its session: `cargo run -p examples --features websocket --bin websocket`,
//! and two tabs of a browser at the address that it prints.
//!
//! A socket outlives its request, so it holds no session: it watches the one that it was opened with,
//! and opens it anew for each message that changes something.

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use obsession_core::{Error, MemoryStore, SessionId, SessionManager, WatchEnd};
use obsession_hyper::{Cookie, CsrfGuard, CurrentSession, SessionLayer, SessionRejection, Verdict};

const PAGE: &str = include_str!("websocket.html");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let listen = std::env::args().nth(1);
    let listen = listen.as_deref().unwrap_or("127.0.0.1:0");
    // Over https it is `Cookie::default()`.
    let cookie = Cookie::for_development();
    let sessions = SessionLayer::new(SessionManager::new(MemoryStore::new()), cookie);
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/socket", any(socket))
        .layer(sessions);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn sign_in(session: CurrentSession) -> Result<Redirect, SessionRejection> {
    session.sign_in("user-42")?;
    Ok(Redirect::to("/"))
}

async fn sign_out(session: CurrentSession) -> Result<Redirect, SessionRejection> {
    session.delete().await?;
    Ok(Redirect::to("/"))
}

/// The handshake. A browser sends the cookie with it whatever page asked for it, and no rule of
/// origins keeps that page from reading along: whoever has cookies has to look (RFC 6455 10.2).
async fn socket(session: CurrentSession, request: Request) -> Result<Response, SessionRejection> {
    if CsrfGuard::new().check(&request) == Verdict::Refuse {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    let (mut head, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade,
        Err(refused) => return Ok(refused.into_response()),
    };
    let (Some(_), Some(id)) = (session.subject().await?, session.id().await?) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    let (watch, manager) = (session.watch(), session.manager().clone());
    Ok(upgrade.on_upgrade(|socket| talk(socket, watch, manager, id)))
}

/// Until the client leaves or the session is over.
async fn talk(
    mut socket: WebSocket,
    watch: impl Future<Output = WatchEnd>,
    manager: SessionManager,
    id: SessionId,
) {
    let mut over = std::pin::pin!(watch);
    loop {
        let message = tokio::select! {
            // First, so that who was signed out says nothing more.
            biased;
            end = &mut over => return close(socket, reason(end)).await,
            message = socket.recv() => message,
        };
        match message {
            Some(Ok(Message::Text(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            Some(Ok(_)) => continue,
        }
        let answer = match count(&manager, &id).await {
            Ok(Some(messages)) => format!("message {messages}"),
            Ok(None) | Err(Error::Ended) => return close(socket, "ended").await,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "not counted");
                "not counted, please try again".to_owned()
            }
        };
        if socket.send(Message::text(answer)).await.is_err() {
            return;
        }
    }
}

/// One message more of this session, if it is still there.
async fn count(manager: &SessionManager, id: &SessionId) -> Result<Option<u64>, Error> {
    let Some(session) = manager.load_id(id.clone()).await? else {
        return Ok(None);
    };
    session.update("messages", |n: &mut u64| *n += 1).await?;
    session.save().await?;
    session.get("messages").await
}

fn reason(end: WatchEnd) -> &'static str {
    match end {
        WatchEnd::Expired => "expired",
        WatchEnd::OtherSubject => "somebody signed in",
        _ => "ended",
    }
}

async fn close(mut socket: WebSocket, reason: &'static str) {
    let frame = CloseFrame {
        code: close_code::POLICY,
        reason: reason.into(),
    };
    // If the client has gone there is nobody to tell.
    drop(socket.send(Message::Close(Some(frame))).await);
}
