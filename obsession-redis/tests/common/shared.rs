//! Servers that all cases of a suite share, though some kill them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use obsession_core::SessionIndex;
use obsession_core::conformance::Setup;
use obsession_redis::RedisStore;
use testing::RedisServers;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Servers for every case of a test program. They end with the process.
pub type Shared<S> = LazyLock<Arc<RwLock<S>>>;

/// Servers that write everything to disk before they answer, so that what was acknowledged is there
/// after a kill.
pub const DURABLE: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// A store for one case, a second one on its records, and one beside them.
///
/// What kills servers waits until all other cases on them have ended, and has them to itself until its
/// own case has. So that not everybody waits, the cases that do are on servers of their own, as far
/// as the name of their thread tells.
pub async fn setup<S: RedisServers, T: SessionIndex>(
    calm: &'static Shared<S>,
    killed: &'static Shared<S>,
    shown: fn(RedisStore) -> T,
) -> Setup<T> {
    let kills = ["outage", "reopen"];
    let name = std::thread::current();
    let name = name.name().and_then(|name| name.rsplit("::").next());
    let name = name.unwrap_or_default();
    // Calls to a Cluster that is away wait until their deadline.
    let (servers, seconds) = if kills.iter().any(|kind| name.starts_with(kind)) {
        (killed, 2)
    } else {
        (calm, 3)
    };
    let open = async move |url: &str, prefix: &str| {
        // On a busy machine, servers that hundreds connect to may take longer than a call may.
        for _ in 0..5 {
            let builder = RedisStore::builder(url).prefix(prefix);
            let builder = builder.deadline(Duration::from_secs(seconds));
            if let Ok(store) = builder.connect().await {
                return shown(store);
            }
        }
        unreachable!("the servers cannot be connected to")
    };
    let servers = Arc::clone(servers);
    let shared = servers.clone().read_owned().await;
    let url = shared.url();
    let hold = Hold {
        servers,
        held: Held::WithOthers(shared),
        down: false,
    };
    let hold = Arc::new(Mutex::new(hold));
    let prefix = super::prefix();
    let store = open(&url, &prefix).await;
    let peer = open(&url, &prefix).await;
    let neighbour = open(&url, &super::prefix()).await;
    let begin = {
        let hold = Arc::clone(&hold);
        move || {
            let hold = Arc::clone(&hold);
            async move { hold.lock().await.kill().await }
        }
    };
    let end = {
        let hold = Arc::clone(&hold);
        move || {
            let hold = Arc::clone(&hold);
            async move { hold.lock().await.restart() }
        }
    };
    let reopen = {
        let hold = Arc::clone(&hold);
        move |store: T| {
            let (hold, url, prefix) = (Arc::clone(&hold), url.clone(), prefix.clone());
            async move {
                drop(store);
                let mut hold = hold.lock().await;
                hold.kill().await;
                hold.restart();
                open(&url, &prefix).await
            }
        }
    };
    Setup::new(store)
        .neighbour(neighbour)
        .peer(peer)
        .outage(begin, end)
        .reopen(reopen)
        .keep(hold)
}

/// A case's hold on the servers.
struct Hold<S: RedisServers> {
    servers: Arc<RwLock<S>>,
    held: Held<S>,
    down: bool,
}

enum Held<S> {
    WithOthers(OwnedRwLockReadGuard<S>),
    /// Between the two others.
    Nothing,
    Alone(OwnedRwLockWriteGuard<S>),
}

impl<S: RedisServers> Hold<S> {
    async fn kill(&mut self) {
        if let Held::WithOthers(_) = self.held {
            // Two cases that wait for each other's end would wait for ever.
            self.held = Held::Nothing;
            self.held = Held::Alone(self.servers.clone().write_owned().await);
        }
        if let Held::Alone(servers) = &mut self.held {
            servers.kill();
            self.down = true;
        }
    }

    fn restart(&mut self) {
        if let (Held::Alone(servers), true) = (&mut self.held, self.down) {
            servers.restart().unwrap();
            self.down = false;
        }
    }
}

impl<S: RedisServers> Drop for Hold<S> {
    /// A case that failed while they were down leaves them to the others all the same.
    fn drop(&mut self) {
        self.restart();
    }
}
