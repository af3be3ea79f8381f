//! What is known of the sessions while requests are served, and whether it is true.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use obsession_core::{
    ClientAction, Lifetime, ManualClock, Session, SessionId, SessionKey, SessionManager,
    SessionStore,
};

use crate::DEADLINE;
use crate::common::Faulty;

pub(crate) const CLIENTS: usize = 3;
const IDLE: Duration = Duration::from_secs(60 * 60);

/// What is known of one session.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// All tokens that may ever have been current.
    pub(crate) tokens: Vec<SessionId>,
    /// Those that an acknowledged cycle has replaced.
    pub(crate) dead: Vec<SessionId>,
    pub(crate) markers: Vec<Marker>,
    /// Its create was acknowledged.
    pub(crate) made: bool,
    /// It has expired, or its delete was acknowledged.
    pub(crate) over: bool,
    /// How many deletes may have been applied.
    pub(crate) ends: u32,
}

#[derive(Clone)]
pub(crate) struct Marker {
    pub(crate) number: u64,
    /// In the list that all share, or under a name of its own.
    pub(crate) listed: bool,
    pub(crate) fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fate {
    Applied,
    NotApplied,
    Unknown,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) sessions: BTreeMap<SessionKey, Known>,
    pub(crate) clients: [Option<SessionId>; CLIENTS],
    /// How often the clock was moved past every deadline.
    pub(crate) steps: u32,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) story: VecDeque<String>,
}

pub(crate) struct World<S> {
    pub(crate) store: Arc<Faulty<S>>,
    pub(crate) manager: SessionManager,
    /// Of another process, whose calls have no faults.
    pub(crate) others: SessionManager,
    pub(crate) clock: Arc<ManualClock>,
    /// The store answers at the first poll, so that a look at it is a look at one instant.
    pub(crate) instant: bool,
    pub(crate) ledger: Mutex<Ledger>,
}

/// One request of a client.
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) client: usize,
    pub(crate) token: Option<SessionId>,
    pub(crate) session: Session,
    pub(crate) steps: u32,
}

impl<S: SessionStore + Clone> World<S> {
    pub(crate) fn new(store: S, clock: Arc<ManualClock>, instant: bool) -> Self {
        let store = Arc::new(Faulty::new(store));
        let lifetime = Lifetime::new(IDLE, IDLE * 9);
        let manager = SessionManager::builder(Arc::clone(&store)).deadline(DEADLINE);
        let others = SessionManager::builder(store.inner().clone());
        let set = |builder: obsession_core::SessionManagerBuilder| {
            let builder = builder.clock(Arc::clone(&clock)).lifetime(lifetime);
            builder.touch_every(Duration::from_secs(1)).build()
        };
        Self {
            manager: set(manager),
            others: set(others),
            store,
            clock,
            instant,
            ledger: Mutex::default(),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what became of a request.
    pub(crate) fn tell(&self, request: &Request, what: &'static str) {
        let (n, client) = (request.number, request.client);
        let key = request.token.as_ref().map(SessionId::key);
        let mut ledger = self.ledger();
        *ledger.counts.entry(what).or_default() += 1;
        if ledger.story.len() == 60 {
            ledger.story.pop_front();
        }
        let line = format!("request {n} of client {client} with {key:?}: {what}");
        ledger.story.push_back(line);
    }

    pub(crate) fn know<R>(&self, key: SessionKey, change: impl FnOnce(&mut Known) -> R) -> R {
        change(self.ledger().sessions.entry(key).or_default())
    }

    /// All that is stored at this instant expires.
    pub(crate) fn expire_all(&self, request: &Request) {
        let keys: Vec<_> = self.ledger().sessions.keys().copied().collect();
        for key in keys {
            now(self.audit(key));
            if now(self.store.inner().load(&key)).unwrap().is_some() {
                self.know(key, |known| known.over = true);
            }
        }
        self.clock.advance(IDLE);
        self.ledger().steps += 1;
        self.tell(request, "expired all");
    }

    /// Notes what a request that changed something was told in the end.
    pub(crate) fn settle(
        &self,
        request: &Request,
        id: &SessionId,
        found: bool,
        fate: Fate,
        action: &ClientAction,
    ) {
        let activity = request.session.activity();
        let expired = self.ledger().steps != request.steps;
        self.know(id.key(), |known| {
            known.decide(request.number, fate);
            if fate == Fate::Applied && !found {
                known.made = true;
                // It may have been prepared before the clock was moved, and be stored after.
                known.ends += u32::from(expired);
            }
            if fate == Fate::Applied && activity.cycled {
                let token = request.token.clone().unwrap();
                assert!(!known.dead.contains(&token), "it was replaced twice");
                known.dead.push(token);
            }
        });
        if fate != Fate::Applied {
            return;
        }
        assert_eq!(activity.created, !found, "{activity:?}");
        if !found {
            assert!(
                expired || matches!(action, ClientAction::Set { .. }),
                "a token nobody knows: {activity:?}"
            );
        }
        if let ClientAction::Set { id: sent, .. } = action {
            assert!(sent == id, "another token than was said");
        }
        self.tell(request, "applied");
        for (so, what) in [
            (activity.created, "created"),
            (activity.cycled, "cycled"),
            (activity.replays > 0, "replayed"),
        ] {
            if so {
                self.tell(request, what);
            }
        }
    }

    /// The client does what it is told.
    pub(crate) fn answer(&self, request: &Request, action: ClientAction) {
        let client = &mut self.ledger().clients[request.client];
        match action {
            ClientAction::Set { id, .. } => *client = Some(id),
            ClientAction::Clear if *client == request.token => *client = None,
            ClientAction::Clear | ClientAction::Keep => {}
        }
    }

    /// Compares what is stored of one session with what its requests were told.
    pub(crate) async fn audit(&self, key: SessionKey) {
        let known = self.know(key, |known| known.clone());
        let mut working = Vec::new();
        for token in &known.tokens {
            if let Some(session) = self.others.load_id(token.clone()).await.unwrap() {
                assert!(!known.dead.contains(token), "{key}: a replaced token works");
                working.push(session);
            }
        }
        assert!(working.len() <= 1, "{key}: {} tokens work", working.len());
        assert!(working.is_empty() || !known.over, "{key}: it was ended");
        let lives = known.made && !known.over && known.ends == 0;
        assert!(!working.is_empty() || !lives, "{key}: it is lost");
        let Some(session) = working.pop() else { return };
        let list: Vec<u64> = session.get("list").await.unwrap().unwrap_or_default();
        for Marker {
            number,
            listed,
            fate,
        } in known.markers
        {
            let there = if listed {
                list.iter().filter(|marker| **marker == number).count()
            } else {
                usize::from(session.contains(&format!("own {number}")).await.unwrap())
            };
            let right = match fate {
                Fate::Applied => there == 1,
                Fate::NotApplied => there == 0,
                Fate::Unknown => there <= 1,
            };
            assert!(
                right,
                "{key}: marker {number} is {fate:?} and there {there} times"
            );
        }
    }
}

impl Known {
    pub(crate) fn decide(&mut self, number: u64, fate: Fate) {
        for marker in &mut self.markers {
            if marker.number == number {
                marker.fate = fate;
            }
        }
    }
}

/// The answer of what needs no waiting.
pub(crate) fn now<T>(call: impl Future<Output = T>) -> T {
    let call = tokio::task::unconstrained(call);
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}
