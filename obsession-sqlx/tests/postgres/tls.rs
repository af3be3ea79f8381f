//! Connections that nobody between can read or pose as.

use obsession_core::SessionStore;
use obsession_sqlx::PostgresStore;
use testing::{Certificates, PostgresServer};

use crate::common::{self, create, record};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_known_by_its_certificate() {
    let (known, unknown) = (Certificates::new().unwrap(), Certificates::new().unwrap());
    let server = PostgresServer::start_tls(&PostgresServer::FAST, &known).unwrap();
    let url = |trusted: &Certificates| {
        let trusted = trusted.authority();
        format!(
            "postgres://postgres@localhost:{}/postgres?sslmode=verify-full&sslrootcert={}",
            server.port(),
            trusted.display()
        )
    };
    let store = common::postgres::migrated(PostgresStore::builder(url(&known))).await;
    create(&store, &record(1)).await;
    assert!(store.load(&record(1).key).await.unwrap().is_some());
    let row = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE query LIKE '%obsession_sessions%' AND pid <> pg_backend_pid()";
    let (connections, encrypted) = {
        let row = server.sql(row).unwrap();
        let (connections, encrypted) = row.split_once('|').unwrap();
        (connections.parse::<u32>().unwrap(), encrypted == "t")
    };
    assert!(connections >= 2, "{connections}");
    assert!(encrypted);

    let refused = PostgresStore::builder(url(&unknown)).connect().await;
    let said = common::said(&refused.unwrap_err());
    assert!(said.contains("certificate"), "{said}");
}
