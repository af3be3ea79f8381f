//! Rows that others have locked hold up nobody else, and two statements never wait for each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obsession_core::{Effect, SessionStore, Update};
use obsession_sqlx::FailureKind;
use sqlx::{Connection, Executor, PgConnection};
use testing::{PostgresServer, Random};

use crate::common::{self, create, kind, record, rewritten};
use crate::{SERVER, builder};

use obsession_sqlx::sqlx;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_keeps_locked_fails_itself_alone() {
    let table = common::table();
    let builder = common::postgres::builder(&SERVER.url(), &table).writers(1);
    let store = common::postgres::migrated(builder.deadline(Duration::from_secs(3))).await;
    let records: Vec<_> = (0..8).map(record).collect();
    for record in &records {
        create(&store, record).await;
    }
    let mut other = PgConnection::connect(&SERVER.url()).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    let lock = format!(
        "SELECT * FROM {table} WHERE key = '{}' FOR UPDATE",
        records[3].key
    );
    other.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
    let begun = Instant::now();
    let writes = records.iter().map(|record| {
        let (store, record) = (store.clone(), record.clone());
        tokio::spawn(async move {
            store
                .update(record.revision, &rewritten(&record, b""))
                .await
        })
    });
    let mut answers = Vec::new();
    for write in writes.collect::<Vec<_>>() {
        answers.push(write.await.unwrap());
    }
    assert!(begun.elapsed() < Duration::from_secs(4));
    for (n, answer) in answers.into_iter().enumerate() {
        if n == 3 {
            let error = answer.unwrap_err();
            assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
            assert_eq!(kind(&error), FailureKind::Busy);
        } else {
            assert_eq!(answer.unwrap(), Update::Updated, "of {n}");
        }
    }
    // Readers wait for nobody.
    assert!(store.load(&records[3].key).await.unwrap().is_some());
    other.execute("ROLLBACK").await.unwrap();
    let next = rewritten(&records[3], b"");
    let updated = store.update(records[3].revision, &next).await.unwrap();
    assert_eq!(updated, Update::Updated);
}

/// Several stores, as in several processes, write the same few sessions in statements of many rows and in
/// all orders. If they locked them in different orders, Postgres would have to end some.
#[tokio::test(flavor = "multi_thread")]
async fn statements_of_several_processes_do_not_deadlock() {
    const RECORDS: u64 = 12;
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    let table = common::table();
    let mut stores = Vec::new();
    for _ in 0..3 {
        let builder = common::postgres::builder(&server.url(), &table);
        let builder = builder.deadline(Duration::from_secs(10)).writers(1);
        stores.push(common::postgres::migrated(builder).await);
    }
    for n in 0..RECORDS {
        create(&stores[0], &record(n)).await;
    }
    // Rows are locked one after the other, with time in between for others to lock theirs.
    server
        .sql(&format!(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_sleep(0.002); RETURN new; END $$; \
             CREATE TRIGGER dawdle BEFORE UPDATE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION dawdle()"
        ))
        .unwrap();
    let made = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let tasks = (0..36).map(|n| {
        let (store, made) = (stores[n % 3].clone(), Arc::clone(&made));
        tokio::spawn(async move {
            let mut random = Random::new(n as u64);
            for _ in 0..20 {
                let key = common::key(random.next() % RECORDS);
                let Some(found) = store.load(&key).await.unwrap() else {
                    let _ = store
                        .create(&common::record(random.next() % RECORDS))
                        .await
                        .unwrap();
                    continue;
                };
                match random.next() % 8 {
                    0 => drop(store.delete(&key).await.unwrap()),
                    1 => {
                        let later = found.expires_at.saturating_add(Duration::from_secs(1));
                        let _ = store.touch(&key, found.revision, later).await.unwrap();
                    }
                    _ => {
                        let next = rewritten(&found, b"next");
                        let answer = store.update(found.revision, &next).await.unwrap();
                        if answer == Update::Updated {
                            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    println!("{made:?} updates");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let deadlocks = "SELECT sum(deadlocks) FROM pg_stat_database";
    assert_eq!(server.sql(deadlocks).unwrap(), "0");
}

/// Somebody else's transaction locks rows in another order, and Postgres ends one of the two.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_with_a_stranger_fails_no_write() {
    let settings = [("deadlock_timeout", "50ms"), ("fsync", "off")];
    let server = PostgresServer::start(&settings).unwrap();
    let store = common::postgres::migrated(builder(&server).table("own").writers(1)).await;
    let records: Vec<_> = (0..8).map(record).collect();
    for record in &records {
        create(&store, record).await;
    }
    let url = server.url();
    let keys = [records[6].key, records[3].key];
    let stranger = tokio::spawn(async move {
        let mut ended = 0;
        for _ in 0..20 {
            let mut other = PgConnection::connect(&url).await.unwrap();
            // It waits longer, so that it is the store's statement that is given up.
            other.execute("SET deadlock_timeout = '5s'").await.unwrap();
            other.execute("BEGIN").await.unwrap();
            for key in keys {
                let lock = format!("SELECT * FROM own WHERE key = '{key}' FOR UPDATE");
                ended += u64::from(other.execute(sqlx::AssertSqlSafe(lock)).await.is_err());
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            drop(other.execute("COMMIT").await);
        }
        ended
    });
    while !stranger.is_finished() {
        let writes = (0..8).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let found = store.load(&common::key(n)).await.unwrap().unwrap();
                store
                    .update(found.revision, &rewritten(&found, b""))
                    .await
                    .unwrap()
            })
        });
        for write in writes.collect::<Vec<_>>() {
            assert_eq!(write.await.unwrap(), Update::Updated);
        }
    }
    stranger.await.unwrap();
    let deadlocks = server
        .sql("SELECT sum(deadlocks) FROM pg_stat_database")
        .unwrap();
    assert_ne!(deadlocks, "0", "the test has shown nothing");
}
