//! Servers that all cases of a suite share, though some kill them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use obsession_core::SessionStore;
use obsession_core::conformance::Setup;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::Servers;

/// Servers for every case of a test program. They end with the process.
pub type Shared<S> = LazyLock<Arc<RwLock<S>>>;

/// What a [`Shared`] begins with.
pub fn share<S: Servers>(servers: S) -> Arc<RwLock<S>> {
    Arc::new(RwLock::new(servers))
}

/// A store for one case, a second one on its records, and one beside them. `open` opens one with this
/// URL, under this name and with this deadline; `names` are those of the case and of what is beside it.
///
/// What kills servers waits until all other cases on them have ended, and has them to itself until its
/// own case has. So that not everybody waits, the cases that do are on servers of their own, as far
/// as the name of their thread tells.
pub async fn setup<S: Servers, T: SessionStore, F>(
    calm: &'static Shared<S>,
    killed: &'static Shared<S>,
    names: [String; 2],
    open: impl Fn(String, String, Duration) -> F + Clone + Send + Sync + 'static,
) -> Setup<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let kills = ["outage", "reopen"];
    let name = std::thread::current();
    let name = name.name().and_then(|name| name.rsplit("::").next());
    let name = name.unwrap_or_default();
    // Calls to servers that are away may wait until their deadline.
    let (servers, seconds) = if kills.iter().any(|kind| name.starts_with(kind)) {
        (killed, 2)
    } else {
        (calm, 3)
    };
    let deadline = Duration::from_secs(seconds);
    let servers = Arc::clone(servers);
    let shared = servers.clone().read_owned().await;
    let url = shared.url();
    let hold = Hold {
        servers,
        held: Held::WithOthers(shared),
        down: false,
    };
    let hold = Arc::new(Mutex::new(hold));
    let [own, beside] = names;
    let store = open(url.clone(), own.clone(), deadline).await;
    let peer = open(url.clone(), own.clone(), deadline).await;
    let neighbour = open(url.clone(), beside, deadline).await;
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
        move |store| {
            let (hold, url, own, open) =
                (Arc::clone(&hold), url.clone(), own.clone(), open.clone());
            async move {
                drop(store);
                let mut hold = hold.lock().await;
                hold.kill().await;
                hold.restart();
                open(url, own, deadline).await
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
struct Hold<S: Servers> {
    servers: Arc<RwLock<S>>,
    held: Held<S>,
    down: bool,
}

enum Held<S> {
    #[expect(dead_code, reason = "it is held, and nothing is asked of it")]
    WithOthers(OwnedRwLockReadGuard<S>),
    /// Between the two others.
    Nothing,
    Alone(OwnedRwLockWriteGuard<S>),
}

impl<S: Servers> Hold<S> {
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
            // Without them all cases to come fail, and say why.
            if let Err(error) = servers.restart() {
                eprintln!("a server does not start again: {error}");
            }
            self.down = false;
        }
    }
}

impl<S: Servers> Drop for Hold<S> {
    /// A case that failed while they were down leaves them to the others all the same.
    fn drop(&mut self) {
        self.restart();
    }
}
