//! Whole sessions on the store: what the promises come to for a request.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::{ClientAction, Error, Lifetime, Session, SessionId, SessionManager, SessionStore};

const REQUESTS: u64 = 32;

fn manager<S: SessionStore>(at: &Fixture<S>) -> SessionManager {
    let deadline = Duration::from_secs(30);
    SessionManager::builder(Arc::clone(&at.store))
        .clock(at.time.clone())
        .deadline(deadline)
        .build()
}

/// A stored session with something in it, and its token.
async fn stored(manager: &SessionManager) -> SessionId {
    let session = manager.open(None);
    session.insert("cart", &["quince"]).expect("insert");
    session.save().await.expect("save");
    session
        .id()
        .await
        .expect("id")
        .expect("a stored session has an id")
}

/// Runs `request` many times at once, each with a handle of its own on one session.
async fn requests<F: Future<Output = R> + Send + 'static, R: Send + 'static>(
    manager: &SessionManager,
    id: &SessionId,
    request: impl Fn(u64, Session) -> F,
) -> Vec<R> {
    let open = |n| tokio::spawn(request(n, manager.open(Some(id.clone()))));
    let tasks: Vec<_> = (0..REQUESTS).map(open).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("a request"));
    }
    answers
}

/// No lost update: closures run again on the newer record.
pub async fn session_updates_of_many_requests_are_all_counted<S: SessionStore>(at: Fixture<S>) {
    let manager = manager(&at);
    let id = stored(&manager).await;
    requests(&manager, &id, |_, session| async move {
        session
            .update("visits", |n: &mut u64| *n += 1)
            .await
            .expect("update");
        let _ = session.finish(true).await.expect("finish");
    })
    .await;
    let visits = manager
        .open(Some(id))
        .get::<u64>("visits")
        .await
        .expect("get");
    assert_eq!(visits, Some(REQUESTS));
}

/// No lost update: a conflict never writes a stale snapshot.
pub async fn session_changes_to_different_names_all_survive<S: SessionStore>(at: Fixture<S>) {
    let manager = manager(&at);
    let id = stored(&manager).await;
    requests(&manager, &id, |n, session| async move {
        assert!(session.contains("cart").await.expect("contains"));
        session.insert(&format!("note {n}"), &n).expect("insert");
        let _ = session.finish(true).await.expect("finish");
    })
    .await;
    let session = manager.open(Some(id));
    for n in 0..REQUESTS {
        let note = session.get::<u64>(&format!("note {n}")).await.expect("get");
        assert_eq!(note, Some(n));
    }
    assert!(session.contains("cart").await.expect("contains"));
}

/// No resurrection: a request that was under way while the session was deleted changes nothing.
pub async fn session_late_save_does_not_revive_a_deleted_session<S: SessionStore>(at: Fixture<S>) {
    let manager = manager(&at);
    let id = stored(&manager).await;
    let late = manager.open(Some(id.clone()));
    late.update("visits", |n: &mut u64| *n += 1)
        .await
        .expect("update");
    late.sign_in("mallory").expect("sign in");

    let session = manager.open(Some(id.clone()));
    session.delete().await.expect("delete");
    assert_eq!(
        session.finish(true).await.expect("finish"),
        ClientAction::Clear
    );

    assert_eq!(late.finish(true).await.expect("finish"), ClientAction::Keep);
    assert!(late.activity().dropped);
    assert!(manager.load_id(id).await.expect("load").is_none());
}

/// Exactly once: one of all requests that take a value gets it.
pub async fn session_take_is_given_to_exactly_one<S: SessionStore>(at: Fixture<S>) {
    let manager = manager(&at);
    let id = stored(&manager).await;
    let taken = requests(&manager, &id, |_, session| async move {
        session.take::<Vec<String>>("cart").await.expect("take")
    })
    .await;
    let given: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(given, [["quince"]]);
    assert!(
        !manager
            .open(Some(id))
            .contains("cart")
            .await
            .expect("contains")
    );
}

/// Exactly once: of concurrent cycles one wins, and one token works afterwards.
pub async fn session_of_many_cycles_has_one_current_token<S: SessionStore>(at: Fixture<S>) {
    let manager = manager(&at);
    let old = stored(&manager).await;
    let actions = requests(&manager, &old, |_, session| async move {
        session.contains("cart").await.expect("contains");
        match session.cycle() {
            Ok(()) | Err(Error::Ended) => session.finish(true).await.expect("finish"),
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    let sent: Vec<SessionId> = actions
        .into_iter()
        .filter_map(|action| match action {
            ClientAction::Set { id, .. } => Some(id),
            ClientAction::Keep => None,
            ClientAction::Clear => panic!("nobody deleted it"),
        })
        .collect();
    assert_eq!(sent.len(), 1, "tokens sent");
    for id in sent {
        assert!(
            manager.load_id(id).await.expect("load").is_some(),
            "the new token"
        );
    }
    assert!(
        manager.load_id(old).await.expect("load").is_none(),
        "the old token"
    );
}

/// No resurrection: a sign-in moves the cart and ends the old token in one step.
pub async fn session_sign_in_ends_the_old_token_and_keeps_the_cart<S: SessionStore>(
    at: Fixture<S>,
) {
    let manager = manager(&at);
    let old = stored(&manager).await;
    let session = manager.open(Some(old.clone()));
    session.sign_in("user-42").expect("sign in");
    let ClientAction::Set { id, .. } = session.finish(true).await.expect("finish") else {
        panic!("a sign-in sends a token");
    };
    assert_eq!(id.key(), old.key());
    assert!(manager.load_id(old).await.expect("load").is_none());
    let session = manager.open(Some(id));
    assert_eq!(
        session.subject().await.expect("subject").as_deref(),
        Some("user-42")
    );
    assert!(session.contains("cart").await.expect("contains"));
}

/// Expiry is exact: use moves the idle deadline, and never past the absolute limit.
pub async fn session_expires_by_its_idle_timeout_and_its_absolute_lifetime<S: SessionStore>(
    at: Fixture<S>,
) {
    let manager = manager(&at);
    // A quarter of it is how late a busy machine may be.
    let idle = Duration::from_secs(2);
    let session = manager.open(None);
    session.insert("cart", "quince").expect("insert");
    session
        .set_lifetime(Lifetime::new(idle, idle * 2))
        .expect("set");
    session.save().await.expect("save");
    let id = session.id().await.expect("id").expect("an id");
    let start = session
        .info()
        .await
        .expect("info")
        .expect("stored")
        .created_at;

    at.time.reach(start.saturating_add(idle * 3 / 4)).await;
    let used = manager.open(Some(id.clone()));
    assert!(
        used.contains("cart").await.expect("contains"),
        "before the idle timeout"
    );
    let _ = used.finish(true).await.expect("finish");

    at.time.reach(start.saturating_add(idle * 5 / 4)).await;
    let used = manager.open(Some(id.clone()));
    assert!(
        used.contains("cart").await.expect("contains"),
        "it was used in between"
    );
    let _ = used.finish(true).await.expect("finish");

    at.time.reach(start.saturating_add(idle * 2)).await;
    assert!(
        manager.load_id(id).await.expect("load").is_none(),
        "at the absolute limit"
    );
}

/// Never adopted: neither an unknown token nor a guessed secret for a known key.
pub async fn session_of_a_forged_token_is_nobodys<S: SessionStore>(at: Fixture<S>) {
    let manager = manager(&at);
    let id = stored(&manager).await;
    let unknown = SessionId::generate(getrandom::fill).expect("random bytes");
    let guessed = SessionId::cycled(id.key(), getrandom::fill).expect("random bytes");
    for forged in [unknown, guessed] {
        let session = manager.open(Some(forged.clone()));
        assert!(session.is_empty().await.expect("is_empty"));
        assert_eq!(
            session.finish(true).await.expect("finish"),
            ClientAction::Keep
        );
        assert!(manager.load_id(forged).await.expect("load").is_none());
    }
    assert!(manager.load_id(id).await.expect("load").is_some());
}

/// Emptying: what was cleared is empty for the next request.
pub async fn session_emptied_stays_empty<S: SessionStore>(at: Fixture<S>) {
    let manager = manager(&at);
    let id = stored(&manager).await;
    let session = manager.open(Some(id.clone()));
    session.clear().expect("clear");
    assert_eq!(
        session.finish(true).await.expect("finish"),
        ClientAction::Keep
    );
    let session = manager
        .load_id(id)
        .await
        .expect("load")
        .expect("it is still a session");
    assert!(session.is_empty().await.expect("is_empty"));
}
