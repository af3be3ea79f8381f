//! The demo on databases with a server of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

#[cfg(not(feature = "postgres"))]
#[test]
fn a_build_without_postgres_names_the_feature() {
    let said = common::Demo::try_start("postgres://127.0.0.1:1", &[], "info");
    let said = said.err().unwrap();
    assert!(said.contains("--features postgres"), "{said}");
}

#[cfg(not(feature = "mysql"))]
#[test]
fn a_build_without_mysql_names_the_feature() {
    let said = common::Demo::try_start("mysql://127.0.0.1:1", &[], "info");
    let said = said.err().unwrap();
    assert!(said.contains("--features mysql"), "{said}");
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod with_a_feature {
    use hyper::StatusCode;
    use testing::Servers;

    use crate::common::{self, Demo};

    /// Sessions are kept, and a server that is away is a 503 that leaves the cookie alone.
    async fn serves(server: &mut impl Servers, user: &str) {
        common::visit(&server.url()).await;
        let url = server.url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (_, place) = rest.split_once('@').unwrap();
        let with_password = format!("{scheme}://{user}:secret-password@{place}");
        let demo = Demo::start(&with_password);
        let client = demo.client();
        client.post("/visit", "").await;
        let cookie = client.cookie();
        server.kill();
        for answer in [
            client.post("/visit", "").await,
            client.get("/api/session").await,
        ] {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(!answer.sets_cookie());
        }
        assert_eq!(client.cookie(), cookie);
        server.restart().unwrap();
        assert_eq!(client.session().await["visits"], 1);
        demo.interrupt();
        let (status, log) = demo.wait();
        assert!(status.success());
        let log = String::from_utf8_lossy(&log);
        assert!(!log.contains("secret-password"), "{log}");
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn postgres_serves_the_demo() {
        serves(
            &mut testing::PostgresServer::start(&[]).unwrap(),
            "postgres",
        )
        .await;
    }

    #[cfg(feature = "mysql")]
    #[tokio::test]
    async fn mariadb_serves_the_demo() {
        let mut server = testing::MariadbServer::start(&[]).unwrap();
        let user = "CREATE USER web@'127.0.0.1' IDENTIFIED BY 'secret-password'; \
                    GRANT ALL ON test.* TO web@'127.0.0.1'";
        server.sql(user).unwrap();
        serves(&mut server, "web").await;
    }
}
