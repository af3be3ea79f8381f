//! PgBouncer in transaction mode, where each transaction is on whichever connection is free.

use std::time::Duration;

use obsession_core::conformance::count_up;
use obsession_core::{Create, Delete, SessionIndex, SessionStore, Touch, Update};
use obsession_sqlx::{Statements, SynchronousCommit};
use testing::{PgBouncer, PostgresServer};

use crate::common::{self, create, of, record, rewritten};

#[tokio::test(flavor = "multi_thread")]
async fn unprepared_statements_go_through_a_bouncer_in_transaction_mode() {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    let mut bouncer = PgBouncer::start(&server, 2).unwrap();
    // Prepared ones would not, and whoever forgets to say so is told when the store is opened.
    let prepared = common::postgres::builder(&bouncer.url(), "prepared")
        .migrate()
        .await;
    assert!(prepared.is_err());
    let builder = common::postgres::builder(&bouncer.url(), &common::table())
        .statements(Statements::Unprepared)
        .synchronous_commit(SynchronousCommit::Off)
        .deadline(Duration::from_secs(10))
        .readers(4)
        .writers(4);
    let store = common::postgres::migrated(builder).await;
    // Nothing of a subject or a body is ever SQL.
    let first = of("'; DROP TABLE \\'x\\'; -- $1 zoë", record(1));
    let every: Vec<u8> = (0..=255).collect();
    let second = rewritten(&first, &every);
    create(&store, &first).await;
    assert_eq!(store.create(&second).await.unwrap(), Create::KeyTaken);
    let updated = store.update(first.revision, &second).await.unwrap();
    assert_eq!(updated, Update::Updated);
    let third = rewritten(&second, b"");
    let conflict = store.update(first.revision, &third).await.unwrap();
    assert_eq!(conflict, Update::Conflict(second.clone()));
    let touched = store.touch(&second.key, second.revision, second.created_at);
    assert_eq!(touched.await.unwrap(), Touch::Touched);
    let changed = store.touch(&second.key, first.revision, second.expires_at);
    assert_eq!(changed.await.unwrap(), Touch::Changed);
    assert_eq!(store.load(&first.key).await.unwrap(), Some(second.clone()));
    let subject = second.subject.as_deref().unwrap();
    let only = std::slice::from_ref(&second);
    assert_eq!(store.list(subject, None, 9).await.unwrap(), only);
    assert_eq!(store.scan(None, 9).await.unwrap(), only);
    assert_eq!(store.count().await.unwrap(), 1);
    assert_eq!(store.delete_expired(9).await.unwrap(), 0);
    assert_eq!(store.delete_subject(subject, None).await.unwrap(), 1);
    assert_eq!(store.delete(&first.key).await.unwrap(), Delete::Gone);
    println!("{:?}", count_up(store.clone(), 32, 20).await);
    // More of its own connections than that are not used.
    let pids = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                AND pid <> pg_backend_pid()";
    assert_eq!(server.sql(pids).unwrap(), "2");

    bouncer.kill();
    store.load(&first.key).await.unwrap_err();
    bouncer.restart().unwrap();
    assert_eq!(store.load(&first.key).await.unwrap(), None);
    create(&store, &first).await;
}
