//! The table of attacks that exhaust something, row by row: `dos_05` is its fifth. Rows 9 to 12 are
//! in `obsession-core/tests/dos.rs`, that the first two allocate nothing is in `cost_reading.rs`, and
//! row 13, the storm of clients that leave, is in `examples/tests/storm`.
//!
//! With `OBSESSION_FULL=1` in the sizes of the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::wire::{Client, VERSIONS, serve};
use common::{ask, call, cookie_of, ok, seen, site, stored, token_of};
use http::header::COOKIE;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use obsession_core::conformance::{Fault, Faulty};
use obsession_core::{
    Event, Events, Lifetime, ManualClock, MemoryStore, Session, SessionId, SessionManager,
    Timestamp,
};
use obsession_hyper::{Cookie, SessionService};

const ID: &str = "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBBBB.";

/// The size of a test, in full and else.
fn sized(full: usize, quick: usize) -> usize {
    std::env::var_os("OBSESSION_FULL").map_or(quick, |_| full)
}

async fn reads(session: Session) -> Response<String> {
    session.is_empty().await.unwrap();
    ok()
}

/// What was told, but for the store's answers.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Event>>);

impl Events for Told {
    fn tell(&self, event: &Event) {
        if !matches!(event, Event::Answered { .. }) {
            self.0.lock().unwrap().push(event.clone());
        }
    }
}

type Store = Arc<Faulty<MemoryStore>>;

fn told() -> (Store, Arc<Told>, SessionManager) {
    let (store, _) = seen();
    let told = Arc::new(Told::default());
    let manager = SessionManager::builder(Arc::clone(&store)).events(Arc::clone(&told));
    (store, told, manager.build())
}

/// The quickest of a hundred requests with this line: no other work of the machine is in it.
async fn quickest(line: &str) -> (Duration, usize) {
    let (store, manager) = seen();
    let service = site(&manager, reads);
    let mut quickest = Duration::MAX;
    for _ in 0..100 {
        let request = common::request(Some(line));
        let begun = Instant::now();
        let Ok(answer) = service.call(request).await;
        quickest = quickest.min(begun.elapsed());
        assert_eq!(cookie_of(answer.headers()), None);
    }
    (quickest, store.calls().len())
}

#[tokio::test]
async fn dos_01_a_cookie_line_of_400_kb_takes_no_time_and_no_call() {
    let line = format!("__Host-id={ID}; {}", "a=b; ".repeat(80_000));
    let (took, calls) = quickest(&line).await;
    assert!(took < Duration::from_micros(500), "{took:?}");
    assert_eq!(calls, 0);
    // The longest that is read at all, without optimisation.
    let line = format!("__Host-id={ID}; {}", "a".repeat(65_000));
    let (took, calls) = quickest(&line).await;
    println!("{took:?} for 64 KiB");
    assert!(took < Duration::from_millis(5), "{took:?}");
    assert_eq!(calls, 100);
}

/// From outside: what hyper lets through, and that the next request is served as ever.
#[tokio::test]
async fn dos_01_a_client_with_a_long_line_is_served_and_costs_no_call() {
    for version in VERSIONS {
        let (store, manager) = seen();
        let handle = |request: Request<Incoming>| async move {
            let session = request.extensions().get::<Session>().unwrap();
            session.is_empty().await.unwrap();
            Ok::<_, Infallible>(Response::new(String::new()))
        };
        let service = SessionService::new(service_fn(handle), manager, Cookie::default());
        let address = serve(service).await;
        // HTTP/2 has a list of 16 KiB by default.
        for len in [15_000, 60_000, 300_000] {
            let mut client = Client::connect(address, version).await;
            let line = format!("{}; __Host-id={ID}", "a".repeat(len));
            let status = client.status("/", &[(COOKIE, &line)]).await;
            let calls = store.calls().len();
            match status {
                Some(StatusCode::OK) => assert_eq!(calls, usize::from(len < 65_000)),
                Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) | None => {
                    assert_eq!(calls, 0, "{version:?} {len} {status:?}");
                }
                other => panic!("{version:?} {len} {other:?}"),
            }
        }
        let mut client = Client::connect(address, version).await;
        assert_eq!(client.get("/", None).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn dos_02_ten_thousand_cookies_take_no_time_and_no_call() {
    for line in [
        format!("__Host-id={ID};{}", "a=;".repeat(10_000)),
        format!("{}__Host-id={ID}", "a=;".repeat(10_000)),
    ] {
        let (took, calls) = quickest(&line).await;
        assert!(took < Duration::from_micros(500), "{took:?}");
        assert_eq!(calls, 0);
    }
}

#[tokio::test]
async fn dos_03_a_hundred_lines_are_read_to_64_kib_together_and_no_further() {
    let (store, told, manager) = told();
    let service = site(&manager, reads);
    let ours = format!("__Host-id={ID}");
    for (len, calls, events) in [(600, 1, 1), (700, 0, 1)] {
        let line = format!("a={}", "x".repeat(len));
        let mut lines = vec![("cookie", &*line); 99];
        lines.push(("cookie", &*ours));
        ask(&service, &lines).await;
        assert_eq!(store.calls().len(), calls);
        let told = std::mem::take(&mut *told.0.lock().unwrap());
        assert_eq!(told.len(), events);
        assert_eq!(told.contains(&Event::Malformed), calls == 0, "{told:?}");
    }
}

#[tokio::test]
async fn dos_04_a_thousand_copies_of_the_cookie_end_at_the_second_different_value() {
    let (store, told, manager) = told();
    let service = site(&manager, reads);
    let different: Vec<_> = (0..1000).map(|n| format!("__Host-id={n:0>40}")).collect();
    ask(&service, &[("cookie", &different.join(";"))]).await;
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(*told.0.lock().unwrap(), [Event::Duplicate], "told once");
}

#[tokio::test]
async fn dos_05_what_is_no_id_never_reaches_the_store() {
    let requests = sized(1_000_000, 20_000);
    let (store, told, manager) = told();
    let service = site(&manager, reads);
    for n in 0..requests {
        let line = format!("__Host-id={n:0>39}");
        let Ok(answer) = service.call(common::request(Some(&line))).await;
        assert_eq!(cookie_of(answer.headers()), None);
    }
    assert_eq!(store.calls(), [""; 0]);
    let told = told.0.lock().unwrap();
    assert_eq!(*told, vec![Event::Malformed; requests]);
}

#[tokio::test]
async fn dos_06_a_guessed_id_costs_one_read_and_is_told() {
    let requests = sized(1_000_000, 20_000);
    let (store, told, manager) = told();
    let service = site(&manager, reads);
    for n in 0..requests {
        let id: SessionId = format!("{n:0>40}").parse().unwrap();
        let answer = call(&service, Some(&id)).await;
        assert_eq!(cookie_of(answer.headers()), None);
        assert_eq!(store.calls(), ["load"]);
        let told = std::mem::take(&mut *told.0.lock().unwrap());
        assert_eq!(told, [Event::Unknown { key: id.key() }]);
    }
    assert_eq!(store.inner().len(), 0);
}

#[tokio::test]
async fn dos_07_visitors_without_a_cookie_cost_the_store_nothing() {
    let requests = sized(1_000_000, 20_000);
    let (store, told, manager) = told();
    let service = site(&manager, reads);
    for _ in 0..requests {
        let answer = call(&service, None).await;
        assert_eq!(cookie_of(answer.headers()), None);
    }
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(*told.0.lock().unwrap(), []);
}

/// A site that writes for everybody who comes: short lives for visitors bound how many there are,
/// the store has an end, and who was there before is served.
#[tokio::test]
async fn dos_08_a_site_that_writes_for_visitors_can_bound_them() {
    const PLACES: usize = 1000;
    const MINUTE: Duration = Duration::from_secs(60);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    let store = MemoryStore::builder().capacity(PLACES);
    let store = store.clock(Arc::clone(&clock)).build();
    let manager = SessionManager::builder(store.clone()).clock(Arc::clone(&clock));
    let manager = manager.build();
    let visits = site(&manager, |session: Session| async move {
        let first = session.is_empty().await.unwrap();
        session.insert("seen", &true).unwrap();
        if first {
            let visit = Lifetime::new(10 * MINUTE, 10 * MINUTE);
            session.set_lifetime(visit).unwrap();
        }
        ok()
    });
    let signs_in = site(&manager, |session: Session| async move {
        session.sign_in("user-42").unwrap();
        session.insert("seen", &true).unwrap();
        session.set_lifetime(Lifetime::default()).unwrap();
        ok()
    });
    let user = token_of(&call(&signs_in, None).await);
    let mut refused = 0;
    for _ in 0..2 * PLACES {
        let answer = call(&visits, None).await;
        refused += usize::from(answer.status() == StatusCode::SERVICE_UNAVAILABLE);
        let stored = answer.status() == StatusCode::OK;
        assert_eq!(cookie_of(answer.headers()).is_some(), stored);
    }
    assert_eq!(refused, PLACES + 1);
    assert_eq!(store.len(), PLACES);
    let answer = call(&visits, Some(&user)).await;
    assert_eq!(answer.status(), StatusCode::OK, "the user is served");
    // Ten minutes later there is place again.
    clock.advance(10 * MINUTE);
    let answer = call(&visits, None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(manager.load_id(user).await.unwrap().is_some());
}

/// Streams of HTTP/2 that are reset as soon as they are under way, while the store hangs: what they
/// leave behind ends with its store call, and the server serves on.
#[tokio::test]
async fn dos_14_streams_that_are_reset_leave_nothing_behind() {
    let resets = sized(10_000, 1000);
    let (store, manager) = seen();
    let id = stored(&manager).await;
    let handle = |request: Request<Incoming>| async move {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("n", &1).unwrap();
        Ok::<_, Infallible>(Response::new(String::new()))
    };
    let service = SessionService::new(service_fn(handle), manager.clone(), Cookie::default());
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let address = serve(service).await;
    let before = tasks();
    store.calls();
    store.set_always(Fault::Delay(Duration::from_millis(50)));
    let line = format!("__Host-id={}", id.expose());
    let (mut sent, mut begun) = (0, 0);
    while begun < resets {
        // A server ends a connection that resets too many.
        let client = Client::connect(address, common::wire::Version::Http2).await;
        sent += client.reset(200, &line).await;
        begun += store.calls().len();
        assert!(sent < 100 * resets, "{begun} have begun");
    }
    store.set_always(Fault::Pass);
    let gone = async {
        while tasks() > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(20), gone).await;
    assert!(gone.is_ok(), "{} tasks, and {before} before", tasks());
    // A load and an update each, as nothing is new once the first has written.
    let calls = begun + store.calls().len();
    assert!(calls <= 2 * sent, "{calls} calls for {sent} streams");
    let mut client = Client::connect(address, common::wire::Version::Http2).await;
    assert_eq!(client.get("/", Some(&line)).await.status(), StatusCode::OK);
    println!("{sent} sent, {calls} calls of the store");
}

#[tokio::test]
async fn dos_15_sessions_that_are_over_cost_reads_only() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let store = Arc::new(Faulty::new(store));
    let manager = SessionManager::builder(Arc::clone(&store)).clock(Arc::clone(&clock));
    let manager = manager.build();
    let mut ids = Vec::new();
    for _ in 0..sized(10_000, 1000) {
        ids.push(stored(&manager).await);
    }
    clock.advance(Duration::from_secs(366 * 24 * 60 * 60));
    store.calls();
    let service = site(&manager, reads);
    for id in &ids {
        for _ in 0..3 {
            let answer = call(&service, Some(id)).await;
            assert_eq!(cookie_of(answer.headers()), None);
            assert_eq!(store.calls(), ["load"]);
        }
    }
}
