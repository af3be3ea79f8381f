//! Sessions on the store when calls of it are lost, doubled or mixed up on their way.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use super::faulty::{Fault, Faulty};
use crate::{ClientAction, Effect, Error, Session, SessionId, SessionManager, SessionStore};

/// Sessions over the store under test, whose calls fail when told to.
struct Sessions<S> {
    store: Arc<Faulty<Arc<S>>>,
    manager: SessionManager,
}

impl<S: SessionStore> Sessions<S> {
    fn of(at: &Fixture<S>) -> Self {
        let store = Arc::new(Faulty::new(Arc::clone(&at.store)));
        let manager = SessionManager::builder(Arc::clone(&store))
            .clock(at.time.clone())
            .deadline(Duration::from_secs(30))
            .build();
        Self { store, manager }
    }

    /// A stored session and its token.
    async fn stored(&self) -> (Session, SessionId) {
        let session = self.manager.open(None);
        session.insert("cart", &["quince"]).expect("insert");
        session.save().await.expect("save");
        let id = session.id().await.expect("id").expect("a stored session");
        self.store.calls();
        (session, id)
    }

    async fn visits(&self, id: &SessionId) -> Option<u64> {
        let session = self.manager.open(Some(id.clone()));
        session.get("visits").await.expect("get")
    }
}

async fn visit(session: &Session) -> Result<(), Error> {
    session.update("visits", |n: &mut u64| *n += 1).await
}

/// Recognised retries: a session's update whose answer was lost counts once and is no conflict.
pub async fn fault_of_an_update_without_an_answer_counts_once<S: SessionStore>(at: Fixture<S>) {
    let at = Sessions::of(&at);
    let (session, id) = at.stored().await;
    for (n, lost) in [(1, Fault::LoseRequest), (2, Fault::LoseAnswer)] {
        visit(&session).await.expect("update");
        at.store.plan([lost]);
        session.save().await.expect("save");
        assert_eq!(at.store.calls(), ["update", "update"]);
        assert_eq!(at.visits(&id).await, Some(n));
        at.store.calls();
    }
    assert_eq!(session.activity().replays, 0);
}

/// Recognised retries: a session whose create was lost on its way there or back is made once.
pub async fn fault_of_a_create_without_an_answer_makes_one_session<S: SessionStore>(
    at: Fixture<S>,
) {
    let at = Sessions::of(&at);
    for lost in [Fault::LoseRequest, Fault::LoseAnswer] {
        let session = at.manager.open(None);
        visit(&session).await.expect("update");
        let promised = session.id().await.expect("id").expect("a new session");
        at.store.plan([lost]);
        let finished = session.finish(true).await.expect("finish");
        assert_eq!(at.store.calls(), ["create", "create"]);
        // Another key would mean another record.
        assert!(matches!(finished, ClientAction::Set { id, .. } if id == promised));
        assert_eq!(at.visits(&promised).await, Some(1));
        at.store.calls();
    }
}

/// No resurrection: a delete whose answer was lost is unknown, and the session is ended.
pub async fn fault_of_a_delete_without_an_answer_ends_the_session<S: SessionStore>(at: Fixture<S>) {
    let at = Sessions::of(&at);
    let (session, id) = at.stored().await;
    let late = at.manager.open(Some(id.clone()));
    visit(&late).await.expect("update");
    at.store.plan([Fault::LoseAnswer]);
    match session.delete().await {
        Err(Error::Store(error)) => assert_eq!(error.effect(), Effect::Unknown),
        other => panic!("the answer was lost, and it was {other:?}"),
    }
    assert!(
        at.manager
            .load_id(id.clone())
            .await
            .expect("load")
            .is_none()
    );
    session.delete().await.expect("the second try");
    assert_eq!(late.finish(true).await.expect("finish"), ClientAction::Keep);
    assert!(at.manager.load_id(id).await.expect("load").is_none());
}

/// Honest: a load that was lost or answered with another's record is an error, never "no session".
pub async fn fault_of_a_load_is_never_no_session<S: SessionStore>(at: Fixture<S>) {
    let at = Sessions::of(&at);
    let ((_, id), (_, theirs)) = (at.stored().await, at.stored().await);
    let theirs = at.store.inner().load(&theirs.key()).await.expect("load");
    for fault in [
        Fault::Refuse,
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Answer(theirs.expect("a record")),
    ] {
        at.store.set_always(fault);
        let session = at.manager.open(Some(id.clone()));
        session.is_empty().await.expect_err("a look");
        let finished = session.finish(true).await.expect("finish");
        assert_eq!(finished, ClientAction::Keep);
    }
    at.store.set_always(Fault::Pass);
    assert!(at.manager.load_id(id).await.expect("load").is_some());
}

/// Recognised retries: a call that is made twice does what it does once.
pub async fn fault_of_calls_made_twice_changes_nothing_more<S: SessionStore>(at: Fixture<S>) {
    let at = Sessions::of(&at);
    at.store.set_always(Fault::Repeat);
    let (session, old) = at.stored().await;
    for n in 1..=3 {
        visit(&session).await.expect("update");
        session.save().await.expect("save");
        assert_eq!(at.visits(&old).await, Some(n));
    }
    session.cycle().expect("cycle");
    session.save().await.expect("save");
    assert_eq!(session.activity().replays, 0);
    let id = session.id().await.expect("id").expect("a stored session");
    assert_eq!(at.visits(&id).await, Some(3));
    assert!(at.manager.load_id(old).await.expect("load").is_none());
    session.delete().await.expect("delete");
    assert!(at.manager.load_id(id).await.expect("load").is_none());
}

/// No lost update: of requests with random faults, each counts as its answer says.
pub async fn fault_of_calls_by_chance_is_told_as_it_is<S: SessionStore>(at: Fixture<S>) {
    const WORKERS: u64 = 4;
    const EACH: u64 = 15;
    let at = Sessions::of(&at);
    let (_, id) = at.stored().await;
    let faults = [
        Fault::Refuse,
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Yield,
    ];
    at.store.set_random(7, 3, faults);
    let workers = (0..WORKERS).map(|worker| {
        let (manager, id) = (at.manager.clone(), id.clone());
        tokio::spawn(async move {
            let mut told = Vec::new();
            for n in 0..EACH {
                let session = manager.open(Some(id.clone()));
                let mark = worker * EACH + n;
                let push = move |list: &mut Vec<u64>| list.push(mark);
                let answer = session.update("list", push).await;
                let answer = match answer {
                    Ok(()) => session.finish(true).await.map(drop),
                    Err(error) => Err(error),
                };
                told.push((mark, answer));
            }
            told
        })
    });
    let workers: Vec<_> = workers.collect();
    let mut told = Vec::new();
    for worker in workers {
        told.extend(worker.await.expect("a worker"));
    }
    at.store.set_random(0, 0, []);
    let session = at.manager.open(Some(id));
    let list: Vec<u64> = session.get("list").await.expect("get").unwrap_or_default();
    for (mark, answer) in told {
        let there = list.iter().filter(|there| **there == mark).count();
        let right = match &answer {
            Ok(()) => there == 1,
            Err(Error::Store(error)) if error.effect() == Effect::Unknown => there <= 1,
            Err(_) => there == 0,
        };
        assert!(right, "{mark} is there {there} times after {answer:?}");
    }
}
