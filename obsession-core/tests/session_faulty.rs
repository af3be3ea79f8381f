//! Many requests at once over a store that fails in every way. Each leaves a marker of its own, and
//! is told whether that was written: what was acknowledged is there once, what was refused is not
//! there, and what is unknown is there at most once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "session_faulty/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use common::{Chance, Fault, NOW, saved};
use obsession_core::{
    ClientAction, Clock, Effect, Error, FileStore, ManualClock, MemoryStore, Record, Session,
    SessionId, SessionKey, SessionStore,
};
use tokio::time::Instant;
use world::{CLIENTS, Fate, Marker, Request, World, now};

const WORKERS: u64 = 8;
const DEADLINE: Duration = Duration::from_millis(50);

impl<S: SessionStore + Clone> World<S> {
    async fn request(self: Arc<Self>, number: u64, chance: &mut Chance) {
        let client = usize::try_from(chance.below(CLIENTS as u64)).unwrap();
        let (token, steps) = {
            let ledger = self.ledger();
            (ledger.clients[client].clone(), ledger.steps)
        };
        let session = self.manager.open(token.clone());
        let request = Request {
            number,
            client,
            token,
            session,
            steps,
        };
        if chance.below(4) == 0 {
            self.clock
                .advance(Duration::from_millis(chance.below(3000)));
        }
        if self.instant && chance.below(400) == 0 {
            self.expire_all(&request);
        }
        if let Some(found) = self.look(&request).await {
            let kind = chance.below(16);
            match (found, &request.token) {
                (true, Some(token)) if kind == 0 => self.delete(&request, token.key()).await,
                (true, _) if kind < 3 => {
                    let finished = request.session.finish(true).await;
                    assert_eq!(finished.unwrap(), ClientAction::Keep, "it only looked");
                    self.tell(&request, "looked");
                }
                _ => self.change(&request, found, kind, chance).await,
            }
        }
        let key = request.token.as_ref().map(SessionId::key);
        if let Some(key) = key.filter(|_| self.instant && chance.below(8) == 0) {
            now(self.audit(key));
        }
    }

    /// Whether there is a session. A failure is never "no".
    async fn look(&self, request: &Request) -> Option<bool> {
        let Request { token, session, .. } = request;
        let known = token
            .as_ref()
            .map(|token| self.know(token.key(), |known| known.clone()));
        let looked = session.info().await;
        match (&looked, token) {
            (Err(error), _) => {
                let what = match error {
                    Error::Store(error) if error.effect() == Effect::NotApplied => "load failed",
                    Error::Corrupt { .. } => "load mixed up",
                    error => panic!("a load: {error:?}"),
                };
                self.tell(request, what);
                let finished = session.finish(true).await;
                assert_eq!(finished.unwrap(), ClientAction::Keep);
                return None;
            }
            (Ok(Some(info)), Some(token)) => {
                assert!(
                    self.clock.now() < info.expires_at,
                    "served after its deadline"
                );
                let known = known.unwrap();
                assert!(!known.over, "an ended session was found");
                assert!(!known.dead.contains(token), "a replaced token was good");
                let owner = session.get::<usize>("client").await.unwrap();
                assert_eq!(owner, Some(request.client), "another's session");
            }
            (Ok(None), Some(token)) => {
                // What does not load will never load again, so it must not do so now.
                let again = self.others.load_id(token.clone()).await.unwrap();
                assert!(again.is_none(), "it was there all along");
                self.tell(request, "not found");
            }
            (found, None) => assert!(found.as_ref().unwrap().is_none()),
        }
        Some(looked.unwrap().is_some())
    }

    async fn delete(&self, request: &Request, key: SessionKey) {
        if self.instant {
            now(self.audit(key));
        }
        self.know(key, |known| known.ends += 1);
        match request.session.delete().await {
            Ok(()) => {
                self.know(key, |known| known.over = true);
                let left = self.store.inner().load(&key).await.unwrap();
                assert!(left.is_none(), "it was deleted");
                self.tell(request, "deleted");
            }
            Err(Error::Store(error)) if error.effect() == Effect::Unknown => {
                self.tell(request, "delete unknown");
            }
            Err(Error::Store(_)) => {
                self.know(key, |known| known.ends -= 1);
                self.tell(request, "delete refused");
            }
            Err(error) => panic!("a delete: {error:?}"),
        }
        let finished = request.session.finish(true).await.unwrap();
        assert!(!matches!(finished, ClientAction::Set { .. }));
        self.answer(request, finished);
    }

    async fn change(
        self: &Arc<Self>,
        request: &Request,
        found: bool,
        kind: u64,
        chance: &mut Chance,
    ) {
        let Request {
            number, session, ..
        } = request;
        let listed = chance.below(2) == 0;
        if self.mark(session, *number, listed).await.is_err() {
            // Another request has replaced its token, and it is told to go away.
            self.tell(request, "late");
            assert_eq!(session.finish(true).await.unwrap(), ClientAction::Keep);
            return self.answer(request, ClientAction::Clear);
        }
        if !found {
            session.insert("client", &request.client).unwrap();
        }
        match kind {
            3 | 4 if found => session.cycle().unwrap(),
            5 if found => session.sign_in("zoë").unwrap(),
            6 if found => self.plan_rival(request),
            _ => {}
        }
        let id = session.id().await.unwrap().unwrap();
        self.know(id.key(), |known| {
            if !known.tokens.contains(&id) {
                known.tokens.push(id.clone());
            }
            let fate = Fate::Unknown;
            known.markers.push(Marker {
                number: *number,
                listed,
                fate,
            });
        });
        let mut fate = None;
        if chance.below(3) == 0 {
            fate = Some(match session.save().await {
                Ok(()) => Fate::Applied,
                Err(error) => self.failed(request, &error),
            });
        }
        let finished = session.finish(true).await;
        let dropped = session.activity().dropped;
        let fate = match (&finished, fate) {
            (_, Some(Fate::Applied)) => Fate::Applied,
            (Ok(_), Some(fate)) if dropped => fate,
            (Ok(_), None) if dropped => self.failed(request, &Error::Ended),
            (Ok(_), _) => Fate::Applied,
            (Err(error), _) => self.failed(request, error),
        };
        let action = finished.unwrap_or_else(|_| session.acknowledged());
        self.settle(request, &id, found, fate, &action);
        self.answer(request, action);
    }

    /// Leaves the marker of this request.
    async fn mark(&self, session: &Session, number: u64, listed: bool) -> Result<(), Error> {
        if listed && number.is_multiple_of(4) {
            // It can not be made again on what another request has made of it.
            if let Some(mut list) = session.get_mut::<Vec<u64>>("list").await? {
                list.push(number);
                return Ok(());
            }
        }
        if listed {
            let push = move |list: &mut Vec<u64>| list.push(number);
            session.update("list", push).await
        } else {
            session.insert(&format!("own {number}"), &number)
        }
    }

    /// Another process writes to this session right before the next call, whosever that is.
    fn plan_rival(self: &Arc<Self>, request: &Request) {
        let token = request.token.clone().unwrap();
        let (number, listed) = (request.number + 500, true);
        let marker = Marker {
            number,
            listed,
            fate: Fate::Unknown,
        };
        self.know(token.key(), |known| known.markers.push(marker));
        let rival = Arc::clone(self);
        self.store.plan([Fault::behind(async move {
            let session = rival.others.open(Some(token.clone()));
            let left = rival.mark(&session, number, listed).await;
            let found = session.info().await.unwrap().is_some();
            if left.is_ok() && found {
                let saved = session.save().await;
                let fate = saved.map_or(Fate::NotApplied, |()| Fate::Applied);
                rival.know(token.key(), |known| known.decide(number, fate));
            }
        })]);
    }

    /// What a save that failed with this has done.
    fn failed(&self, request: &Request, error: &Error) -> Fate {
        let (what, fate) = match error {
            Error::Store(error) if error.effect() == Effect::Unknown => ("unknown", Fate::Unknown),
            Error::Store(_) => ("not applied", Fate::NotApplied),
            Error::Ended => ("dropped", Fate::NotApplied),
            Error::Conflict => ("conflict", Fate::NotApplied),
            error => panic!("a save: {error:?}"),
        };
        self.tell(request, what);
        fate
    }
}

fn faults(theirs: Record, instant: bool) -> Vec<Fault> {
    let mut faults = vec![
        Fault::Refuse,
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::LoseAnswer,
        Fault::Delay(DEADLINE / 10),
        Fault::Delay(DEADLINE * 9 / 10),
        Fault::Hang,
        Fault::HangAfter,
        Fault::Answer(theirs),
    ];
    // Were others to write in between, the second answer would be a conflict with the first.
    faults.extend(instant.then_some(Fault::Repeat));
    faults
}

/// Serves `each` requests by every worker, and looks at all that is stored in the end.
async fn round<S: SessionStore + Clone>(world: Arc<World<S>>, seed: u64, each: u64) {
    if seed.is_multiple_of(2) {
        world.store.set_always(Fault::Yield);
    }
    let theirs = world.others.open(None);
    theirs.insert("client", &CLIENTS).unwrap();
    let key = saved(&theirs).await.key();
    let theirs = world.store.inner().load(&key).await.unwrap().unwrap();
    let one_in = usize::try_from(2 + seed % 7).unwrap();
    world
        .store
        .set_random(seed, one_in, faults(theirs, world.instant));
    let work = |worker| {
        let world = Arc::clone(&world);
        let mut chance = Chance(seed * WORKERS + worker);
        tokio::spawn(async move {
            for n in 0..each {
                let number = worker * 1000 + n;
                let begun = Instant::now();
                Arc::clone(&world).request(number, &mut chance).await;
                // A look, a save and the end of the request, and what a pause adds.
                let took = begun.elapsed();
                assert!(took < DEADLINE * 5 || !world.instant, "{took:?}");
            }
        })
    };
    let workers: Vec<_> = (0..WORKERS).map(work).collect();
    for worker in workers {
        if let Err(error) = worker.await {
            resume_unwind(error.into_panic());
        }
    }
    let keys: Vec<_> = world.ledger().sessions.keys().copied().collect();
    for key in keys {
        world.audit(key).await;
    }
}

/// Counts of what requests were told, over all rounds. Time passes at once where all wait.
fn rounds<S: SessionStore + Clone>(
    seeds: std::ops::Range<u64>,
    each: u64,
    world: impl AsyncFn() -> World<S>,
) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for seed in seeds {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let world = Arc::new(runtime.block_on(world()));
        let all = || runtime.block_on(round(Arc::clone(&world), seed, each));
        if let Err(failure) = catch_unwind(AssertUnwindSafe(all)) {
            let story: Vec<_> = world.ledger().story.drain(..).collect();
            eprintln!("seed {seed}, after\n{}", story.join("\n"));
            resume_unwind(failure);
        }
        for (what, count) in &world.ledger().counts {
            *counts.entry(*what).or_default() += count;
        }
        *counts.entry("requests").or_default() += WORKERS * each;
    }
    println!("{counts:#?}");
    counts
}

#[test]
fn what_requests_were_told_is_true_of_the_memory_store() {
    let counts = rounds(0..100, 25, async || {
        let clock = Arc::new(ManualClock::new(NOW));
        let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
        World::new(store, clock, true)
    });
    for what in [
        "applied",
        "conflict",
        "created",
        "cycled",
        "delete refused",
        "delete unknown",
        "deleted",
        "dropped",
        "expired all",
        "late",
        "load failed",
        "load mixed up",
        "looked",
        "not applied",
        "not found",
        "replayed",
        "unknown",
    ] {
        assert!(counts.contains_key(what), "never met: {what}");
    }
}

#[test]
fn what_requests_were_told_is_true_of_the_file_store() {
    let folder = tempfile::tempdir().unwrap();
    let counts = rounds(1000..1004, 25, async || {
        let clock = Arc::new(ManualClock::new(NOW));
        let store = FileStore::builder(folder.path()).clock(Arc::clone(&clock));
        World::new(store.open().await.unwrap(), clock, false)
    });
    assert!(counts.contains_key("applied"));
}
