//! TLS, to one server, to Sentinels and their master, and to a Cluster, with certificates that are
//! checked.

#![cfg(feature = "tls")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{of, prefix, record, rewritten};
use obsession_core::{Create, Delete, SessionIndex, SessionStore, StoreError, Update};
use obsession_redis::redis::cluster::ClusterClientBuilder;
use obsession_redis::redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use obsession_redis::redis::{ConnectionAddr, TlsCertificates, TlsMode};
use obsession_redis::{RedisStore, Source};
use testing::{Certificates, RedisCluster, RedisSentinel, RedisServer};

/// Set in a process that is to connect to this.
const URL: &str = "OBSESSION_TEST_URL";

async fn works(store: &RedisStore, n: u64) {
    try_all(store, n).await.unwrap();
}

/// Makes every kind of call, with a key and a subject of its own.
async fn try_all(store: &RedisStore, n: u64) -> Result<(), StoreError> {
    let subject = format!("zoë {n}");
    let old = of(&subject, record(n));
    assert_eq!(store.create(&old).await?, Create::Created);
    let next = rewritten(&old, b"next");
    let updated = store.update(old.revision, &next).await?;
    assert_eq!(updated, Update::Updated);
    assert_eq!(store.list(&subject, None, 10).await?, [next]);
    assert_eq!(store.delete(&old.key).await?, Delete::Deleted);
    Ok(())
}

/// Connects to the URL in a process of its own, whose system trusts these certificates or whatever it
/// is that this system trusts. Gives what it said if it did not work.
fn elsewhere(url: &str, trusted: Option<&Certificates>) -> Result<(), String> {
    let mut process = Command::new(std::env::current_exe().unwrap());
    let name = "a_url_with_tls_is_checked_against_what_the_system_trusts";
    process.args(["--exact", name, "--nocapture"]).env(URL, url);
    if let Some(trusted) = trusted {
        process.env("SSL_CERT_FILE", trusted.authority());
    }
    let ended = process.output().unwrap();
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(said.contains("running 1 test"), "{said}");
    if ended.status.success() {
        Ok(())
    } else {
        Err(said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_tls_is_checked_against_what_the_system_trusts() {
    if let Ok(url) = std::env::var(URL) {
        return works(&common::store(&url).await, 1).await;
    }
    let certificates = Certificates::new().unwrap();
    let server = RedisServer::start_tls(&[], &certificates).unwrap();
    let servers = RedisSentinel::start_tls(&[], &certificates).unwrap();
    let cluster = RedisCluster::start_tls(&[], &certificates).unwrap();
    let urls = [server.public_url(), servers.url(), cluster.url()];
    for (url, scheme) in urls.iter().zip(["rediss:", "rediss+s", "rediss+c"]) {
        assert!(url.starts_with(scheme), "{url}");
        elsewhere(url, Some(&certificates)).unwrap();
        let said = elsewhere(url, None).unwrap_err();
        assert!(said.to_lowercase().contains("certificate"), "{url}: {said}");
    }
    // Without TLS, there is nothing to be had on these ports.
    for url in urls {
        elsewhere(&url.replace("rediss", "redis"), Some(&certificates)).unwrap_err();
    }
}

fn trusted(certificates: &Certificates) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(certificates.authority()).unwrap()),
    }
}

async fn store(source: impl Into<Source>) -> RedisStore {
    let builder = RedisStore::builder(source).prefix(&prefix());
    builder.connect().await.unwrap()
}

/// Waits until somebody else has taken the place of the master that was killed. Until all know of it a
/// call may fail, also after others have worked; each is tried with a key of its own then.
async fn is_replaced(store: &RedisStore) {
    let until = Instant::now() + Duration::from_secs(30);
    for key in 2..16 {
        let mut n = key;
        while let Err(error) = try_all(store, n).await {
            assert!(Instant::now() < until, "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            n += 16;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_sentinels_put_in_its_place_is_spoken_to_in_tls() {
    let certificates = Certificates::new().unwrap();
    let mut servers = RedisSentinel::start_tls(&[], &certificates).unwrap();
    let place = |server: &RedisServer| ConnectionAddr::TcpTls {
        host: "127.0.0.1".to_owned(),
        port: server.public_port(),
        insecure: false,
        tls_params: None,
    };
    let sentinels = servers.sentinels.iter().map(place);
    let kind = SentinelServerType::Master;
    let client = SentinelClientBuilder::new(sentinels, "main", kind)
        .unwrap()
        .set_client_to_sentinel_tls_mode(TlsMode::Secure)
        .set_client_to_sentinel_certificates(trusted(&certificates))
        .set_client_to_redis_tls_mode(TlsMode::Secure)
        .set_client_to_redis_certificates(trusted(&certificates))
        .build()
        .unwrap();
    let store = store(client).await;
    works(&store, 1).await;
    servers.servers[0].kill();
    is_replaced(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_a_cluster_promotes_is_spoken_to_in_tls() {
    let certificates = Certificates::new().unwrap();
    let mut cluster = RedisCluster::start_tls(&[], &certificates).unwrap();
    let urls = cluster.nodes.iter().map(RedisServer::public_url);
    let client = ClusterClientBuilder::new(urls).certs(trusted(&certificates));
    let store = store(client).await;
    for n in 0..16 {
        works(&store, n).await;
    }
    // Digits are on the last master.
    cluster.nodes[2].kill();
    is_replaced(&store).await;
}
