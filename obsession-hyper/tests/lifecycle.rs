//! Lives of sessions, row by row: `lc_03` is LC-3 of the list of requirements. `lc_02` is in
//! `drops`, `lc_08` in `python.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Answer, call, cookie_of, ok, seen, site, stored, token_of};
use http::Request;
use hyper::service::{Service, service_fn};
use obsession_core::{
    Clock, Lifetime, ManualClock, MemoryStore, Session, SessionId, SessionManager, Timestamp,
};
use obsession_hyper::{Cookie, SessionService};

const MINUTE: Duration = Duration::from_secs(60);

struct Timed {
    clock: Arc<ManualClock>,
    manager: SessionManager,
}

fn timed(idle: Duration, absolute: Duration) -> Timed {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let manager = SessionManager::builder(store)
        .clock(Arc::clone(&clock))
        .lifetime(Lifetime::new(idle, absolute))
        .build();
    Timed { clock, manager }
}

fn just_before(end: Duration) -> Duration {
    end.saturating_sub(Duration::from_millis(1))
}

/// Whether a client that keeps its cookie for ever is still known.
async fn knows(manager: &SessionManager, id: &SessionId) -> bool {
    let service = site(manager, |session: Session| async move {
        let mut answer = ok();
        *answer.body_mut() = session.contains("cart").await.unwrap().to_string();
        answer
    });
    body(call(&service, Some(id)).await).await == "true"
}

async fn body(answer: Answer) -> String {
    let body = http_body_util::BodyExt::collect(answer.into_body()).await;
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn lc_01_a_sign_in_replaces_the_token_and_the_old_one_is_dead_at_once() {
    let (_, manager) = seen();
    let service = site(&manager, |session: Session| async move {
        session.sign_in("user-42").unwrap();
        ok()
    });
    let mut id = stored(&manager).await;
    // The second time is a sign-in again, of the same user.
    for _ in 0..2 {
        let next = token_of(&call(&service, Some(&id)).await);
        assert!(!knows(&manager, &id).await);
        assert!(knows(&manager, &next).await, "what was there stays");
        id = next;
    }
    // Of many at the same time one gets a token, and it is the one that works.
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let request = common::request(Some(&format!("__Host-id={}", id.expose())));
            tokio::spawn(service.call(request))
        })
        .collect();
    let mut told = Vec::new();
    for answer in calls {
        let Ok(answer) = answer.await.unwrap();
        if cookie_of(answer.headers()).is_some() {
            told.push(token_of(&answer));
        }
    }
    assert!(!knows(&manager, &id).await);
    let mut alive = 0;
    for id in &told {
        alive += usize::from(knows(&manager, id).await);
    }
    assert!(alive <= 1 && !told.is_empty(), "{alive} of {}", told.len());
}

#[tokio::test]
async fn lc_01_another_users_sign_in_keeps_nothing_and_a_sign_out_leaves_nothing() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    let signs_in = |user: &'static str| {
        site(&manager, move |session: Session| async move {
            session.sign_in(user).unwrap();
            ok()
        })
    };
    let first = token_of(&call(&signs_in("one"), Some(&id)).await);
    let second = token_of(&call(&signs_in("two"), Some(&first)).await);
    assert!(!knows(&manager, &first).await && !knows(&manager, &second).await);
    let signs_out = site(&manager, |session: Session| async move {
        session.delete().await.unwrap();
        ok()
    });
    call(&signs_out, Some(&second)).await;
    assert_eq!(store.inner().len(), 0);
}

#[tokio::test]
async fn lc_03_a_client_that_keeps_its_cookie_for_ever_is_signed_out_all_the_same() {
    // Unused for the idle timeout.
    let site = timed(30 * MINUTE, 12 * 60 * MINUTE);
    let id = stored(&site.manager).await;
    site.clock.advance(just_before(30 * MINUTE));
    assert!(knows(&site.manager, &id).await);
    site.clock.advance(30 * MINUTE);
    assert!(!knows(&site.manager, &id).await);
    // Used all the time.
    let id = stored(&site.manager).await;
    let begun = site.clock.now();
    for _ in 0..72 {
        assert!(knows(&site.manager, &id).await);
        site.clock.advance(10 * MINUTE);
    }
    assert_eq!(site.clock.now().saturating_since(begun), 12 * 60 * MINUTE);
    assert!(!knows(&site.manager, &id).await);
}

/// A walk of random steps: whatever is read when, a deadline only ever moves later, never past the
/// absolute limit, and what is over stays over.
#[tokio::test]
async fn lc_04_a_touch_only_prolongs_and_never_past_the_limit() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..300 {
        let site = timed(30 * MINUTE, 5 * 60 * MINUTE);
        let id = stored(&site.manager).await;
        let begun = site.clock.now();
        let (mut deadline, mut over) = (begun, false);
        for _ in 0..30 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            site.clock.advance(Duration::from_secs(random % (31 * 60)));
            let known = knows(&site.manager, &id).await;
            assert!(!(over && known), "it was over");
            over = !known;
            let session = site.manager.load_id(id.clone()).await.unwrap();
            assert_eq!(session.is_some(), known);
            if let Some(session) = session {
                let info = session.info().await.unwrap().unwrap();
                assert!(info.expires_at >= deadline);
                assert!(info.expires_at.saturating_since(begun) <= 5 * 60 * MINUTE);
                deadline = info.expires_at;
            }
        }
    }
}

#[tokio::test]
async fn lc_05_an_emptied_session_is_saved_empty() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let service = site(&manager, |session: Session| async move {
        session.clear().unwrap();
        ok()
    });
    call(&service, Some(&id)).await;
    assert_eq!(store.calls(), ["load", "update"]);
    assert!(!knows(&manager, &id).await);
    assert_eq!(store.inner().len(), 1, "the session itself stays");
}

#[tokio::test]
async fn lc_06_a_panic_after_a_delete_does_not_bring_the_session_back() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    let service = site(&manager, |session: Session| async move {
        session.insert("a", &1).unwrap();
        session.delete().await.unwrap();
        session.insert("b", &1).unwrap();
        panic!("on purpose");
    });
    let request = common::request(Some(&format!("__Host-id={}", id.expose())));
    let answer = tokio::spawn(service.call(request)).await;
    assert!(answer.unwrap_err().is_panic());
    assert_eq!(store.inner().len(), 0);
    assert!(!knows(&manager, &id).await);
}

#[tokio::test]
async fn lc_07_visitors_without_a_session_and_sign_outs_without_one_store_nothing() {
    const REQUESTS: usize = 100_000;
    let (store, manager) = seen();
    let handle = |request: Request<String>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        match request.uri().path() {
            "/out" => session.delete().await.unwrap(),
            _ => assert!(session.is_empty().await.unwrap()),
        }
        Ok::<_, std::convert::Infallible>(ok())
    };
    let service = SessionService::new(service_fn(handle), manager, Cookie::default());
    for path in ["/", "/out"] {
        for _ in 0..REQUESTS {
            let mut request = common::request(None);
            *request.uri_mut() = path.parse().unwrap();
            let Ok(answer) = service.call(request).await;
            assert!(!answer.headers().contains_key("set-cookie"));
        }
    }
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(store.inner().len(), 0);
}

#[tokio::test]
async fn lc_09_all_sessions_of_a_user_end_at_once_but_for_this_one() {
    let manager = SessionManager::builder_indexed(MemoryStore::new()).build();
    let signs_in = site(&manager, |session: Session| async move {
        session.insert("cart", &1).unwrap();
        session.sign_in("user-42").unwrap();
        ok()
    });
    let mut ids = Vec::new();
    for _ in 0..1000 {
        ids.push(token_of(&call(&signs_in, None).await));
    }
    let ends_others = site(&manager, |session: Session| async move {
        let key = session.key().await.unwrap();
        let manager = session.manager();
        let ended = manager.end_all("user-42", key.as_ref()).await.unwrap();
        assert_eq!(ended, 999);
        ok()
    });
    call(&ends_others, Some(&ids[500])).await;
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(knows(&manager, id).await, n == 500);
    }
    assert_eq!(manager.end_all("user-42", None).await.unwrap(), 1);
    assert!(!knows(&manager, &ids[500]).await);
}

#[tokio::test]
async fn lc_10_the_presets_are_the_limits_that_they_are_named_after() {
    const HOUR: Duration = Duration::from_secs(3600);
    for (preset, idle, absolute) in [
        (Lifetime::NIST_AAL1, 30 * 24 * HOUR, 30 * 24 * HOUR),
        (Lifetime::NIST_AAL2, 30 * MINUTE, 12 * HOUR),
        (Lifetime::NIST_AAL3, 15 * MINUTE, 12 * HOUR),
    ] {
        assert_eq!(preset, Lifetime::new(idle, absolute));
        let site = timed(idle, absolute);
        let id = stored(&site.manager).await;
        site.clock.advance(just_before(idle));
        assert!(site.manager.load_id(id.clone()).await.unwrap().is_some());
        site.clock.advance(Duration::from_millis(1));
        assert!(site.manager.load_id(id).await.unwrap().is_none());
    }
}
