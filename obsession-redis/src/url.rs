//! From a URL to where connections come from.

use percent_encoding::percent_decode_str;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsMode};

use crate::ConnectError;
use crate::dial::{Manner, Target};

/// Where Redis is.
pub(crate) struct Place {
    pub(crate) target: Target,
    pub(crate) cluster: bool,
}

impl Place {
    pub(crate) fn one(target: Target) -> Self {
        Self {
            target,
            cluster: false,
        }
    }
}

struct Parts<'a> {
    tls: bool,
    /// `user:password@`, or nothing.
    credentials: &'a str,
    hosts: Vec<&'a str>,
    /// `/0`, or nothing.
    path: &'a str,
    query: &'a str,
}

/// What a URL leads to, of any of the kinds that [`RedisStore::connect`](crate::RedisStore::connect)
/// names.
pub(crate) fn parse(url: &str, manner: &Manner) -> Result<Place, ConnectError> {
    let (scheme, rest) = url.split_once("://").ok_or(wrong("it has no scheme"))?;
    let (tls, kind) = match scheme.split_once('+').unwrap_or((scheme, "")) {
        ("redis" | "valkey", kind) => (false, kind),
        ("rediss" | "valkeys", kind) => (true, kind),
        _ => return Err(wrong("the scheme is not redis or rediss")),
    };
    if tls {
        prepare_tls()?;
    }
    let parts = Parts::split(tls, rest)?;
    match kind {
        "" => Ok(Place::one(Target::Server(server(url, &parts)?))),
        "sentinel" => Ok(Place::one(sentinel(&parts)?)),
        "cluster" => {
            let target = Target::Cluster(cluster(&parts, manner)?);
            Ok(Place {
                target,
                cluster: true,
            })
        }
        _ => Err(wrong("after the + there is neither sentinel nor cluster")),
    }
}

/// A Cluster's client that never sends a command twice.
///
/// By itself it sends a command again whose connection was lost, though it may have been carried
/// out: an increment would then be seen as somebody else's, and made a second time. It speaks RESP3,
/// because only then does it notice a lost connection before something is sent on it.
pub(crate) fn careful(
    mut builder: ClusterClientBuilder,
    manner: &Manner,
) -> Result<ClusterClient, ConnectError> {
    let patience = manner.patience;
    if let Some(resolver) = &manner.resolver {
        builder = builder.async_dns_resolver(resolver.clone());
    }
    let client = builder
        .retries(0)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(patience)
        // Only so that nothing is kept for ever: calls have a deadline of their own.
        .response_timeout(patience * 4)
        .build()?;
    Ok(client)
}

impl<'a> Parts<'a> {
    fn split(tls: bool, rest: &'a str) -> Result<Self, ConnectError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (credentials, hosts) = match authority.rfind('@') {
            Some(at) => authority.split_at(at + 1),
            None => ("", authority),
        };
        let hosts: Vec<_> = hosts.split(',').collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err(wrong("a host is missing"));
        }
        Ok(Self {
            tls,
            credentials,
            hosts,
            path,
            query,
        })
    }

    fn info(
        &self,
        credentials: &str,
        host: &str,
        path: &str,
    ) -> Result<ConnectionInfo, ConnectError> {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let url = format!("{scheme}://{credentials}{host}{path}");
        Ok(url.into_connection_info()?)
    }

    /// The value of a name in the query, as it is written there.
    fn query(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    fn only(&self, names: &[&str]) -> Result<(), ConnectError> {
        let mut found = self.query.split('&').filter(|pair| !pair.is_empty());
        let known = |pair: &str| names.contains(&pair.split('=').next().unwrap_or_default());
        if found.all(known) {
            Ok(())
        } else {
            Err(wrong("its query has a name that is not known"))
        }
    }
}

/// One server's client, which speaks RESP3 unless the URL says otherwise.
fn server(url: &str, parts: &Parts<'_>) -> Result<Client, ConnectError> {
    let mut info = url.into_connection_info()?;
    if parts.query("protocol").is_none() {
        let settings = info.redis_settings().clone();
        info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
    }
    Ok(Client::open(info)?)
}

fn sentinel(parts: &Parts<'_>) -> Result<Target, ConnectError> {
    parts.only(&["master", "sentinel_username", "sentinel_password"])?;
    let name = parts.query("master").filter(|name| !name.is_empty());
    let name = name.ok_or(wrong("it does not say ?master=NAME"))?;
    let name = percent_decode_str(name)
        .decode_utf8()
        .map_err(|_| wrong("the master's name is not UTF-8"))?;
    let credentials = match (
        parts.query("sentinel_username"),
        parts.query("sentinel_password"),
    ) {
        (None, None) => String::new(),
        (user, password) => format!("{}:{}@", user.unwrap_or(""), password.unwrap_or("")),
    };
    let mut sentinels = Vec::new();
    for host in &parts.hosts {
        let host = with_port(host, 26379);
        sentinels.push(parts.info(&credentials, &host, "")?);
    }
    // The host is a stand-in: the sentinels say where the master is.
    let master = parts.info(parts.credentials, "localhost", parts.path)?;
    let settings = master.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP3);
    let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(settings);
    if parts.tls {
        node = node.set_tls_mode(TlsMode::Secure);
    }
    // Without TLS the function takes a `String` and nothing else.
    let name = String::from(name);
    let client = SentinelClient::build(sentinels, name, Some(node), SentinelServerType::Master)?;
    Ok(Target::Sentinel {
        client: tokio::sync::Mutex::new(client),
        resp3: true,
    })
}

fn cluster(parts: &Parts<'_>, manner: &Manner) -> Result<ClusterClient, ConnectError> {
    parts.only(&[])?;
    if !matches!(parts.path, "" | "/" | "/0") {
        return Err(wrong("a Cluster has no numbered databases"));
    }
    let mut nodes = Vec::new();
    for host in &parts.hosts {
        nodes.push(parts.info(parts.credentials, &with_port(host, 6379), "")?);
    }
    careful(ClusterClientBuilder::new(nodes), manner)
}

fn with_port(host: &str, port: u16) -> String {
    // The colons of an IPv6 address are in brackets.
    match host.rsplit_once(':') {
        Some((_, after)) if !after.contains(']') => host.to_owned(),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(feature = "tls")]
#[allow(
    clippy::unnecessary_wraps,
    reason = "without the feature it is an error"
)]
fn prepare_tls() -> Result<(), ConnectError> {
    // If the application has chosen one, that one stays.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn prepare_tls() -> Result<(), ConnectError> {
    Err(ConnectError::NoTls)
}

const fn wrong(reason: &'static str) -> ConnectError {
    ConnectError::Url { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner = Manner {
        patience: std::time::Duration::from_secs(1),
        resolver: None,
        told: None,
    };

    fn refusal(url: &str) -> String {
        match parse(url, &MANNER) {
            Ok(_) => panic!("{url} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn urls_of_every_kind_are_understood() {
        for (url, cluster) in [
            ("redis://127.0.0.1", false),
            ("redis://user:p%40ss@localhost:6380/3", false),
            ("redis+sentinel://a:1,b,[::1]:3/2?master=my%20master", false),
            ("redis+sentinel://:p@a?master=m&sentinel_password=q", false),
            ("redis+cluster://a:1,b:2", true),
            ("redis+cluster://user:pass@[::1],b", true),
        ] {
            let place = parse(url, &MANNER);
            assert_eq!(
                place.map(|place| place.cluster).ok(),
                Some(cluster),
                "{url}"
            );
        }
    }

    #[test]
    fn a_wrong_url_is_refused_with_a_reason_and_without_its_password() {
        for (url, reason) in [
            ("redis", "no scheme"),
            ("http://secret@a", "not redis"),
            ("redis+ring://secret@a", "neither"),
            ("redis+sentinel://secret@a", "master"),
            ("redis+sentinel://secret@a?master=m&db=1", "not known"),
            ("redis+cluster://secret@a,,b", "host"),
            ("redis+cluster://secret@a/1", "numbered"),
        ] {
            let said = refusal(url);
            assert!(said.contains(reason), "{url}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
