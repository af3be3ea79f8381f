//! A session that another process ends: the watch hears of it, though it would ask in an hour only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::{Duration, Instant};

use obsession_core::{Lifetime, Session, SessionId, SessionManager, SessionStore, WatchEnd};
use obsession_redis::{RedisStore, Source};
use testing::{Mode, Proxy, RedisMonitor, RedisSentinel, RedisServer};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const HOUR: Duration = Duration::from_secs(3600);
/// How long news may take on a busy machine.
const SOON: Duration = Duration::from_secs(2);
/// The same with a server that comes back: the longest pause between two attempts is a second.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(5);

/// Two processes on the same sessions.
struct World {
    store: RedisStore,
    here: SessionManager,
    elsewhere: SessionManager,
}

impl World {
    /// One that watches through `url`, and one that goes to the server itself.
    async fn new(url: &str, server: &str) -> Self {
        let prefix = common::prefix();
        let open = async |url: &str| {
            let builder = RedisStore::builder(url).prefix(&prefix);
            builder.connect().await.unwrap()
        };
        let store = open(url).await;
        let here = SessionManager::builder_indexed(store.clone()).watch_every(HOUR);
        let elsewhere = SessionManager::builder_indexed(open(server).await);
        Self {
            store,
            here: here.build(),
            elsewhere: elsewhere.build(),
        }
    }

    async fn signed_in(&self) -> SessionId {
        let session = self.elsewhere.open(None);
        session.sign_in("user-42").unwrap();
        session.save().await.unwrap();
        session.id().await.unwrap().unwrap()
    }

    fn elsewhere(&self, id: &SessionId) -> Session {
        self.elsewhere.open(Some(id.clone()))
    }

    /// Watches, and waits until the server knows.
    async fn watch(&self, id: &SessionId) -> JoinHandle<WatchEnd> {
        let before = self.watching();
        let watch = tokio::spawn(self.here.open(Some(id.clone())).watch());
        self.wait_for(before + 1).await;
        watch
    }

    /// How many watch, as the store says.
    fn watching(&self) -> usize {
        let text = format!("{:?}", self.store);
        let (_, rest) = text.split_once("watching: Some(").expect("a number");
        rest.split_once(')').unwrap().0.parse().unwrap()
    }

    async fn wait_for(&self, watching: usize) {
        let waiting = async {
            while self.watching() != watching {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = timeout(Duration::from_secs(20), waiting).await;
        assert!(waited.is_ok(), "{} watch, not {watching}", self.watching());
    }
}

async fn ends(watch: JoinHandle<WatchEnd>, how: WatchEnd, within: Duration) {
    let end = timeout(within, watch).await.expect("it goes on");
    assert_eq!(end.unwrap(), how);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_does_to_a_session_ends_its_watch() {
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;

    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    world.elsewhere(&id).delete().await.unwrap();
    ends(watch, WatchEnd::Ended, SOON).await;

    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    assert!(world.elsewhere.end("user-42", &id.key()).await.unwrap());
    ends(watch, WatchEnd::Ended, SOON).await;

    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    assert_eq!(world.elsewhere.end_all("user-42", None).await.unwrap(), 1);
    ends(watch, WatchEnd::Ended, SOON).await;

    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    let session = world.elsewhere(&id);
    session.sign_in("user-43").unwrap();
    session.save().await.unwrap();
    ends(watch, WatchEnd::OtherSubject, SOON).await;
    world.wait_for(0).await;
}

/// Each of these is told and looked at, and the next one after it as well.
#[tokio::test(flavor = "multi_thread")]
async fn writes_and_cycles_do_not_end_it_and_an_end_after_them_does() {
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    let session = world.elsewhere(&id);
    for n in 0..3 {
        session.insert("n", &n).unwrap();
        session.save().await.unwrap();
        session.cycle().unwrap();
        session.save().await.unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!watch.is_finished());
    }
    session.delete().await.unwrap();
    ends(watch, WatchEnd::Ended, SOON).await;
}

/// A lifetime that another process shortens is told as well: the new deadline is met.
#[tokio::test(flavor = "multi_thread")]
async fn it_expires_at_a_deadline_that_another_process_has_set() {
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    let session = world.elsewhere(&id);
    let short = Duration::from_millis(700);
    session.set_lifetime(Lifetime::new(short, short)).unwrap();
    session.save().await.unwrap();
    ends(watch, WatchEnd::Expired, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_outlives_a_server_that_starts_again() {
    let durable = [("appendonly", "yes"), ("appendfsync", "always")];
    let mut server = RedisServer::start(&durable).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    server.kill();
    // Long enough for some attempts to fail.
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.restart().unwrap();
    assert!(!watch.is_finished());
    world.elsewhere(&id).delete().await.unwrap();
    ends(watch, WatchEnd::Ended, AFTER_AN_OUTAGE).await;
}

/// What happens while there is no connection is seen when there is one again.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_while_the_connection_is_cut_is_not_missed() {
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let world = World::new(&proxy.url(), &server.url()).await;
    let id = world.signed_in().await;
    let other = world.signed_in().await;
    let (watch, lives) = (world.watch(&id).await, world.watch(&other).await);
    proxy.set(Mode::Refuse);
    world.elsewhere(&id).delete().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!watch.is_finished());
    proxy.set(Mode::Pass);
    ends(watch, WatchEnd::Ended, AFTER_AN_OUTAGE).await;
    // It was registered again.
    assert!(!lives.is_finished());
    world.elsewhere(&other).delete().await.unwrap();
    ends(lives, WatchEnd::Ended, SOON).await;
}

/// A server that ends the connection of the watches alone: those of the calls stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_ends_is_made_again() {
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    for _ in 0..3 {
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    world.elsewhere(&id).delete().await.unwrap();
    ends(watch, WatchEnd::Ended, SOON).await;
}

/// A peer that swallows everything holds nobody up, and what happened meanwhile is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_not_answered_ends_in_time_and_is_made_again() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let server = RedisServer::start(&[]).unwrap();
    let proxy = Proxy::start(server.port()).await.unwrap();
    let builder = RedisStore::builder(proxy.url()).deadline(DEADLINE);
    let store = builder.connect().await.unwrap();
    let key = common::key(1);
    // On a connection that there is already, and on one that is not there any more.
    for connected in [true, false] {
        if connected {
            drop(store.watch(&key).await.unwrap());
        }
        proxy.set(Mode::HalfOpen);
        let began = Instant::now();
        let bell = store.watch(&key).await.unwrap();
        let took = began.elapsed();
        assert!(took < DEADLINE + Duration::from_millis(500), "{took:?}");
        assert!(!bell.is_silent());
        proxy.set(Mode::Pass);
        let rung = timeout(AFTER_AN_OUTAGE, bell).await;
        assert!(rung.is_ok(), "it is not known again what happens");
    }
}

/// The server then names no keys: all are gone.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_empties_the_server_ends_all_watches() {
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let id = world.signed_in().await;
    let other = world.signed_in().await;
    let watches = [world.watch(&id).await, world.watch(&other).await];
    server.ask(&["FLUSHALL"]).unwrap();
    for watch in watches {
        ends(watch, WatchEnd::Ended, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watch_on_one_connection_and_leave_nothing_behind() {
    const MANY: usize = 1000;
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let clients = || {
        let list = server.text(&["CLIENT", "LIST", "TYPE", "normal"]);
        // Not the one that asks.
        list.lines().count() - 1
    };
    assert_eq!(clients(), 2, "nobody watches");
    let mut watches = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..MANY {
        let id = world.signed_in().await;
        watches.push(tokio::spawn(world.here.open(Some(id.clone())).watch()));
        ids.push(id);
    }
    world.wait_for(MANY).await;
    assert_eq!(clients(), 3);
    let dropped = watches.split_off(MANY / 2);
    for watch in &dropped {
        watch.abort();
    }
    world.wait_for(MANY / 2).await;
    let began = Instant::now();
    let ended = world.elsewhere.end_all("user-42", None).await.unwrap();
    assert_eq!(ended, MANY);
    for watch in watches {
        ends(watch, WatchEnd::Ended, Duration::from_secs(10)).await;
    }
    println!("{} watches ended in {:?}", MANY / 2, began.elapsed());
    world.wait_for(0).await;
}

/// One command when it begins, beside the load; one and a load for whatever is told; nothing for who
/// writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_costs_a_command_and_the_writer_nothing() {
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let id = world.signed_in().await;
    let first = world.signed_in().await;
    let begun = world.watch(&first).await;
    // Has the server learn the scripts.
    for n in 0..3 {
        let warm = world.elsewhere(&id);
        warm.insert("n", &n).unwrap();
        warm.save().await.unwrap();
    }
    let mut monitor = RedisMonitor::start(&server).unwrap();
    let session = world.here.open(Some(id.clone()));
    session.names().await.unwrap();
    assert_eq!(monitor.sent(&server).unwrap(), ["getex"]);

    let watch = tokio::spawn(session.watch());
    let mut sent = Vec::new();
    while sent.len() < 2 {
        sent.extend(monitor.sent(&server).unwrap());
    }
    assert_eq!(sent, ["exists", "getex"]);

    let session = world.elsewhere(&id);
    session.insert("n", &7).unwrap();
    session.save().await.unwrap();
    let mut sent = Vec::new();
    while sent.len() < 4 {
        sent.extend(monitor.sent(&server).unwrap());
    }
    // The other one's load and update, and then what the ring costs.
    assert_eq!(sent.len(), 4, "{sent:?}");
    assert_eq!(&sent[2..], ["exists", "getex"]);
    watch.abort();
    begun.abort();
}

/// However often a session is written, it is looked at ten times a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_written_all_the_time_is_looked_at_now_and_then() {
    let server = RedisServer::start(&[]).unwrap();
    let world = World::new(&server.url(), &server.url()).await;
    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    let mut monitor = RedisMonitor::start(&server).unwrap();
    let began = Instant::now();
    let mut writes = 0;
    let session = world.elsewhere(&id);
    while began.elapsed() < Duration::from_secs(1) {
        session.insert("n", &writes).unwrap();
        session.save().await.unwrap();
        writes += 1;
    }
    let sent = monitor.sent(&server).unwrap();
    let registered = sent.iter().filter(|name| *name == "exists").count();
    println!("{registered} looks at {writes} writes");
    assert!((2..=12).contains(&registered), "{registered} looks");
    assert!(writes > 2 * registered, "{writes} writes");
    session.delete().await.unwrap();
    ends(watch, WatchEnd::Ended, SOON).await;
}

/// A server that does not let it, one that speaks the older protocol, a connection that is ready: the
/// store says that it is silent, and watches ask.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_does_not_tell_a_watch_asks() {
    let server = RedisServer::start(&[]).unwrap();
    let user = [
        "ACL",
        "SETUSER",
        "quiet",
        "on",
        ">secret",
        "~*",
        "+@all",
        "-client|tracking",
    ];
    server.ask(&user).unwrap();
    let denied = format!("redis://quiet:secret@127.0.0.1:{}", server.port());
    let resp2 = format!("{}?protocol=resp2", server.url());
    let client = redis_client(&server.url());
    let ready = client.get_multiplexed_async_connection().await.unwrap();
    let sources = [
        Source::from(denied),
        Source::from(resp2),
        Source::ready(ready),
    ];
    for source in sources {
        let store = RedisStore::builder(source).connect().await.unwrap();
        for _ in 0..2 {
            let bell = store.watch(&common::key(1)).await.unwrap();
            assert!(bell.is_silent());
        }
        let manager = SessionManager::builder(store)
            .watch_every(Duration::from_millis(50))
            .build();
        let session = manager.open(None);
        session.insert("n", &1).unwrap();
        session.save().await.unwrap();
        let id = session.id().await.unwrap();
        let watch = tokio::spawn(session.watch());
        let other = common_manager(&server).await;
        other.open(id).delete().await.unwrap();
        ends(watch, WatchEnd::Ended, SOON).await;
    }
}

fn redis_client(url: &str) -> obsession_redis::redis::Client {
    obsession_redis::redis::Client::open(url).unwrap()
}

async fn common_manager(server: &RedisServer) -> SessionManager {
    SessionManager::new(RedisStore::connect(&server.url()).await.unwrap())
}

/// The connection of the watches follows the master.
#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinel_it_outlives_its_master() {
    let mut servers = RedisSentinel::start(&[]).unwrap();
    let world = World::new(&servers.url(), &servers.url()).await;
    let id = world.signed_in().await;
    let watch = world.watch(&id).await;
    let old = servers.master();
    let master = servers
        .servers
        .iter_mut()
        .find(|server| server.port() == old);
    master.unwrap().kill();
    let began = Instant::now();
    while world.elsewhere(&id).delete().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "no new master");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ends(watch, WatchEnd::Ended, AFTER_AN_OUTAGE).await;
}
