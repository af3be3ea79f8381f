//! How much of sled's speed is left: acknowledged creates and loads a second by 64 tasks, next to
//! the same bytes put into one bare tree with one flush and sync a batch.
//!
//! `cargo run --release -p obsession-sled --example throughput [seconds]`

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use obsession_core::{Create, Record, Revision, SessionKey, SessionStore, Timestamp};
use obsession_sled::SledStore;

const TASKS: u64 = 64;
const BODY: usize = 300;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(5), |s| s.parse())?;
    let time = Duration::from_secs(seconds);
    let folder = tempfile::tempdir()?;
    println!("{TASKS} tasks, bodies of {BODY} bytes, {seconds} s each");

    let (bare, batches) = bare(&folder.path().join("bare"), time)?;
    println!("bare sled, one tree:  {bare:>9.0} inserts/s in {batches} flushes");

    let store = SledStore::open(folder.path().join("store")).await?;
    let numbers = Arc::new(AtomicU64::new(0));
    let created = by_tasks(&store, time, {
        let numbers = Arc::clone(&numbers);
        move |store| {
            let record = record(numbers.fetch_add(1, Ordering::Relaxed));
            async move { assert_eq!(store.create(&record).await.ok(), Some(Create::Created)) }
        }
    })
    .await?;
    let flushes = store.flushes();
    println!("SledStore, creates:   {created:>9.0} acknowledged/s in {flushes} flushes");
    println!("ratio:                {:>9.2}", created / bare);

    let count = numbers.load(Ordering::Relaxed);
    let next = Arc::new(AtomicU64::new(0));
    let loaded = by_tasks(&store, time, move |store| {
        let n = next.fetch_add(7919, Ordering::Relaxed) % count;
        async move { assert!(store.load(&record(n).key).await.is_ok_and(|r| r.is_some())) }
    })
    .await?;
    println!("SledStore, loads:     {loaded:>9.0}/s");
    let alone = Instant::now();
    for n in 0..1000 {
        store.load(&record(n).key).await?;
    }
    println!(
        "one load at a time:   {:>9.1} us",
        alone.elapsed().as_secs_f64() * 1e3
    );
    store.close().await?;
    Ok(())
}

/// Inserts a second, in batches of as many as there are tasks.
fn bare(path: &Path, time: Duration) -> Result<(f64, u64), Box<dyn Error>> {
    let db = sled::Config::new().path(path).open()?;
    let tree = db.open_tree("records")?;
    let file = File::open(path.join("db"))?;
    let (start, mut n) = (Instant::now(), 0);
    while start.elapsed() < time {
        for _ in 0..TASKS {
            let record = record(n);
            tree.insert(record.key.as_bytes(), record.to_row())?;
            n += 1;
        }
        db.flush()?;
        file.sync_data()?;
    }
    Ok((per_second(n, start), n / TASKS))
}

/// How often a second the tasks get through `once`.
async fn by_tasks<F>(
    store: &SledStore,
    time: Duration,
    once: impl Fn(SledStore) -> F + Clone + Send + 'static,
) -> Result<f64, Box<dyn Error>>
where
    F: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, once) = (store.clone(), once.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while start.elapsed() < time {
                    once(store.clone()).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await?;
    }
    Ok(per_second(done, start))
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn per_second(done: u64, since: Instant) -> f64 {
    done as f64 / since.elapsed().as_secs_f64()
}

/// A record with a key as scattered as real ones are.
fn record(n: u64) -> Record {
    let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).reverse_bits();
    let key: SessionKey = match format!("{scattered:016x}").parse() {
        Ok(key) => key,
        Err(error) => unreachable!("16 digits: {error}"),
    };
    Record {
        key,
        revision: Revision::from_u64(n),
        subject: None,
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(4_000_000_000_000 + n),
        body: [7; BODY].into(),
    }
}
