//! The page.

use std::fmt::Write;

use obsession_core::{Activity, SessionInfo, Timestamp};

use crate::routes::Contents;

/// The field of every form that tells it from one of another site.
pub(crate) const FORM_TOKEN: &str = "form_token";

/// What the page shows.
pub(crate) struct Shown<'a> {
    pub(crate) store: &'a str,
    pub(crate) contents: Option<&'a Contents>,
    pub(crate) devices: &'a [SessionInfo],
    pub(crate) messages: &'a [String],
    /// Words for what the last request did.
    pub(crate) did: &'a str,
    /// What this one did.
    pub(crate) activity: Activity,
    pub(crate) form_token: Option<&'a str>,
}

const STYLE: &str = "
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem; line-height: 1.2 } h2 { font-size: 1.1rem; margin: 0 0 .4rem } ul { margin: 0; padding-left: 1.2rem }
section { border-top: 1px solid #ddd; padding: 1rem 0 } form { display: flex; gap: .4rem }
.row { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center } .row + ul, ul + .row, p + .row { margin-top: .6rem }
.devices { list-style: none; padding: 0 } .devices li { display: flex; justify-content: space-between; align-items: center; gap: .6rem; padding: .4rem 0 }
table { border-collapse: collapse } td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; font-weight: normal; overflow-wrap: anywhere }
th, small, .empty { color: #666 } li, b { overflow-wrap: anywhere } code { background: #f3f3f3; padding: 0 .25rem; overflow-wrap: anywhere } p { margin: 0 0 .6rem }
input, button { font: inherit; padding: .25rem .6rem; border: 1px solid #bbb; border-radius: .3rem; min-width: 0 } input { flex: 1 1 12rem }
button { background: #f6f6f6; cursor: pointer; white-space: nowrap } button:hover { background: #e8e8e8 }
.message, .did { padding: .5rem .8rem; border-radius: .3rem } .message { background: #e7f3e7; font-weight: 600 } .did { background: #f3f3f3 }";

/// The page goes with the session, wherever that is ended. Not while a form of its own is on the way: to
/// reload then would cut off the answer to a sign-in or a sign-out, and lose the cookie in it. A page that
/// the browser kept whole, and shows again on the way back, is asked for anew.
const SCRIPT: &str = "
let leaving = false
addEventListener('submit', () => { leaving = true })
addEventListener('pageshow', event => { if (event.persisted) location.reload() })
const stream = new EventSource('/events')
stream.addEventListener('over', () => { if (!leaving) { stream.close(); location.reload() } })
";

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

pub(crate) fn render(shown: &Shown<'_>) -> String {
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>obsession</title>\
         <meta name=viewport content='width=device-width'><style>{STYLE}</style>\
         <h1>obsession: a session you can see</h1>"
    );
    // Writing to a String does not fail.
    let _ = body(&mut page, shown);
    page
}

fn body(page: &mut String, shown: &Shown<'_>) -> std::fmt::Result {
    for message in shown.messages {
        writeln!(page, "<p class=message role=status>{}</p>", escape(message))?;
    }
    // Only words of our own are shown again, whatever stands in the query.
    let done: Vec<_> = shown.did.split(['+', ' ']).filter_map(explain).collect();
    if !done.is_empty() {
        let done = done.join("; ");
        writeln!(page, "<p class=did>Your last click: {done}.</p>")?;
    }
    you(page, shown)?;
    if !shown.devices.is_empty() {
        devices(page, shown)?;
    }
    things(page, shown)?;
    request(page, shown)?;
    if shown.contents.is_some() {
        writeln!(page, "<script type=module>{SCRIPT}</script>")?;
    }
    writeln!(page, "</html>")
}

fn you(page: &mut String, shown: &Shown<'_>) -> std::fmt::Result {
    let user = shown.contents.and_then(|it| it.info.subject.as_deref());
    writeln!(page, "<section><h2>You</h2><div class=row>")?;
    if let Some(user) = user {
        let form = shown.form("/sign-out", "", "Sign out");
        writeln!(
            page,
            "<span>Signed in as <b>{}</b>.</span> {form}",
            escape(user)
        )?;
    } else {
        let field = "<input name=user placeholder='a name' required maxlength=64 aria-label=Name> ";
        let form = shown.form("/sign-in", field, "Sign in");
        writeln!(page, "<span>Not signed in.</span> {form}")?;
    }
    writeln!(page, "</div></section>")
}

fn things(page: &mut String, shown: &Shown<'_>) -> std::fmt::Result {
    let visits = shown.contents.map_or(0, |contents| contents.visits);
    writeln!(
        page,
        "<section><h2>Visits</h2><div class=row><span>Counted so far: <b>{visits}</b>.</span> {}</div></section>",
        shown.form("/visit", "", "Count a visit")
    )?;
    writeln!(page, "<section><h2>Cart</h2>")?;
    match shown.contents.map_or(&[][..], |contents| &contents.cart) {
        [] => writeln!(page, "<p class=empty>Nothing in it yet.</p>")?,
        items => {
            let items = items.iter().map(|item| format!("<li>{}", escape(item)));
            writeln!(page, "<ul>{}</ul>", items.collect::<String>())?;
        }
    }
    let field = "<input name=item placeholder='an item' required maxlength=200 aria-label=Item> ";
    let form = shown.form("/cart", field, "Put it in");
    writeln!(page, "<div class=row>{form}</div></section>")?;
    let notes = shown.contents.map(|contents| &contents.notes);
    if let Some(notes) = notes.filter(|notes| !notes.is_empty()) {
        writeln!(page, "<section><h2>Notes</h2><table>")?;
        for (name, text) in notes {
            writeln!(page, "<tr><th>{}<td>{}", escape(name), escape(text))?;
        }
        writeln!(page, "</table></section>")?;
    }
    Ok(())
}

fn devices(page: &mut String, shown: &Shown<'_>) -> std::fmt::Result {
    writeln!(page, "<section><h2>Your devices</h2><ul class=devices>")?;
    let current = shown.contents.map(|contents| contents.info.key);
    for device in shown.devices {
        let action = format!("/devices/{}/sign-out", device.key);
        writeln!(
            page,
            "<li><div><code>{}</code>{}<br><small>signed in {}<br>last seen {}</small></div>{}",
            device.key,
            if Some(device.key) == current {
                " (this one)"
            } else {
                ""
            },
            utc(device.created_at),
            utc(device.last_seen),
            shown.form(&action, "", "Sign out")
        )?;
    }
    let all = shown.form("/devices/sign-out-others", "", "Sign out all others");
    writeln!(page, "</ul><div class=row>{all}</div></section>")
}

fn request(page: &mut String, shown: &Shown<'_>) -> std::fmt::Result {
    writeln!(page, "<section><h2>This request</h2><ul>")?;
    match shown.contents {
        Some(contents) => writeln!(
            page,
            "<li>the session was {}<li>its key is <code>{}</code>, which stays when the token cycles\
             <li>it ends at {} unless it is used before",
            if shown.activity.loaded {
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
    let writes = if shown.messages.is_empty() {
        "showing it writes nothing, unless its deadline is due to move"
    } else {
        "the message above was taken from it, so that no other page shows it again; that was a \
         write"
    };
    writeln!(
        page,
        "<li>{writes}<li>no cookie is sent<li>sessions are kept in {}</ul></section>",
        escape(shown.store)
    )
}

impl Shown<'_> {
    /// A form of one button, with a token that pages of other sites do not know.
    fn form(&self, action: &str, fields: &str, label: &str) -> String {
        let token = self.form_token.map_or_else(String::new, |token| {
            format!("<input type=hidden name={FORM_TOKEN} value={token}>")
        });
        format!(
            "<form method=post action='{action}'>{token}{fields}<button>{label}</button></form>"
        )
    }
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
