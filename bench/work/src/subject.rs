//! The clients of a library in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::{Chance, Contestant, Kind, Library, Outcome, Round, Size};

/// How many tasks make the sessions.
const MAKERS: usize = 50;
const KEYS: [&str; 3] = ["key-0", "key-3", "key-7"];

/// A library, and the clients of its sessions.
pub struct Subject {
    library: Arc<dyn Library>,
    size: Size,
    values: Arc<[(String, String)]>,
    ids: Arc<[String]>,
}

/// Sessions of a client: all there are, with the other clients, or its own.
enum Ids {
    All(Arc<[String]>),
    Own(Vec<String>),
}

/// What one client has seen.
struct Seen {
    times: Vec<Duration>,
    /// Its own sessions, as they are now.
    own: Vec<String>,
}

/// What one client does.
struct Client {
    library: Arc<dyn Library>,
    values: Arc<[(String, String)]>,
    kind: Kind,
    ids: Ids,
    most: usize,
}

impl Subject {
    /// Makes the sessions, and sees that they are there.
    pub async fn new(library: impl Library, size: Size) -> Outcome<Self> {
        let library: Arc<dyn Library> = Arc::new(library);
        let values: Arc<[_]> = size.values().into();
        let makers: Vec<_> = (0..MAKERS)
            .map(|_| {
                let (library, values) = (Arc::clone(&library), Arc::clone(&values));
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    for _ in 0..size.sessions() / MAKERS {
                        ids.push(library.make(&values).await?);
                    }
                    Outcome::Ok(ids)
                })
            })
            .collect();
        let mut ids = Vec::new();
        for maker in makers {
            ids.extend(maker.await??);
        }
        for id in ids.iter_mut().step_by(997) {
            library.read_and_write(id, "key-3", "checked").await?;
            library.read(id, "key-3").await?;
            let old = std::mem::take(id);
            *id = library.sign_in(&old, "key-3", "signed in").await?;
            library.read(id, "key-3").await?;
            if library.read(&old, "key-3").await.is_ok() {
                return Err("the id before a sign-in is still good".into());
            }
        }
        Ok(Self {
            library,
            size,
            values,
            ids: ids.into(),
        })
    }

    fn start(
        &self,
        kind: Kind,
        ids: Ids,
        tasks: usize,
        time: Duration,
    ) -> JoinHandle<Outcome<Seen>> {
        let client = Client {
            library: Arc::clone(&self.library),
            values: Arc::clone(&self.values),
            kind,
            ids,
            most: self.size.new_ones() / tasks,
        };
        tokio::spawn(client.run(time))
    }
}

#[async_trait]
impl Contestant for Subject {
    async fn round(&mut self, kind: Kind, tasks: usize, time: Duration) -> Outcome<Round> {
        // Who signs in has sessions that nobody else uses, since their ids change.
        let ids: Vec<_> = match kind {
            Kind::SignIn => {
                let share = self.ids.len().div_ceil(tasks);
                let shares = self.ids.chunks(share);
                shares.map(|own| Ids::Own(own.to_vec())).collect()
            }
            _ => (0..tasks)
                .map(|_| Ids::All(Arc::clone(&self.ids)))
                .collect(),
        };
        let began = Instant::now();
        let clients: Vec<_> = ids
            .into_iter()
            .map(|ids| self.start(kind, ids, tasks, time))
            .collect();
        let mut seen = Vec::new();
        for client in clients {
            seen.push(client.await??);
        }
        let took = began.elapsed();
        let (mut times, mut own) = (Vec::new(), Vec::new());
        for seen in seen {
            times.extend(seen.times);
            own.extend(seen.own);
        }
        if kind == Kind::SignIn {
            self.ids = own.into();
        }
        Round::of(times, took)
    }
}

impl Ids {
    fn get(&self) -> &[String] {
        match self {
            Self::All(ids) => ids,
            Self::Own(ids) => ids,
        }
    }
}

impl Client {
    async fn run(mut self, time: Duration) -> Outcome<Seen> {
        let mut chance = Chance::new();
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < time && (self.kind != Kind::New || times.len() < self.most) {
            let id = chance.below(self.ids.get().len());
            let key = KEYS[chance.below(KEYS.len())];
            let began = Instant::now();
            self.request(id, key, &mut chance).await?;
            times.push(began.elapsed());
            // Its next one comes by itself, and others before it: a store that never waits would else
            // serve one client after the other.
            tokio::task::yield_now().await;
        }
        Ok(Seen {
            times,
            own: match self.ids {
                Ids::All(_) => Vec::new(),
                Ids::Own(own) => own,
            },
        })
    }

    async fn request(&mut self, id: usize, key: &str, chance: &mut Chance) -> Outcome<()> {
        let (library, old) = (&self.library, &self.ids.get()[id]);
        match self.kind {
            Kind::Read => library.read(old, key).await?,
            Kind::ReadAndWrite => {
                let value = format!("{:016x}", chance.next());
                library.read_and_write(old, key, &value).await?;
            }
            Kind::New => drop(library.make(&self.values).await?),
            Kind::SignIn => {
                let value = format!("{:016x}", chance.next());
                let new = library.sign_in(old, key, &value).await?;
                if let Ids::Own(own) = &mut self.ids {
                    own[id] = new;
                }
            }
        }
        Ok(())
    }
}
