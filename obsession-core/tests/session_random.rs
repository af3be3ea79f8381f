//! Random requests over a store that fails in every way, dropped at every poll, with others writing
//! in between: what was acknowledged is there, and nothing is there twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use common::{At, Chance, Fault, at, saved};
use obsession_core::{ClientAction, Effect, Error, Session, SessionId};

const ROUNDS: u64 = 3_000;

/// What a request has done, and what must come of it.
struct Request {
    session: Session,
    presented: Option<SessionId>,
    names: Vec<String>,
    count: u64,
    subject: Option<String>,
    /// A save that may have been applied was followed by somebody else's: nobody can say what
    /// became of it, and the application was told so.
    doubtful: bool,
    story: Vec<String>,
}

impl Request {
    fn tell(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    /// All that was changed so far is stored under `id`.
    async fn assert_stored(&self, at: &At, id: &SessionId) {
        let stored = at.others.load_id(id.clone()).await.unwrap();
        let stored = stored.unwrap_or_else(|| panic!("a dead token: {:?}", self.story));
        if self.doubtful {
            return;
        }
        for name in &self.names {
            assert!(
                stored.contains(name).await.unwrap(),
                "{name}: {:?}",
                self.story
            );
        }
        let count = stored.get::<u64>("n").await.unwrap().unwrap_or(0);
        assert_eq!(count, self.count, "{:?}", self.story);
        let subject = stored.subject().await.unwrap();
        assert_eq!(
            subject.as_deref(),
            self.subject.as_deref(),
            "{:?}",
            self.story
        );
    }
}

/// Polls `call` to its end, or drops it after a few polls.
async fn perhaps_cut<T>(chance: &mut Chance, call: impl Future<Output = T>) -> Option<T> {
    let polls = if chance.below(3) == 0 {
        chance.below(4)
    } else {
        1000
    };
    let mut call = pin!(call);
    for _ in 0..polls {
        let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
    }
    None
}

async fn round(seed: u64, faults: bool, rivals: bool) {
    let mut chance = Chance(seed);
    let at = at();
    let presented = match chance.below(4) {
        0 => None,
        _ => Some(at.stored().await),
    };
    let mut request = Request {
        session: at.manager.open(presented.clone()),
        presented,
        names: Vec::new(),
        count: 0,
        subject: None,
        doubtful: false,
        story: vec![format!("seed {seed}")],
    };
    for step in 0..=chance.below(8) {
        if faults && chance.below(2) == 0 {
            let (name, fault) = match chance.below(4) {
                0 => ("a call fails", Fault::Refuse),
                1 => ("an answer is lost", Fault::LoseAnswer),
                2 => ("a call is in doubt", Fault::LoseRequest),
                _ => ("a call is slow", Fault::Yield),
            };
            request.tell(name);
            at.store.plan([fault]);
        }
        if act(&at, &mut request, &mut chance, step, rivals)
            .await
            .is_err()
        {
            return;
        }
    }
    finish(&at, request).await;
}

/// Does one thing. An error is one that ends what can be said about the rest.
async fn act(
    at: &At,
    request: &mut Request,
    chance: &mut Chance,
    step: u64,
    rivals: bool,
) -> Result<(), Error> {
    let session = request.session.clone();
    match chance.below(7) {
        0 => {
            let name = format!("k{step}");
            session.insert(&name, &step)?;
            request.tell(format!("insert {name}"));
            request.names.push(name);
        }
        1 => {
            let update = session.update("n", |n: &mut u64| *n += 1);
            if let Some(updated) = perhaps_cut(chance, update).await {
                updated?;
                request.tell("update");
                request.count += 1;
            }
        }
        2 => {
            session.cycle()?;
            request.tell("cycle");
        }
        3 => {
            // One person: another's sign-in would empty the session.
            session.sign_in("zoë")?;
            request.tell("sign in");
            request.subject = Some("zoë".to_owned());
        }
        4 | 5 => {
            let answer = perhaps_cut(chance, session.save()).await;
            request.tell(format!("save {answer:?}"));
            match answer {
                Some(Err(Error::Ended)) => return Err(Error::Ended),
                Some(Ok(())) => {
                    if let Some(id) = session.id().await? {
                        request.assert_stored(at, &id).await;
                    }
                }
                None | Some(Err(_)) => request.doubtful |= rivals,
            }
        }
        _ if rivals => {
            if let Some(id) = session.id().await? {
                let rival = at.other(&id);
                if rival.info().await?.is_some() {
                    rival.update("n", |n: &mut u64| *n += 1).await?;
                    saved(&rival).await;
                    request.count += 1;
                    request.tell("a rival's update");
                }
            }
        }
        _ => {}
    }
    Ok(())
}

async fn finish(at: &At, mut request: Request) {
    let cycled = request.session.activity().cycled;
    let finished = request.session.finish(true).await;
    request.tell(format!("finish {finished:?}"));
    let presented = request.presented.clone();
    match finished {
        Ok(ClientAction::Clear) => panic!("nobody deleted it: {:?}", request.story),
        Ok(ClientAction::Set { id, .. }) => {
            request.assert_stored(at, &id).await;
            if let Some(old) = presented.filter(|old| *old != id) {
                let old = at.names(&old).await;
                assert!(old.is_none(), "two tokens: {:?}", request.story);
            }
        }
        Ok(ClientAction::Keep) => {
            if let Some(id) = presented {
                request.assert_stored(at, &id).await;
                return;
            }
            let nothing =
                request.names.is_empty() && request.count == 0 && request.subject.is_none();
            assert!(nothing || request.doubtful, "untold: {:?}", request.story);
        }
        // What an earlier save has acknowledged is told all the same.
        Err(error) => {
            let not_applied =
                matches!(&error, Error::Store(error) if error.effect() == Effect::NotApplied);
            if let (Some(old), true, false) = (presented, not_applied, cycled)
                && request.session.acknowledged() == ClientAction::Keep
            {
                let old = at.names(&old).await;
                assert!(old.is_some(), "its token is dead: {:?}", request.story);
            }
        }
    }
}

async fn rounds(faults: bool, rivals: bool) {
    for seed in 0..ROUNDS {
        round(seed, faults, rivals).await;
    }
}

#[tokio::test]
async fn without_faults_and_rivals_everything_arrives() {
    rounds(false, false).await;
}

#[tokio::test]
async fn with_faults_everything_acknowledged_arrives_once() {
    rounds(true, false).await;
}

#[tokio::test]
async fn with_rivals_everything_arrives() {
    rounds(false, true).await;
}

#[tokio::test]
async fn with_faults_and_rivals_everything_acknowledged_arrives_once() {
    rounds(true, true).await;
}
