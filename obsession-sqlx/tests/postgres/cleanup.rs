//! Cleanup costs what has expired, and not what is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use obsession_core::{SessionIndex, SessionStore};
use obsession_sqlx::PostgresStore;
use testing::PostgresServer;

use crate::common::{self, create, record, rewritten};

/// A server that prints how it carries out what it is asked.
fn explained() -> PostgresServer {
    let settings = [
        ("fsync", "off"),
        (
            "shared_preload_libraries",
            "pg_stat_statements,auto_explain",
        ),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
    ];
    PostgresServer::start(&settings).unwrap()
}

/// So many sessions, of which a tenth has expired.
fn fill(server: &PostgresServer, table: &str, sessions: u64) {
    let sql = format!(
        "INSERT INTO {table} SELECT substr(md5(n::text), 1, 16), n, \
         CASE WHEN n % 2 = 0 THEN 'user-' || n % 1000 END, 0, \
         (extract(epoch FROM now()) * 1000)::bigint \
         + CASE WHEN n % 10 = 0 THEN -n ELSE 3600000 + n * 100 END, \
         decode(repeat(md5(n::text), 16), 'hex') FROM generate_series(1, {sessions}) n"
    );
    server.sql(&sql).unwrap();
}

/// The plan of the last statement that has this in it.
fn plan(server: &PostgresServer, words: &str) -> String {
    let log = server.log();
    let plans: Vec<_> = log.split("Query Text: ").skip(1).collect();
    let plan = plans.iter().rev().find(|plan| plan.contains(words));
    plan.unwrap_or_else(|| panic!("no plan of {words}"))
        .to_string()
}

/// Every statement finds its rows by an index, also when its plan was made while the table was empty.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_the_store_reads_the_whole_table() {
    let server = explained();
    let builder = common::postgres::builder(&server.url(), "sessions")
        .writers(1)
        .readers(1);
    let store = common::postgres::migrated(builder.deadline(Duration::from_secs(20))).await;
    // Often enough for Postgres to settle for a plan.
    for n in 0..8 {
        each(&store, n).await;
    }
    fill(&server, "sessions", 20_000);
    each(&store, 9).await;
    let by_key = "Index Scan using sessions_pkey";
    for (words, index) in [
        ("t WHERE t.key = ANY($2::text[])", by_key),
        ("AS (UPDATE \"sessions\" t SET revision", by_key),
        ("AS (UPDATE \"sessions\" t SET expires_at", by_key),
        ("USING unnest($2::text[])", by_key),
        ("USING unnest($3::text[])", by_key),
        (
            "t.subject = $2::text AND t.key >",
            "Index Scan using sessions_subject_idx",
        ),
        ("SKIP LOCKED", "Index Scan using sessions_expires_at_idx"),
        (
            "t.expiry_bucket >= greatest",
            "Index Scan using sessions_expires_at_idx",
        ),
    ] {
        let plan = plan(&server, words);
        assert!(plan.contains(index), "{words}: {plan}");
        assert!(!plan.contains("Seq Scan"), "{words}: {plan}");
        assert!(!plan.contains("Bitmap"), "{words}: {plan}");
    }
    // One that removes fewer rows than have expired has looked at no others.
    assert_eq!(store.delete_expired(50).await.unwrap(), 50);
    let plan = plan(&server, "SKIP LOCKED");
    let scan = plan
        .lines()
        .find(|line| line.contains("sessions_expires_at_idx"))
        .unwrap();
    assert!(scan.contains("actual rows=50 loops=1"), "{plan}");
    assert!(!plan.contains("Rows Removed by Filter"), "{plan}");
}

/// Every operation once.
async fn each(store: &PostgresStore, n: u64) {
    let old = common::of("zoë", record(n));
    let next = rewritten(&old, b"next");
    create(store, &old).await;
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    let _ = store.update(old.revision, &next).await.unwrap();
    let later = next.expires_at.saturating_add(Duration::from_secs(1));
    let _ = store.touch(&old.key, next.revision, later).await.unwrap();
    assert_eq!(store.list("zoë", None, 9).await.unwrap().len(), 1);
    assert!(!store.scan(None, 9).await.unwrap().is_empty());
    let _ = store.delete_expired(9).await.unwrap();
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 1);
    let _ = store.delete(&old.key).await.unwrap();
}

/// Several processes clean up at once, while requests go on: each removes different rows.
///
/// With `OBSESSION_FULL=1` it is a million sessions.
#[tokio::test(flavor = "multi_thread")]
async fn cleanup_grows_with_what_has_expired() {
    let sizes = if common::full() {
        [100_000, 1_000_000]
    } else {
        [5_000, 50_000]
    };
    for size in sizes {
        let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
        let builder = || {
            let builder = common::postgres::builder(&server.url(), "sessions");
            builder.deadline(Duration::from_mins(1))
        };
        let store = common::postgres::migrated(builder()).await;
        let other = builder().connect().await.unwrap();
        fill(&server, "sessions", size);
        let done = Arc::new(AtomicBool::new(false));
        let requests = tokio::spawn(requests(store.clone(), Arc::clone(&done)));
        let begun = Instant::now();
        let (here, there) = tokio::join!(clean(&store), clean(&other));
        let took = begun.elapsed();
        done.store(true, Ordering::Relaxed);
        let times = requests.await.unwrap();
        let p99 = times[(times.len() - 1) * 99 / 100];
        println!(
            "{here} + {there} of {size} removed in {took:.1?}; p99 of {} requests {p99:.1?}",
            times.len()
        );
        assert_eq!(here + there, size / 10);
        assert_eq!(store.count().await.unwrap(), size - size / 10 + 1);
        let begun = Instant::now();
        assert_eq!(store.delete_expired(1000).await.unwrap(), 0);
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
    }
}

async fn clean(store: &PostgresStore) -> u64 {
    let mut removed = 0;
    loop {
        let now = store.delete_expired(1000).await.unwrap();
        removed += now as u64;
        if now < 1000 {
            return removed;
        }
    }
}

/// How long requests take, in order.
async fn requests(store: PostgresStore, done: Arc<AtomicBool>) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut known = record(1 << 40);
    create(&store, &known).await;
    while !done.load(Ordering::Relaxed) || times.is_empty() {
        let begun = Instant::now();
        store.load(&known.key).await.unwrap();
        let next = rewritten(&known, b"next");
        let _ = store.update(known.revision, &next).await.unwrap();
        known = next;
        times.push(begun.elapsed());
    }
    times.sort();
    times
}
