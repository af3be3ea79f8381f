//! The page.

use std::fmt::Write;

use obsession_core::{Activity, SessionInfo, Timestamp};

use crate::routes::Contents;

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
section { border-top: 1px solid #ddd; padding-bottom: 1rem } form { display: inline; margin-left: .4rem }
.row > form:first-child { margin-left: 0 } .row { margin: .5rem 0 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; white-space: nowrap; padding: .2rem .6rem .2rem 0; font-weight: normal }
th { color: #666; font-size: .85rem } code { background: #f3f3f3; padding: 0 .25rem }
input, button { font: inherit; padding: .2rem .6rem } .did { background: #eef6ee; padding: .4rem .8rem }
.empty { color: #777 }";

/// What a request did, in words that may stand in a query.
pub(crate) fn words(activity: Activity) -> Vec<&'static str> {
    [
        (activity.loaded, "loaded"),
        (activity.created, "created"),
        (activity.written > 0, "written"),
        (activity.cycled, "cycled"),
        (activity.deleted, "deleted"),
        (activity.replays > 0, "replayed"),
        (
            activity.created || activity.cycled || activity.deleted,
            "cookie",
        ),
    ]
    .into_iter()
    .filter_map(|(did, word)| did.then_some(word))
    .collect()
}

fn explain(word: &str) -> Option<&'static str> {
    Some(match word {
        "loaded" => "the session was loaded, once",
        "created" => "a session was made",
        "written" => "it was written, once, with everything that changed",
        "cycled" => "its token was replaced, and the old one is dead",
        "deleted" => "the session was deleted",
        "ended" => "the others you chose were ended, and their tokens are dead",
        "replayed" => "another request was first, so the change was made again on the newer record",
        "cookie" => "a cookie was sent",
        _ => return None,
    })
}

pub(crate) fn render(
    store: &str,
    contents: Option<&Contents>,
    devices: &[SessionInfo],
    did: &str,
    activity: Activity,
) -> String {
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>obsession</title>\
         <meta name=viewport content='width=device-width'><style>{STYLE}</style>\
         <h1>obsession: a session you can see</h1>"
    );
    // Writing to a String does not fail.
    let _ = body(&mut page, store, contents, devices, did, activity);
    page
}

fn body(
    page: &mut String,
    store: &str,
    contents: Option<&Contents>,
    devices: &[SessionInfo],
    did: &str,
    activity: Activity,
) -> std::fmt::Result {
    // Only words of our own are shown again, whatever stands in the query.
    let done: Vec<_> = did.split(['+', ' ']).filter_map(explain).collect();
    if !done.is_empty() {
        writeln!(
            page,
            "<p class=did>Your last click: {}.</p>",
            done.join("; ")
        )?;
    }
    let user = contents.and_then(|contents| contents.info.subject.as_deref());
    writeln!(page, "<section><h2>You</h2>")?;
    match user {
        Some(user) => writeln!(
            page,
            "<div class=row>Signed in as <b>{}</b>. {}</div>",
            escape(user),
            button("/sign-out", "Sign out")
        )?,
        None => writeln!(
            page,
            "<div class=row>Not signed in. <form method=post action=/sign-in>\
             <input name=user placeholder='a name' required maxlength=64 aria-label='Name'> \
             <button>Sign in</button></form></div>"
        )?,
    }
    writeln!(page, "</section><section><h2>Visits</h2>")?;
    let visits = contents.map_or(0, |contents| contents.visits);
    writeln!(
        page,
        "<div class=row>Counted so far: <b>{visits}</b>. {}</div>",
        button("/visit", "Count a visit")
    )?;

    writeln!(page, "</section><section><h2>Cart</h2>")?;
    match contents.map_or(&[][..], |contents| &contents.cart) {
        [] => writeln!(page, "<p class=empty>Nothing in it yet.</p>")?,
        items => {
            let items = items.iter().map(|item| format!("<li>{}", escape(item)));
            writeln!(page, "<ul>{}</ul>", items.collect::<String>())?;
        }
    }
    writeln!(
        page,
        "<div class=row><form method=post action=/cart><input name=item placeholder='an item' required \
         maxlength=200 aria-label='Item'> <button>Put it in</button></form></div>"
    )?;
    if let Some(contents) = contents.filter(|contents| !contents.notes.is_empty()) {
        writeln!(page, "</section><section><h2>Notes</h2><table>")?;
        for (name, text) in &contents.notes {
            writeln!(page, "<tr><th>{}<td>{}", escape(name), escape(text))?;
        }
        writeln!(page, "</table>")?;
    }
    if !devices.is_empty() {
        list_devices(page, contents, devices)?;
    }
    writeln!(page, "</section><section><h2>This request</h2><ul>")?;
    match contents {
        Some(contents) => writeln!(
            page,
            "<li>the session was {}<li>its key is <code>{}</code>, which stays when the token cycles\
             <li>it ends at {} unless it is used before",
            if activity.loaded {
                "loaded, once"
            } else {
                "not loaded"
            },
            contents.info.key,
            utc(contents.info.expires_at)
        )?,
        None => writeln!(
            page,
            "<li>there is no session: nothing was stored, and no cookie is sent until there is \
             something to remember"
        )?,
    }
    writeln!(
        page,
        "<li>showing it writes nothing, unless its deadline is due to move, and sends no cookie<li>sessions are kept in {}",
        escape(store)
    )?;
    writeln!(page, "</ul></section>")?;
    if contents.is_some() {
        // The page goes with the session, wherever that is ended.
        writeln!(
            page,
            "<script type=module>new EventSource('/events').addEventListener('over', \
             event => {{ event.target.close(); location.reload() }})</script>"
        )?;
    }
    writeln!(page, "</html>")
}

fn list_devices(
    page: &mut String,
    contents: Option<&Contents>,
    devices: &[SessionInfo],
) -> std::fmt::Result {
    writeln!(
        page,
        "</section><section><h2>Your devices</h2>\
         <table><tr><th>Session<th>Signed in<th>Last seen<th>"
    )?;
    let current = contents.map(|contents| contents.info.key);
    for device in devices {
        let action = format!("/devices/{}/sign-out", device.key);
        writeln!(
            page,
            "<tr><td><code>{}</code>{}<td>{}<td>{}<td>{}",
            device.key,
            if Some(device.key) == current {
                " (this one)"
            } else {
                ""
            },
            utc(device.created_at),
            utc(device.last_seen),
            button(&action, "Sign out")
        )?;
    }
    writeln!(
        page,
        "</table><div class=row>{}</div>",
        button("/devices/sign-out-others", "Sign out all others")
    )
}

fn button(action: &str, label: &str) -> String {
    format!("<form method=post action='{action}'><button>{label}</button></form>")
}

fn utc(at: Timestamp) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(at.as_millis()));
    at.map_or_else(String::new, |at| {
        humantime::format_rfc3339_seconds(at)
            .to_string()
            .replace('T', " ")
            .replace('Z', " UTC")
    })
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
