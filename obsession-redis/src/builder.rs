//! How a store is configured and opened.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obsession_core::{Clock, SystemClock};
use redis::Client;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::AsyncDNSResolver;
use redis::sentinel::SentinelClient;

use crate::dial::{Connection, Dialer, Manner, Resolver, Target};
use crate::layout::Keys;
use crate::line::{Line, Wait};
use crate::make::Kept;
use crate::push::Pushes;
use crate::store::Shared;
use crate::swap::Loaded;
use crate::url::{self, Place};
use crate::{ConnectError, RedisStore, once};

/// Where Redis is: a URL, a client of the `redis` crate, or a connection that is ready.
///
/// A client is asked for a connection whenever one is lost. A connection that is ready is the
/// application's to look after: a [`MultiplexedConnection`] does not come back, a connection
/// manager does.
#[must_use]
pub struct Source(Kind);

enum Kind {
    Url(String),
    Server(Client),
    Sentinel(SentinelClient),
    Cluster(ClusterClientBuilder),
    Ready(Connection),
    ReadyCluster(ClusterConnection),
}

impl Source {
    /// Any connection to one server that can be shared by cloning it, and sends a pipeline in one piece.
    ///
    /// It must not send a command again that may have been carried out. Those of the `redis` crate do
    /// not, its connection manager included.
    pub fn ready(connection: impl ConnectionLike + Clone + Send + Sync + 'static) -> Self {
        if let Some(cluster) = (&connection as &dyn Any).downcast_ref::<ClusterConnection>() {
            return Self::from(cluster.clone());
        }
        Self(Kind::Ready(Connection::Ready(Box::new(connection))))
    }
}

impl From<&str> for Source {
    fn from(url: &str) -> Self {
        Self(Kind::Url(url.to_owned()))
    }
}

impl From<String> for Source {
    fn from(url: String) -> Self {
        Self(Kind::Url(url))
    }
}

impl From<Client> for Source {
    fn from(client: Client) -> Self {
        Self(Kind::Server(client))
    }
}

/// It must be one for masters.
impl From<SentinelClient> for Source {
    fn from(client: SentinelClient) -> Self {
        Self(Kind::Sentinel(client))
    }
}

/// Its number of retries, its timeouts and the version of its protocol are set by the store.
impl From<ClusterClientBuilder> for Source {
    fn from(builder: ClusterClientBuilder) -> Self {
        Self(Kind::Cluster(builder))
    }
}

impl From<MultiplexedConnection> for Source {
    fn from(connection: MultiplexedConnection) -> Self {
        Self(Kind::Ready(Connection::One(connection)))
    }
}

/// It must come from a client that was built with `retries(0)`: with more, the `redis` crate sends a
/// write again of which nobody knows whether it was applied, and an update can then be made twice.
/// Connecting tries it, with a script that counts on a key under the prefix, and refuses the others.
/// With RESP3, which a builder that is handed over has set, it notices lost connections in time.
impl From<ClusterConnection> for Source {
    fn from(connection: ClusterConnection) -> Self {
        Self(Kind::ReadyCluster(connection))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL or a client may have a password in it.
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// Configures a [`RedisStore`].
#[must_use]
pub struct RedisStoreBuilder {
    source: Source,
    prefix: String,
    deadline: Duration,
    wait: Option<Wait>,
    resolver: Option<Resolver>,
    clock: Arc<dyn Clock>,
}

impl RedisStoreBuilder {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            prefix: "session:".to_owned(),
            deadline: Duration::from_secs(1),
            wait: None,
            resolver: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// What all keys begin with; `session:` unless set. It may not have braces.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// How long a call may take, with everything that it sends, and how long connecting may take;
    /// 1 second unless set. It should be shorter than the manager's, which is 2 seconds unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Has the end of a session confirmed by this many replicas, waiting at most so long for them.
    ///
    /// It holds for [`delete`](obsession_core::SessionStore::delete) and
    /// [`delete_subject`](obsession_core::SessionIndex::delete_subject), which wait on a connection
    /// of their own. If too few confirm in time, the call is an error of unknown effect, though the
    /// master has ended the session; made again, it waits again. A failover can still bring a
    /// session back that was confirmed to be gone, if the replica that is promoted was not among
    /// those that confirmed.
    ///
    /// Other writes do not wait: an update that replaces a token looks like any other to a store.
    pub fn wait_replicas(mut self, replicas: usize, timeout: Duration) -> Self {
        self.wait = (replicas > 0).then_some(Wait {
            replicas,
            patience: timeout,
        });
        self
    }

    /// Looks host names up with this; with the operating system unless set.
    ///
    /// A name is looked up for every new connection: to the server, to the master that Sentinels
    /// name, to a node of a Cluster. Those of the Sentinels themselves are left to the operating
    /// system, and connections that are handed over to whoever made them.
    pub fn resolver(mut self, resolver: impl AsyncDNSResolver) -> Self {
        self.resolver = Some(Resolver(Arc::new(resolver)));
        self
    }

    /// The clock by which deadlines become times to live; the operating system's unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL or the prefix, or why there is no connection.
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
        if self.prefix.contains(['{', '}']) {
            return Err(ConnectError::Prefix);
        }
        let manner = Manner {
            patience: self.deadline,
            resolver: self.resolver,
            told: None,
        };
        let Place { target, cluster } = match self.source.0 {
            Kind::Url(url) => url::parse(&url, &manner)?,
            Kind::Server(client) => Place::one(Target::Server(client)),
            Kind::Sentinel(client) => Place::one(Target::Sentinel {
                client: tokio::sync::Mutex::new(client),
                // It does not say which protocol it has been told to speak.
                resp3: false,
            }),
            Kind::Ready(connection) => Place::one(Target::Ready(connection)),
            Kind::Cluster(builder) => Place {
                target: Target::Cluster(url::careful(builder, &manner)?),
                cluster: true,
            },
            Kind::ReadyCluster(connection) => {
                once::check(connection.clone(), &self.prefix, &manner).await?;
                Place {
                    target: Target::Ready(Connection::Cluster(connection)),
                    cluster: true,
                }
            }
        };
        let target = Arc::new(target);
        let dial = || Dialer::new(Arc::clone(&target), manner.clone());
        let line = Line::new(dial(), self.deadline, cluster);
        line.connect().await?;
        let ending = match self.wait {
            Some(wait) => Line::new(dial(), self.deadline, cluster).waiting(wait),
            None => line.clone(),
        };
        let pushes = Pushes::new(&target, &manner);
        tracing::debug!(cluster, "connected to Redis");
        Ok(RedisStore {
            shared: Arc::new(Shared {
                line,
                ending,
                keys: Keys::new(&self.prefix),
                clock: self.clock,
                loaded: Loaded::new(),
                kept: Kept::new(),
                pushes,
            }),
        })
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("source", &self.source)
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .field("wait", &self.wait)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
