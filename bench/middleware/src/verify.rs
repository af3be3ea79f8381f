//! Whether a library does what is measured.

use bytes::Bytes;
use work::{Outcome, Size};

use crate::libraries::Library;
use crate::request::{Ask, KEY, Work};
use crate::server::{Contestant, Told};
use crate::site::turn;

/// An error, unless every kind of request has the effect that its name says.
pub async fn verify(library: Library, size: Size) -> Outcome<()> {
    let mut contestant = library.start(size).await?;
    let checked = if library == library.bare() {
        answers(contestant.as_mut()).await
    } else {
        works(contestant.as_mut(), size).await
    };
    checked.map_err(|error| format!("{}: {error}", library.name()).into())
}

async fn answers(bare: &mut dyn Contestant) -> Outcome<()> {
    for work in Work::ALL {
        let told = bare.tell(&Ask::new(work, None)).await?;
        check(told.ok && told.cookie.is_none(), "an answer")?;
    }
    Ok(())
}

async fn works(library: &mut dyn Contestant, size: Size) -> Outcome<()> {
    let stored = size.values().into_iter().find(|(key, _)| key == KEY);
    let stored = stored.ok_or("the key is not there")?.1;
    let mut value = stored.clone();
    let (first, second) = (make(library).await?, make(library).await?);
    check(first != second, "each session has a cookie of its own")?;

    let told = library
        .tell(&Ask::new(Work::Untouched, Some(&first)))
        .await?;
    check(told.ok, "a request that leaves its session alone")?;
    sees(library, &first, Some(&value)).await?;
    let told = library.tell(&Ask::among_others(Work::Read, &first)).await?;
    check(
        told.ok && told.body == value,
        "what is read with other cookies is what was stored",
    )?;
    let told = library.tell(&Ask::new(Work::Read, None)).await?;
    check(!told.ok, "who has no session reads nothing")?;

    turn(&mut value);
    let told = library
        .tell(&Ask::new(Work::ReadAndWrite, Some(&first)))
        .await?;
    check(told.ok && told.body == value, "a write")?;
    sees(library, &first, Some(&value)).await?;

    turn(&mut value);
    let Told { ok, body, cookie } = library.tell(&Ask::new(Work::SignIn, Some(&first))).await?;
    check(ok && body == value, "a sign-in")?;
    let cookie = cookie.ok_or("a sign-in sets a cookie")?;
    check(cookie != first, "a sign-in changes the id")?;
    sees(library, &cookie, Some(&value)).await?;
    sees(library, &first, None).await?;

    sees(library, &second, Some(&stored)).await?;
    let told = library.tell(&Ask::new(Work::New, None)).await?;
    check(
        told.ok && told.cookie.is_some(),
        "a session of one key has a cookie",
    )
}

/// A new session, and its cookie.
pub async fn make(library: &mut dyn Contestant) -> Outcome<Bytes> {
    let told = library.tell(&Ask::new(Work::Fill, None)).await?;
    check(told.ok, "a new session")?;
    Ok(told.cookie.ok_or("a new session sets a cookie")?)
}

async fn sees(library: &mut dyn Contestant, cookie: &Bytes, value: Option<&str>) -> Outcome<()> {
    let told = library.tell(&Ask::new(Work::Read, Some(cookie))).await?;
    match value {
        Some(value) => check(
            told.ok && told.body == value,
            "what is read is what was stored",
        ),
        None => check(!told.ok, "the old id is dead"),
    }
}

fn check(holds: bool, what: &str) -> Outcome<()> {
    holds.then_some(()).ok_or(format!("not so: {what}").into())
}
