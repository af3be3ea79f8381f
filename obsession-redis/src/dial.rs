//! The one connection that all calls share, and how it is made again.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::io::AsyncDNSResolver;
use redis::sentinel::SentinelClient;
use redis::{
    Arg, AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, PushInfo, PushKind, RedisError,
    RedisFuture, RedisResult, Value,
};
use tokio::sync::watch;

use crate::push::Places;

/// A connection to one server or to all of a Cluster.
#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
    Ready(Box<dyn Ready>),
}

/// A connection that the application has made itself.
pub(crate) trait Ready: ConnectionLike + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn Ready>;
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Ready for C {
    fn boxed_clone(&self) -> Box<dyn Ready> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Ready> {
    fn clone(&self) -> Self {
        (**self).boxed_clone()
    }
}

impl Connection {
    pub(crate) async fn send(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::One(connection) => connection.req_packed_command(cmd).await,
            Self::Cluster(connection) => connection.req_packed_command(cmd).await,
            Self::Ready(connection) => connection.req_packed_command(cmd).await,
        };
        answer?.extract_error()
    }

    /// Sends commands in one piece, on a Cluster to the node of the first command or to `node`. An
    /// answer may be an error.
    pub(crate) async fn send_together(
        &mut self,
        pipeline: &Pipeline,
        node: Option<(String, u16)>,
    ) -> RedisResult<Vec<Value>> {
        let count = pipeline.len();
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, 0, count).await,
            Self::Ready(connection) => connection.req_packed_commands(pipeline, 0, count).await,
            Self::Cluster(connection) => {
                let route = match node {
                    Some((host, port)) => SingleNodeRoutingInfo::ByAddress { host, port },
                    None => pipeline.cmd_iter().next().and_then(route).into(),
                };
                // It is large, and in the future of every call.
                let routed = connection.route_pipeline(pipeline.clone(), 0, count, route);
                Box::pin(routed).await
            }
        }
    }
}

/// The master of a command's first key.
fn route(cmd: &Cmd) -> Option<Route> {
    let mut args = cmd.args_iter().filter_map(|arg| match arg {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let script = args.next()?.starts_with(b"EVAL");
    let key = args.nth(if script { 2 } else { 0 })?;
    Some(Route::with_key(key, SlotAddr::Master))
}

/// Where connections come from.
pub(crate) enum Target {
    Server(Client),
    /// Asked for the master at every dial.
    Sentinel {
        client: tokio::sync::Mutex<SentinelClient>,
        /// Whether the master is spoken to in RESP3.
        resp3: bool,
    },
    Cluster(ClusterClient),
    /// The application looks after it.
    Ready(Connection),
}

/// How to dial.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) patience: Duration,
    /// What to look names up with, if not with the operating system.
    pub(crate) resolver: Option<Resolver>,
    /// Who is told what the server says of its own accord.
    pub(crate) told: Option<Weak<Places>>,
}

impl Manner {
    pub(crate) fn told_of(self, places: Weak<Places>) -> Self {
        Self {
            told: Some(places),
            ..self
        }
    }
}

/// Looks host names up.
#[derive(Clone)]
pub(crate) struct Resolver(pub(crate) Arc<dyn AsyncDNSResolver>);

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        self.0.resolve(host, port)
    }
}

impl Target {
    /// Whether a server can say something of its own accord on connections of its.
    pub(crate) fn is_told(&self) -> bool {
        match self {
            Self::Server(client) => {
                let settings = client.get_connection_info().redis_settings();
                settings.protocol().supports_resp3()
            }
            Self::Sentinel { resp3, .. } => *resp3,
            // Each node would have to be watched, and followed when a slot moves.
            Self::Cluster(_) | Self::Ready(_) => false,
        }
    }

    async fn dial(&self, manner: &Manner) -> RedisResult<Live> {
        let closed = Arc::new(AtomicBool::new(false));
        let config = |resp3| {
            let mut config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(manner.patience))
                // Calls have a deadline of their own, which says whether they were sent.
                .set_response_timeout(None);
            if let Some(resolver) = &manner.resolver {
                config = config.set_dns_resolver(resolver.clone());
            }
            if resp3 {
                let (closed, told) = (Arc::clone(&closed), manner.told.clone());
                config = config.set_push_sender(move |push: PushInfo| {
                    if push.kind == PushKind::Disconnection {
                        closed.store(true, Ordering::Release);
                    }
                    if let Some(places) = told.as_ref().and_then(Weak::upgrade) {
                        places.told(&push);
                    }
                    Ok::<(), redis::aio::SendError>(())
                });
            }
            config
        };
        let connection = match self {
            // The name of the host is looked up anew each time.
            Self::Server(client) => {
                let settings = client.get_connection_info().redis_settings();
                let config = config(settings.protocol().supports_resp3());
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
                    .map(Connection::One)?
            }
            Self::Sentinel { client, resp3 } => client
                .lock()
                .await
                .get_async_connection_with_config(&config(*resp3))
                .await
                .map(Connection::One)?,
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
            Self::Ready(connection) => connection.clone(),
        };
        Ok(Live { connection, closed })
    }
}

/// A connection, and whether its other end has closed it. Only with RESP3 that is known before
/// something is sent on it, and not of a Cluster, which looks after that itself.
struct Live {
    connection: Connection,
    closed: Arc<AtomicBool>,
}

/// Keeps a connection and makes it anew, once for all who wait.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Shared>);

struct Shared {
    target: Arc<Target>,
    manner: Manner,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Live>,
    /// How many connections there have been.
    generation: u64,
    dialing: Option<watch::Receiver<Option<RedisResult<()>>>>,
}

impl Dialer {
    pub(crate) fn new(target: Arc<Target>, manner: Manner) -> Self {
        Self(Arc::new(Shared {
            target,
            manner,
            state: Mutex::default(),
        }))
    }

    /// The connection, and which one it is. Waits for one that is being made.
    pub(crate) async fn connection(&self) -> RedisResult<(Connection, u64)> {
        loop {
            let mut dialing = {
                let mut state = self.state();
                if let Some(live) = &state.current {
                    if !live.closed.load(Ordering::Acquire) {
                        return Ok((live.connection.clone(), state.generation));
                    }
                    state.current = None;
                }
                self.start(&mut state)
            };
            let ended = dialing.wait_for(Option::is_some).await;
            match ended.as_deref() {
                Ok(Some(Err(error))) => return Err(error.clone()),
                Ok(_) => {}
                Err(_) => {
                    // Its runtime is gone.
                    self.state().dialing = None;
                    let error = (ErrorKind::Io, "connecting was given up");
                    return Err(RedisError::from(error));
                }
            }
        }
    }

    /// Never uses this connection again.
    pub(crate) fn discard(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            state.current = None;
        }
    }

    /// Makes another one, and uses this one until it is there: it may be half open, or slow.
    pub(crate) fn renew(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation && state.current.is_some() {
            drop(self.start(&mut state));
        }
    }

    /// Dials in a task of its own, which a caller that is dropped does not stop.
    fn start(&self, state: &mut State) -> watch::Receiver<Option<RedisResult<()>>> {
        if let Some(dialing) = &state.dialing {
            return dialing.clone();
        }
        let (tell, dialing) = watch::channel(None);
        state.dialing = Some(dialing.clone());
        let dialer = self.clone();
        tokio::spawn(async move {
            let made = dialer.0.target.dial(&dialer.0.manner).await;
            let mut state = dialer.state();
            state.dialing = None;
            let outcome = made.map(|live| {
                state.current = Some(live);
                state.generation += 1;
            });
            drop(state);
            if let Err(error) = &outcome {
                tracing::warn!(%error, "no connection to Redis");
            }
            tell.send_replace(Some(outcome));
        });
        dialing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can panic half-way.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match *self.0.target {
            Target::Server(_) => "server",
            Target::Sentinel { .. } => "sentinel",
            Target::Cluster(_) => "cluster",
            Target::Ready(_) => "ready",
        };
        f.debug_tuple("Dialer").field(&kind).finish()
    }
}
