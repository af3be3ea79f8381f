//! What went wrong over HTTP in the Python library that this one succeeds: the failures that no
//! other file here tells of. `obsession-core/docs/coming-from-python.md` has the list.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Seen, call, cookie_of, ok, request, seen, site, stored, token_of};
use http::{Request, Response, StatusCode};
use hyper::service::{Service, service_fn};
use obsession_core::{Error, ManualClock, MemoryStore, Session, SessionId, SessionManager};
use obsession_hyper::{Cookie, SessionLayer, SessionService};
use tokio::sync::Semaphore;

/// Bug 6: renewing the cookie of a session that had vanished meanwhile was an exception in the
/// middle of the response.
#[tokio::test]
async fn a_session_that_vanishes_before_its_touch_is_no_failure() {
    let clock = Arc::new(ManualClock::new(obsession_core::Timestamp::from_millis(1)));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let manager = SessionManager::builder(store)
        .clock(Arc::clone(&clock))
        .build();
    let other = manager.clone();
    let inner = move |request: Request<String>| {
        let other = other.clone();
        async move {
            let session = request.extensions().get::<Session>().unwrap();
            assert!(session.contains("cart").await.unwrap());
            let id = session.id().await.unwrap();
            other.open(id).delete().await.unwrap();
            Ok::<_, Infallible>(ok())
        }
    };
    // Both renewals are due: the session's deadline and the browser's copy.
    let cookie = Cookie::builder("__Host-id").max_age(Duration::from_secs(600));
    for cookie in [Cookie::default(), cookie.build().unwrap()] {
        let id = stored(&manager).await;
        clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
        let service = SessionService::new(service_fn(inner.clone()), manager.clone(), cookie);
        let answer = call(&service, Some(&id)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(cookie_of(answer.headers()), None);
        assert!(manager.load_id(id).await.unwrap().is_none());
    }
}

/// Bug 11: a change after the response had begun was stored under an id that no client was ever
/// sent, and a cycle then lost the session.
#[tokio::test]
async fn lc_08_a_change_after_the_head_is_an_error_and_stores_nothing() {
    let (store, manager) = seen();
    let id = stored(&manager).await;
    store.calls();
    let kept: Arc<Mutex<Option<Session>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let service = site(&manager, move |session| {
        *keep.lock().unwrap() = Some(session);
        async { ok() }
    });
    for id in [None, Some(&id)] {
        let answer = call(&service, id).await;
        assert_eq!(cookie_of(answer.headers()), None);
        let late = kept.lock().unwrap().take().unwrap();
        for changed in [late.cycle(), late.sign_in("zoe")] {
            assert!(matches!(changed, Err(Error::HeadSent)), "{changed:?}");
        }
        if id.is_none() {
            assert!(matches!(late.insert("a", &1), Err(Error::HeadSent)));
        }
        late.save().await.unwrap();
        drop(answer);
        for changed in [late.insert("a", &1), late.cycle(), late.sign_in("zoe")] {
            assert!(matches!(changed, Err(Error::Closed)), "{changed:?}");
        }
        late.save().await.unwrap();
    }
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(store.inner().len(), 1);
    assert!(manager.load_id(id).await.unwrap().is_some());
}

/// What the three requests of a browser do once they have looked at their session.
const ROLES: [&str; 3] = ["login", "read", "write"];

/// The steps of three requests in every order in which each begins before it ends.
fn orders() -> Vec<Vec<usize>> {
    fn go(order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if order.len() == 2 * ROLES.len() {
            all.push(order.clone());
        }
        for role in 0..ROLES.len() {
            if order.iter().filter(|step| **step == role).count() < 2 {
                order.push(role);
                go(order, all);
                order.pop();
            }
        }
    }
    let mut all = Vec::new();
    go(&mut Vec::new(), &mut all);
    all
}

/// Runs the requests in `order`, all with the token that the browser had before, and gives the
/// answer of each.
async fn run(manager: &SessionManager, id: &SessionId, order: &[usize]) -> Vec<common::Answer> {
    let begun = Arc::new(Semaphore::new(0));
    let gates: HashMap<_, _> = ROLES
        .map(|role| (role, Arc::new(Semaphore::new(0))))
        .into_iter()
        .collect();
    let (looked, wait) = (Arc::clone(&begun), gates.clone());
    let inner = service_fn(move |request: Request<String>| {
        let (looked, wait) = (Arc::clone(&looked), wait.clone());
        async move {
            let session = request.extensions().get::<Session>().unwrap();
            let role = request.body().as_str();
            session.contains("cart").await.unwrap();
            looked.add_permits(1);
            wait[role].acquire().await.unwrap().forget();
            match role {
                "login" => session.sign_in("zoe").unwrap(),
                // Late, it may be told that the session is another's business by now.
                "write" => drop(session.insert("late", &1)),
                _ => assert!(
                    session
                        .subject()
                        .await
                        .unwrap()
                        .is_none_or(|s| &*s == "zoe")
                ),
            }
            Ok::<_, Infallible>(ok())
        }
    });
    let service = Arc::new(SessionService::new(
        inner,
        manager.clone(),
        Cookie::default(),
    ));
    let mut running: [Option<_>; 3] = [const { None }; 3];
    let mut answers: [Option<common::Answer>; 3] = [const { None }; 3];
    for &step in order {
        let role = ROLES[step];
        if let Some(task) = running[step].take() {
            gates[role].add_permits(1);
            let task: tokio::task::JoinHandle<_> = task;
            answers[step] = Some(task.await.unwrap());
        } else {
            let mut request = request(Some(&format!("__Host-id={}", id.expose())));
            role.clone_into(request.body_mut());
            let service = Arc::clone(&service);
            running[step] = Some(tokio::spawn(async move {
                let Ok(answer) = service.call(request).await;
                answer
            }));
            begun.acquire().await.unwrap().forget();
        }
    }
    answers.into_iter().flatten().collect()
}

/// Bug 14: a request that was under way during a sign-in came back with a new empty session, whose
/// cookie overwrote that of the login, or stored the old id again.
#[tokio::test]
async fn no_order_of_requests_and_answers_takes_a_login_away() {
    let orders = orders();
    assert_eq!(orders.len(), 90);
    for order in orders {
        let (store, manager) = seen();
        let old = stored(&manager).await;
        let answers = run(&manager, &old, &order).await;
        for arrival in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut cookie = format!("__Host-id={}", old.expose());
            for answer in arrival.map(|n| &answers[n]) {
                assert_eq!(answer.status(), StatusCode::OK, "{order:?}");
                if let Some(set) = cookie_of(answer.headers()) {
                    set.split(';').next().unwrap().clone_into(&mut cookie);
                }
            }
            let id: SessionId = cookie.split_once('=').unwrap().1.parse().unwrap();
            let session = manager.load_id(id).await.unwrap().expect("a login");
            assert_eq!(session.subject().await.unwrap().as_deref(), Some("zoe"));
            assert!(session.contains("cart").await.unwrap());
        }
        assert_eq!(store.inner().len(), 1, "{order:?}");
        assert!(manager.load_id(old).await.unwrap().is_none());
    }
}

type Handler = fn(&Session) -> Result<(), Error>;

/// What handlers did when a client was sent an id that was never stored, or two were stored.
const HANDLERS: [Handler; 9] = [
    |session| session.cycle(),
    |session| session.insert("a", &1).and_then(|()| session.cycle()),
    |session| session.cycle().and_then(|()| session.insert("a", &1)),
    |session| session.insert("a", &1).and_then(|()| session.remove("a")),
    |session| session.insert("a", &1).and_then(|()| session.clear()),
    |session| session.cycle().and_then(|()| session.clear()),
    |session| session.cycle().and_then(|()| session.cycle()),
    |session| session.sign_in("zoe"),
    |session| session.clear(),
];

/// Bug 19: a cycle after a failed load stored two sessions, and a cycle of an empty one sent an id
/// that was never stored.
#[tokio::test]
async fn every_cookie_that_is_sent_works_on_the_next_request() {
    for handler in HANDLERS {
        for presented in ["nothing", "a session", "unknown", "malformed"] {
            let (store, manager) = seen();
            let (id, before) = match presented {
                "a session" => (Some(stored(&manager).await), 1),
                "unknown" => (Some("x".repeat(40).parse().unwrap()), 0),
                _ => (None, 0),
            };
            let service = site(&manager, move |session| async move {
                handler(&session).unwrap();
                ok()
            });
            let answer = if presented == "malformed" {
                let Ok(answer) = service.call(request(Some("__Host-id=short"))).await;
                answer
            } else {
                call(&service, id.as_ref()).await
            };
            if cookie_of(answer.headers()).is_some() {
                let id = token_of(&answer);
                assert!(manager.load_id(id).await.unwrap().is_some(), "{presented}");
                assert_eq!(store.inner().len(), 1, "{presented}");
            } else {
                assert_eq!(store.inner().len(), before, "{presented}");
            }
        }
    }
}

/// Bug 20: a sign-out whose session could not be loaded left the browser with its cookie.
#[tokio::test]
async fn a_sign_out_clears_whatever_the_client_sent() {
    let (store, manager) = seen();
    let service = site(&manager, |session| async move {
        // A page that looks first, as most do.
        session.is_empty().await.unwrap();
        session.delete().await.unwrap();
        ok()
    });
    let unknown = "x".repeat(40);
    for value in [
        "",
        "short",
        &unknown,
        &format!("{unknown}x"),
        "a; __Host-id=b",
    ] {
        let line = format!("__Host-id={value}");
        let Ok(answer) = service.call(request(Some(&line))).await;
        let cookie = cookie_of(answer.headers()).unwrap();
        assert!(cookie.starts_with("__Host-id=;") && cookie.ends_with("; Max-Age=0"));
    }
    let answer = call(&service, None).await;
    assert_eq!(cookie_of(answer.headers()), None);
    assert_eq!(store.inner().len(), 0);
}

/// The session of the outer of two services.
#[derive(Clone)]
struct Admin(Session);

/// Bug 27: there was one place for a session in a request, so of two layers the inner one won.
///
/// Here a layer can give its session a type of its own, and then there are two.
#[tokio::test]
async fn two_sessions_in_one_request_each_with_its_own_cookie_and_store() {
    async fn handle(request: Request<String>) -> Result<Response<String>, Infallible> {
        let user = request.extensions().get::<Session>().unwrap();
        let Admin(admin) = request.extensions().get().unwrap();
        user.update("visits", |n: &mut u64| *n += 1).await.unwrap();
        admin
            .update("visits", |n: &mut u64| *n += 10)
            .await
            .unwrap();
        Ok(ok())
    }

    let (users, admins): ((Arc<Seen>, _), (Arc<Seen>, _)) = (seen(), seen());
    let cookie = |name: &str| Cookie::builder(name).build().unwrap();
    let inner = SessionService::new(service_fn(handle), users.1.clone(), cookie("__Host-user"));
    let service = SessionLayer::new(admins.1.clone(), cookie("__Host-admin"))
        .give(Admin)
        .layer(inner);

    let mut cookies = String::new();
    for visits in 1..=2 {
        let Ok(answer) = service.call(request(Some(&cookies))).await;
        let sent = answer.headers().get_all("set-cookie").iter();
        let pairs: Vec<_> = sent
            .map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned())
            .collect();
        assert_eq!(pairs.len(), if visits == 1 { 2 } else { 0 });
        if visits == 1 {
            cookies = pairs.join("; ");
        }
        for ((store, manager), name, n) in [
            (&users, "__Host-user=", visits),
            (&admins, "__Host-admin=", visits * 10),
        ] {
            assert_eq!(store.inner().len(), 1);
            let token = cookies.split("; ").find_map(|pair| pair.strip_prefix(name));
            let session = manager.open(Some(token.unwrap().parse().unwrap()));
            assert_eq!(session.get::<u64>("visits").await.unwrap(), Some(n));
        }
    }
}

/// Bug 30: the backend and the cookie were default arguments of a module, so all applications of a
/// process shared them.
#[tokio::test]
async fn two_sites_with_all_defaults_know_nothing_of_each_other() {
    let sites = [(); 2].map(|()| SessionManager::new(MemoryStore::new()));
    let id = stored(&sites[0]).await;
    let service = site(&sites[1], |session| async move {
        assert!(session.is_empty().await.unwrap());
        ok()
    });
    assert_eq!(cookie_of(call(&service, Some(&id)).await.headers()), None);
    assert!(sites[0].load_id(id).await.unwrap().is_some());
}
