//! Who answers what.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, Request, StatusCode};
use obsession_core::{Session, SessionInfo, SessionKey};
use obsession_hyper::{CsrfGuard, Verdict};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::input::{self, Input};
use crate::page::{self, Shown};
use crate::reply::{Failure, Reply, back, events, html, json_reply, text};
use crate::stream::Stream;

const VISITS: &str = "visits";
const CART: &str = "cart";
/// Each note is an entry of its own, so that notes written at the same time do not meet.
const NOTE: &str = "note:";
const MAX_WAIT: Duration = Duration::from_secs(30);
const DEVICES: usize = 100;

/// What the routes know besides the request.
pub(crate) struct App {
    pub(crate) store: String,
    /// Whether the server has been told to stop, which ends streams.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// What a session holds, as the page and the API show it.
pub(crate) struct Contents {
    pub(crate) info: SessionInfo,
    pub(crate) visits: u64,
    pub(crate) cart: Vec<String>,
    pub(crate) notes: BTreeMap<String, String>,
}

pub(crate) async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    Ok(route(&app, request).await.unwrap_or_else(Reply::from))
}

/// What a path asks for.
enum Route<'a> {
    Health,
    Index,
    Show,
    Devices,
    Events,
    Visit,
    Cart,
    SignIn,
    SignOut,
    Note(&'a str),
    SignOutOthers,
    SignOutDevice(&'a str),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        Some(match segments[..] {
            [""] => Self::Index,
            ["healthz"] => Self::Health,
            ["api", "session"] => Self::Show,
            ["api", "devices"] => Self::Devices,
            ["events"] => Self::Events,
            ["visit"] => Self::Visit,
            ["cart"] => Self::Cart,
            ["sign-in"] => Self::SignIn,
            ["sign-out"] => Self::SignOut,
            ["note", name] => Self::Note(name),
            ["devices", "sign-out-others"] => Self::SignOutOthers,
            ["devices", key, "sign-out"] => Self::SignOutDevice(key),
            _ => return None,
        })
    }

    fn check_method(&self, method: &Method) -> Result<(), Failure> {
        let reads = matches!(
            self,
            Self::Health | Self::Index | Self::Show | Self::Devices | Self::Events
        );
        match *method {
            Method::GET | Method::HEAD if reads => Ok(()),
            Method::POST if !reads => Ok(()),
            _ => Err(Failure::method(if reads { "GET" } else { "POST" })),
        }
    }
}

async fn route(app: &App, request: Request<Incoming>) -> Result<Reply, Failure> {
    let uri = request.uri().clone();
    let route = Route::of(uri.path()).ok_or_else(Failure::not_found)?;
    route.check_method(request.method())?;
    let verdict = CsrfGuard::new().check(&request);
    if verdict == Verdict::Refuse {
        return Err(Failure::foreign());
    }
    let query = uri.query().unwrap_or_default();
    let session = request.extensions().get::<Session>().cloned();
    let session = session.ok_or_else(|| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "no session service is in front",
        )
    })?;
    let input = input::read(request).await?;
    // A program's cookie is its own. An old browser may have been made to send its user's, with a form.
    if verdict == Verdict::AskToken && input.wants_page() && session.id().await?.is_some() {
        let token = input.field(page::FORM_TOKEN).unwrap_or_default();
        if !session.accepts_form_token(&token).await? {
            return Err(Failure::foreign());
        }
    }
    let mut reply = go(app, route, &session, &input, query).await?;
    if session.activity().looked {
        // Nobody who goes back after a sign-out is shown it again, and no proxy keeps it.
        let never = HeaderValue::from_static("no-store");
        reply.headers_mut().insert(CACHE_CONTROL, never);
    }
    Ok(reply)
}

async fn go(
    app: &App,
    route: Route<'_>,
    session: &Session,
    input: &Input,
    query: &str,
) -> Result<Reply, Failure> {
    match route {
        Route::Health => {
            // Nobody looks at the session, so it is neither loaded nor made.
            session.mark_untouched("/healthz");
            Ok(text("ok\n"))
        }
        Route::Index => index(app, session, query).await,
        Route::Show => show(session).await,
        Route::Devices => devices(session).await,
        Route::Events => Ok(events(Stream::of(session, app.stopping.clone()))),
        Route::Visit => visit(session, input).await,
        Route::Cart => add_to_cart(session, input).await,
        Route::SignIn => sign_in(session, input).await,
        Route::SignOut => sign_out(session, input).await,
        Route::Note(name) => note(session, input, name, query).await,
        Route::SignOutOthers => sign_out_others(session, input).await,
        Route::SignOutDevice(key) => sign_out_device(session, input, key).await,
    }
}

async fn index(app: &App, session: &Session, query: &str) -> Result<Reply, Failure> {
    let messages = session.take_flashes().await?;
    let contents = contents(session).await?;
    let form_token = session.form_token().await?;
    let devices = match &contents {
        Some(contents) => subject_sessions(session, contents.info.subject.as_deref()).await?,
        None => Vec::new(),
    };
    let did = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "did");
    let did = did.map(|(_, did)| did.into_owned()).unwrap_or_default();
    let page = page::render(&Shown {
        store: &app.store,
        contents: contents.as_ref(),
        devices: &devices,
        messages: &messages,
        did: &did,
        activity: session.activity(),
        form_token: form_token.as_deref(),
    });
    Ok(html(page))
}

async fn show(session: &Session) -> Result<Reply, Failure> {
    let contents = contents(session).await?;
    Ok(json_reply(&match contents {
        Some(Contents {
            info,
            visits,
            cart,
            notes,
        }) => json!({
            "user": info.subject.as_deref(),
            "visits": visits,
            "cart": cart,
            "notes": notes,
            "key": info.key.as_str(),
            "created_at": info.created_at.as_millis(),
            "expires_at": info.expires_at.as_millis(),
        }),
        None => json!({
            "user": null, "visits": null, "cart": null, "notes": null,
            "key": null, "created_at": null, "expires_at": null,
        }),
    }))
}

async fn visit(session: &Session, input: &Input) -> Result<Reply, Failure> {
    session
        .update(VISITS, |visits: &mut u64| *visits += 1)
        .await?;
    // Saved before it is shown: another request may have counted in between.
    session.save().await?;
    let visits = session.get::<u64>(VISITS).await?;
    Ok(done(session, input, &json!({ "visits": visits })))
}

async fn add_to_cart(session: &Session, input: &Input) -> Result<Reply, Failure> {
    let item = input.field("item")?;
    session
        .update(CART, move |cart: &mut Vec<String>| cart.push(item.clone()))
        .await?;
    session.save().await?;
    let cart = session.get::<Vec<String>>(CART).await?;
    Ok(done(session, input, &json!({ "cart": cart })))
}

async fn sign_in(session: &Session, input: &Input) -> Result<Reply, Failure> {
    let user = input.field("user")?;
    session.sign_in(&user)?;
    if input.wants_page() {
        session.flash(format!("Welcome, {user}.")).await?;
    }
    session.save().await?;
    let key = session.key().await?;
    let answer = json!({ "user": user, "key": key.map(|key| key.to_string()) });
    Ok(done(session, input, &answer))
}

async fn sign_out(session: &Session, input: &Input) -> Result<Reply, Failure> {
    session.delete().await?;
    Ok(done(session, input, &json!({ "signed_out": true })))
}

async fn note(session: &Session, input: &Input, name: &str, query: &str) -> Result<Reply, Failure> {
    let name = percent_decode_str(name).decode_utf8();
    let name = name.map_err(|_| Failure::bad_request("the name is not UTF-8"))?;
    if name.is_empty() || name.len() > 64 {
        return Err(Failure::bad_request("a name has 1 to 64 bytes"));
    }
    let wait = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "wait_ms");
    let wait = wait.map_or(Ok(0), |(_, wait)| wait.parse());
    let wait = wait
        .map(Duration::from_millis)
        .ok()
        .filter(|wait| *wait <= MAX_WAIT);
    let wait = wait.ok_or_else(|| {
        Failure::bad_request(format!(
            "wait_ms is a number up to {}",
            MAX_WAIT.as_millis()
        ))
    })?;
    let text = input.text()?;

    session.info().await?;
    tracing::debug!(?wait, "a note waits");
    tokio::time::sleep(wait).await;
    session.insert(&format!("{NOTE}{name}"), text)?;
    session.save().await?;
    Ok(done(session, input, &json!({ "note": name })))
}

async fn sign_out_device(session: &Session, input: &Input, key: &str) -> Result<Reply, Failure> {
    let key: SessionKey = key.parse().map_err(|_| Failure::not_found())?;
    let user = session.require_subject().await?;
    let answer = json!({ "signed_out": key.as_str() });
    if session.key().await? == Some(key) {
        session.delete().await?;
        Ok(done(session, input, &answer))
    } else if session.manager().end(&user, &key).await? {
        done_elsewhere(session, input, 1, &answer).await
    } else {
        Err(Failure::not_found())
    }
}

async fn sign_out_others(session: &Session, input: &Input) -> Result<Reply, Failure> {
    let user = session.require_subject().await?;
    let key = session.key().await?;
    let ended = session.manager().end_all(&user, key.as_ref()).await?;
    done_elsewhere(session, input, ended, &json!({ "signed_out": ended })).await
}

async fn devices(session: &Session) -> Result<Reply, Failure> {
    let subject = session.subject().await?;
    let key = session.key().await?;
    let devices = subject_sessions(session, subject.as_deref()).await?;
    let shown = devices.iter().map(|device| {
        json!({
            "key": device.key.as_str(),
            "created_at": device.created_at.as_millis(),
            "last_seen": device.last_seen.as_millis(),
            "current": Some(device.key) == key,
        })
    });
    Ok(json_reply(&json!({ "devices": shown.collect::<Vec<_>>() })))
}

async fn subject_sessions(
    session: &Session,
    subject: Option<&str>,
) -> Result<Vec<SessionInfo>, Failure> {
    match subject {
        Some(subject) => Ok(session
            .manager()
            .sessions_of(subject, None, DEVICES)
            .await?),
        None => Ok(Vec::new()),
    }
}

async fn contents(session: &Session) -> Result<Option<Contents>, Failure> {
    let Some(info) = session.info().await? else {
        return Ok(None);
    };
    let mut notes = BTreeMap::new();
    for entry in session.names().await? {
        if let Some(name) = entry.strip_prefix(NOTE) {
            let text = session.get(&entry).await?.unwrap_or_default();
            notes.insert(name.to_owned(), text);
        }
    }
    Ok(Some(Contents {
        info,
        visits: session.get(VISITS).await?.unwrap_or_default(),
        cart: session.get(CART).await?.unwrap_or_default(),
        notes,
    }))
}

/// The answer to a change: JSON, or back to the page for a browser's form.
fn done(session: &Session, input: &Input, answer: &Value) -> Reply {
    if input.wants_page() {
        back(&page::words(session.activity()).join("+"))
    } else {
        json_reply(answer)
    }
}

/// The same for the end of sessions on other devices.
async fn done_elsewhere(
    session: &Session,
    input: &Input,
    ended: usize,
    answer: &Value,
) -> Result<Reply, Failure> {
    if !input.wants_page() {
        return Ok(json_reply(answer));
    }
    let message = match ended {
        0 => "There was no other device.".to_owned(),
        1 => "One device was signed out.".to_owned(),
        _ => format!("{ended} devices were signed out."),
    };
    session.flash(message).await?;
    session.save().await?;
    let words = page::words(session.activity()).join("+");
    Ok(back(&format!("{words}+ended")))
}
