//! No token, no hash of one and no value is shown by `Debug` or stands in an error, an event or the log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};

use common::{Fault, Kept, at, at_with, saved};
use obsession_core::{
    ClientAction, Event, Events, FileStore, MemoryStore, Presented, Record, Session, SessionId,
    SessionIndex, SessionManager, SessionStore, Update,
};

const VALUE: &str = "hunter2, the value";

/// One test at a time: a line of the log that one thread meets while another begins to listen can stay
/// switched off.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What must not be seen: the secret of `id`, the hash in its record, and its value.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn of(id: &SessionId, record: Option<&Record>) -> Self {
        let secret = id.expose().as_bytes()[16..].to_vec();
        let mut secrets = vec![("secret", secret), ("value", VALUE.into())];
        // Format, flags and key come before it.
        secrets.extend(record.map(|record| ("hash", record.body[18..50].to_vec())));
        Self(secrets)
    }

    /// Looks for them in every way in which bytes are printed.
    fn not_in(&self, text: &str) {
        for (kind, bytes) in &self.0 {
            let list = |bytes: &[u8]| {
                let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
                numbers.join(", ")
            };
            let hex = bytes
                .iter()
                .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            // A part of it would be too much as well.
            for part in [list(&bytes[..8]), hex[..16].to_owned()] {
                assert!(!text.contains(&part), "the {kind} is in {text}");
            }
            if let Ok(raw) = str::from_utf8(&bytes[..8]) {
                assert!(!text.contains(raw), "the {kind} is in {text}");
            }
        }
    }

    /// What is shown, in both forms.
    fn shown(&self, value: &dyn Debug) -> String {
        let spread = format!("{value:#?}");
        self.not_in(&spread.replace(",\n", ", ").replace("  ", ""));
        let text = format!("{value:?}");
        self.not_in(&text);
        text
    }
}

/// The control: what is looked for is found.
#[test]
fn a_secret_that_is_shown_is_noticed() {
    let id: SessionId = "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBBBB".parse().unwrap();
    let secrets = Secrets::of(&id, None);
    let planted: [&(dyn Debug + Sync); 4] = [
        &id.expose(),
        &id.expose().as_bytes(),
        &(1, VALUE),
        &VALUE.as_bytes(),
    ];
    for planted in planted {
        let noticed = std::thread::scope(|scope| {
            let looking = scope.spawn(|| secrets.shown(planted));
            looking.join().is_err()
        });
        assert!(noticed, "{planted:?}");
    }
}

async fn all_kinds_of_change(session: &Session) {
    session.insert("value", VALUE).unwrap();
    session
        .get_or_insert_with("other", || VALUE.to_owned())
        .await
        .unwrap();
    let append = |value: &mut String| value.push_str(VALUE);
    session.update("value", append).await.unwrap();
    let mut guard = session.get_mut::<String>("other").await.unwrap().unwrap();
    guard.push_str(VALUE);
    drop(guard);
    session.remove("nothing").unwrap();
    session.cycle().unwrap();
    session.sign_in("user-42").unwrap();
}

#[tokio::test]
async fn no_public_type_shows_a_secret() {
    let _turn = TURN.lock().await;
    let at = at();
    let session = at.manager.open(None);
    all_kinds_of_change(&session).await;
    let id = session.id().await.unwrap().unwrap();
    let secrets = Secrets::of(&id, None);
    let text = secrets.shown(&session);
    assert!(text.contains("insert \"value\""), "{text}");

    assert_eq!(saved(&session).await, id);
    let record = at.record(&id).await.unwrap();
    let secrets = Secrets::of(&id, Some(&record));
    let key = id.key().to_string();
    all_kinds_of_change(&session).await;
    let action = ClientAction::Set {
        id: id.clone(),
        max_age: None,
    };
    let presented = Presented::Id(id.clone());
    let info = session.info().await.unwrap();
    let conflict = Update::Conflict(record.clone());
    let shown: [&dyn Debug; 8] = [
        &session,
        &id,
        &id.key(),
        &action,
        &presented,
        &info,
        &record,
        &conflict,
    ];
    for value in shown {
        let text = secrets.shown(value);
        assert!(text.contains(&key), "the key may be seen: {text}");
    }
    let builder = SessionManager::builder(at.store.inner().clone());
    let opened = at
        .manager
        .open_with(Kept(id.clone(), std::time::Duration::MAX));
    let shown: [&dyn Debug; 8] = [
        &at.manager,
        &builder,
        &at.manager.cleanup(),
        at.store.inner(),
        &MemoryStore::builder(),
        &opened,
        &session.activity(),
        &record.revision,
    ];
    for value in shown {
        secrets.shown(value);
    }
    let folder = tempfile::tempdir().unwrap();
    let files = FileStore::open(folder.path()).await.unwrap();
    let _ = files.create(&record).await.unwrap();
    secrets.shown(&files);
    secrets.shown(&at.store.inner().list("user-42", None, 9).await.unwrap());
}

/// Every error that can be had, with all that caused it. What a serializer says about a value of
/// another type is in `session_values.rs`.
#[tokio::test]
async fn no_error_names_a_secret() {
    let _turn = TURN.lock().await;
    let at = at_with(|builder| builder.max_size(300));
    let session = at.manager.open(None);
    session.insert("value", VALUE).unwrap();
    let id = saved(&session).await;
    let record = at.record(&id).await.unwrap();
    let secrets = Secrets::of(&id, Some(&record));
    let mut errors = Vec::new();

    let open = || at.open(&id);
    at.store.plan([Fault::Refuse]);
    errors.push(open().names().await.unwrap_err());
    let large = open();
    large.insert("value", &VALUE.repeat(100)).unwrap();
    errors.push(large.save().await.unwrap_err());
    errors.push(open().insert("n", &(VALUE, f64::NAN)).unwrap_err());
    errors.push(open().sign_in(&VALUE.repeat(100)).unwrap_err());
    errors.push(at.manager.end_all(VALUE, None).await.unwrap_err());
    let late = open();
    late.insert("late", VALUE).unwrap();
    late.names().await.unwrap();
    let closed = open();
    let _ = closed.finish(true).await.unwrap();
    errors.push(closed.insert("value", VALUE).unwrap_err());
    open().delete().await.unwrap();
    errors.push(late.save().await.unwrap_err());
    let damaged = Record {
        body: record.body[1..].into(),
        ..record
    };
    let _ = at.store.inner().create(&damaged).await.unwrap();
    errors.push(open().names().await.unwrap_err());

    assert_eq!(errors.len(), 8);
    for error in errors {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            secrets.not_in(&format!("{error} / {error:?}"));
            cause = error.source();
        }
    }
    let unparsed = VALUE.parse::<SessionId>().unwrap_err();
    secrets.not_in(&format!("{unparsed} {unparsed:?}"));
}

/// The events and the log of one test.
#[derive(Clone, Debug, Default)]
struct Noted(Arc<Mutex<Vec<u8>>>);

impl Events for Noted {
    fn tell(&self, event: &Event) {
        let event = format!("event: {event:?}\n");
        self.0.lock().unwrap().extend(event.as_bytes());
    }
}

impl io::Write for Noted {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All that is told and logged, at the finest level, of a session that is made, read, written,
/// replayed, cycled, touched, refused, taken over and ended.
#[tokio::test]
async fn no_event_and_no_line_of_the_log_holds_a_secret() {
    let _turn = TURN.lock().await;
    let noted = Noted::default();
    let lines = noted.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || lines.clone())
        .finish();
    let _log = tracing::subscriber::set_default(log);
    let at = at_with(|builder| builder.max_size(900).events(noted.clone()));

    let session = at.manager.open(None);
    all_kinds_of_change(&session).await;
    let first = saved(&session).await;
    let mut secrets = vec![Secrets::of(&first, at.record(&first).await.as_ref())];
    let reader = at.open(&first);
    reader.names().await.unwrap();
    session.cycle().unwrap();
    let second = saved(&session).await;
    secrets.push(Secrets::of(&second, at.record(&second).await.as_ref()));
    reader.insert("value", "late").unwrap();
    let _ = reader.finish(true).await.unwrap();
    let _ = at.open(&first).names().await.unwrap();
    at.pass(2 * 24 * 60 * 60);
    let touches = at.open(&second);
    touches.names().await.unwrap();
    let _ = touches.finish(true).await.unwrap();
    let large = at.open(&second);
    large.insert("value", &VALUE.repeat(100)).unwrap();
    large.finish(true).await.unwrap_err();
    let replays = at.open(&second);
    replays
        .update("value", |v: &mut String| v.push('!'))
        .await
        .unwrap();
    at.store.plan([at.rival(&second, "other")]);
    let _ = replays.finish(true).await.unwrap();
    let failed = at.open(&second);
    failed.insert("value", VALUE).unwrap();
    at.store.set_always(Fault::Refuse);
    failed.finish(true).await.unwrap_err();
    at.store.set_always(Fault::Pass);
    let ends = at.open(&second);
    ends.delete().await.unwrap();
    let _ = ends.finish(true).await.unwrap();
    let _ = at.open(&second).names().await.unwrap();

    let text = String::from_utf8(noted.0.lock().unwrap().clone()).unwrap();
    for secrets in secrets {
        secrets.not_in(&text);
    }
    // What was searched has all of it, and says why.
    let key = second.key().to_string();
    for said in [
        "event: Created",
        "event: SignedIn",
        "event: Cycled",
        "event: Reuse",
        "event: Dropped",
        "event: Ended",
        "event: Unknown",
        "event: Answered",
        "session loaded",
        "session written",
        "insert \"value\"",
        "session touched",
        "changes made again on a newer record",
        "because=\"deleted\"",
        key.as_str(),
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
}
