//! Connections that nobody between can read or pose as.

use obsession_core::SessionStore;
use obsession_sqlx::MySqlStore;
use testing::{Certificates, MariadbServer};

use crate::common::{self, create, record};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_known_by_its_certificate() {
    let (known, unknown) = (Certificates::new().unwrap(), Certificates::new().unwrap());
    let server = MariadbServer::start_tls(&MariadbServer::FAST, &known).unwrap();
    server
        .sql("CREATE USER safe@'%' REQUIRE SSL; GRANT ALL ON test.* TO safe@'%'")
        .unwrap();
    let url = |trusted: &Certificates| {
        format!(
            "mysql://safe@localhost:{}/test?ssl-mode=VERIFY_IDENTITY&ssl-ca={}",
            server.port(),
            trusted.authority().display()
        )
    };
    // The server lets in only who speaks TLS.
    let store = common::mysql::migrated(MySqlStore::builder(url(&known))).await;
    create(&store, &record(1)).await;
    assert!(store.load(&record(1).key).await.unwrap().is_some());
    let plain = format!(
        "mysql://safe@localhost:{}/test?ssl-mode=DISABLED",
        server.port()
    );
    let plain = MySqlStore::builder(plain).connect().await;
    assert!(plain.is_err(), "without TLS");

    let refused = MySqlStore::builder(url(&unknown)).connect().await;
    let said = common::said(&refused.unwrap_err());
    assert!(said.contains("certificate"), "{said}");
}
