//! The demo on Redis: one server, behind Sentinel, in a Cluster, with TLS, and when Redis fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

#[cfg(not(feature = "redis"))]
#[test]
fn a_build_without_redis_names_the_feature() {
    let said = common::Demo::try_start("redis://127.0.0.1:1", &[], "info")
        .err()
        .unwrap();
    assert!(said.contains("--features redis"), "{said}");
}

#[cfg(feature = "redis")]
mod with_the_feature {
    use hyper::StatusCode;
    use serde_json::json;
    use testing::{Certificates, RedisCluster, RedisSentinel, RedisServer};

    use crate::common::{self, Demo};

    async fn visit(store: &str) {
        let log = common::visit(store).await;
        for check in [
            "scripts: ok",
            "eviction: ok",
            "persistence: warning",
            "clock: ok",
        ] {
            assert!(log.contains(check), "{check}: {log}");
        }
    }

    #[tokio::test]
    async fn sessions_are_kept_by_one_server_by_sentinel_and_by_a_cluster() {
        let server = RedisServer::start(&[]).unwrap();
        visit(&server.url()).await;
        let servers = RedisSentinel::start(&[]).unwrap();
        visit(&servers.url()).await;
        let cluster = RedisCluster::start(&[]).unwrap();
        visit(&cluster.url()).await;
    }

    #[tokio::test]
    async fn a_redis_that_fails_is_a_503_and_leaves_the_cookie_alone() {
        let mut server = RedisServer::start(&[("appendonly", "yes")]).unwrap();
        let demo = Demo::start(&server.url());
        let client = demo.client();
        client.post("/visit", "").await;
        let cookie = client.cookie();
        let full = |limit| server.ask(&["CONFIG", "SET", "maxmemory", limit]).unwrap();
        full("1");
        let answer = client.post("/visit", "").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!answer.sets_cookie());
        assert_eq!(client.session().await["visits"], 1, "reading goes on");
        full("0");
        assert_eq!(client.post("/visit", "").await.json(), json!({"visits": 2}));

        server.kill();
        for _ in 0..3 {
            for answer in [
                client.post("/visit", "").await,
                client.get("/api/session").await,
            ] {
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(!answer.sets_cookie());
            }
        }
        assert_eq!(client.cookie(), cookie);
        server.restart().unwrap();
        assert_eq!(client.session().await["visits"], 2);
    }

    #[tokio::test]
    async fn no_token_and_no_password_reaches_the_server_s_files_or_the_log() {
        let settings = [("appendonly", "yes"), ("requirepass", "pass-of-redis")];
        let server = RedisServer::start(&settings).unwrap();
        let url = server.url().replace("redis://", "redis://:pass-of-redis@");
        let demo = Demo::start_with(&url, &[], "trace");
        let client = demo.client();
        client.post("/cart", r#"{"item": "quince"}"#).await;
        client.submit("/sign-in", "user=zoe").await;
        let token = client
            .cookie()
            .unwrap()
            .split_once('=')
            .unwrap()
            .1
            .to_owned();
        let secret = &token[16..];
        demo.interrupt();
        let (_, log) = demo.wait();
        let log = String::from_utf8_lossy(&log);
        assert!(log.contains(&token[..16]) && !log.contains(secret));
        // The redis crate's own trace is not among what is asked for in the name of the demo.
        assert!(!log.contains("pass-of-redis"), "the password is in the log");
        let mut files = Vec::new();
        for entry in std::fs::read_dir(server.folder().join("appendonlydir")).unwrap() {
            files.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        let holds = |text: &str| files.windows(text.len()).any(|at| at == text.as_bytes());
        assert!(holds("quince") && holds(&token[..16]));
        assert!(!holds(secret), "the token is in the append-only file");
    }

    #[tokio::test]
    async fn a_wrong_start_says_what_is_wrong_and_not_the_password() {
        for (store, named) in [
            ("redis://:hush@127.0.0.1:1", "refused"),
            ("redis+sentinel://:hush@127.0.0.1:1", "master"),
            ("redis+ring://:hush@127.0.0.1:1", "cluster"),
        ] {
            let said = Demo::try_start(store, &[], "info").err().expect(store);
            let said_low = said.to_lowercase();
            assert!(
                said_low.contains(named) && !said.contains("hush"),
                "{store}: {said}"
            );
            assert!(!said.contains("panicked"), "{said}");
        }
    }

    #[tokio::test]
    async fn sessions_are_kept_over_tls_by_servers_that_the_system_trusts() {
        let certificates = Certificates::new().unwrap();
        let server = RedisServer::start_tls(&[], &certificates).unwrap();
        let servers = RedisSentinel::start_tls(&[], &certificates).unwrap();
        let cluster = RedisCluster::start_tls(&[], &certificates).unwrap();
        let authority = certificates.authority();
        let trusted = [("SSL_CERT_FILE", authority.to_str().unwrap())];
        for url in [server.public_url(), servers.url(), cluster.url()] {
            assert!(url.starts_with("rediss"), "{url}");
            // The system does not trust the certificate.
            let said = Demo::try_start(&url, &[], "info").err().unwrap();
            assert!(said.to_lowercase().contains("certificate"), "{url}: {said}");
            let demo = Demo::start_in(&url, &trusted);
            let client = demo.client();
            assert_eq!(client.post("/visit", "").await.json(), json!({"visits": 1}));
            assert_eq!(client.session().await["visits"], 1);
        }
    }
}
