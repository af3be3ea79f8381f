//! Cleanup costs what has expired, and not what is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obsession_core::{SessionIndex, SessionStore};
use obsession_sqlx::sqlx::Row;

use crate::common::{create, full, record};
use crate::file::File;

#[tokio::test]
async fn no_statement_of_the_store_reads_the_whole_table() {
    let file = File::new();
    let store = file.store().await;
    create(&store, &record(1)).await;
    let mut other = file.other().await;
    // As they are sent: the table is searched by its key or by an index, and nothing is sorted.
    for (name, sql) in store.texts() {
        let plan = other.run(&format!("EXPLAIN QUERY PLAN {sql}")).await;
        let plan: Vec<String> = plan.iter().map(|row| row.get(3)).collect();
        let whole = |step: &&String| {
            step.contains("SCAN sessions")
                || step.contains("TEMP B-TREE")
                || step.contains("AUTOMATIC")
        };
        let bad: Vec<_> = plan.iter().filter(whole).collect();
        assert!(bad.is_empty(), "{name}: {plan:#?}");
        if name == "expire" {
            let search =
                "SEARCH sessions USING COVERING INDEX sessions_expires_at_idx (expires_at<?)";
            assert!(plan.iter().any(|step| step.contains(search)), "{plan:#?}");
        }
    }
}

/// With `OBSESSION_FULL=1` it is a million sessions.
#[tokio::test(flavor = "multi_thread")]
async fn cleanup_grows_with_what_has_expired() {
    let sizes = if full() {
        [100_000, 1_000_000]
    } else {
        [20_000, 100_000]
    };
    for size in sizes {
        let file = File::new();
        let builder = file.builder().deadline(Duration::from_secs(20));
        let store = builder.migrate().await.unwrap().connect().await.unwrap();
        // A tenth has expired.
        file.other()
            .await
            .run(&format!(
                "WITH RECURSIVE n(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM n WHERE n < {size} - 1) \
                 INSERT INTO sessions SELECT format('%016x', n * 2654435761 % 4294967296), n, \
                 CASE WHEN n % 2 THEN 'user-' || n END, 0, CASE WHEN n % 10 = 0 THEN n ELSE 4000000000000 + n END, \
                 randomblob(256) FROM n; PRAGMA wal_checkpoint(TRUNCATE)"
            ))
            .await;
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let others = {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut times = Vec::new();
                let mut known = record(u64::MAX);
                create(&store, &known).await;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let begun = Instant::now();
                    store.load(&known.key).await.unwrap();
                    let next = crate::common::rewritten(&known, b"next");
                    let _ = store.update(known.revision, &next).await.unwrap();
                    known = next;
                    times.push(begun.elapsed());
                }
                times.sort();
                times
            })
        };
        let begun = Instant::now();
        let mut removed = 0;
        loop {
            let now = store.delete_expired(1000).await.unwrap();
            removed += now;
            if now < 1000 {
                break;
            }
        }
        let time = begun.elapsed();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let times = others.await.unwrap();
        let p99 = times[(times.len() - 1) * 99 / 100];
        println!(
            "{removed} of {size} removed in {time:.1?}; p99 of {} requests {p99:.1?}",
            times.len()
        );
        assert_eq!(removed, size / 10);
        assert_eq!(store.count().await.unwrap(), (size - size / 10 + 1) as u64);
        // And then there is nothing to look at.
        let begun = Instant::now();
        assert_eq!(store.delete_expired(1000).await.unwrap(), 0);
        assert!(
            begun.elapsed() < Duration::from_millis(200),
            "{:?}",
            begun.elapsed()
        );
    }
}
