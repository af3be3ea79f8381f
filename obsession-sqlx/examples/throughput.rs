//! How many loads, and how many loads with an update, a database does in a second.
//!
//! `cargo run --release -p obsession-sqlx --features sqlite --example throughput [URL] [seconds] [readers writers]`
//!
//! The URL is `sqlite:PATH`, or `postgres:` or `mysql:` with the feature of that name.
//! Without a URL it makes a SQLite file of its own, in the folder for temporary files; `TMPDIR` says
//! where that is. A file system in memory has nothing to wait for and shows nothing.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obsession_core::{Record, Revision, SessionKey, SessionStore, Timestamp, Update};

const TASKS: [u64; 3] = [1, 32, 64];
const BODY: usize = 256;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = tempfile::tempdir()?;
    let own = format!("sqlite:{}", folder.path().join("sessions.db").display());
    let url = arguments.next().unwrap_or(own);
    let seconds = arguments.next().map_or(Ok(3.0), |s| s.parse())?;
    let time = Duration::from_secs_f64(seconds);
    let connections = match (arguments.next(), arguments.next()) {
        (Some(readers), Some(writers)) => Some((readers.parse()?, writers.parse()?)),
        _ => None,
    };
    let store = open(&url, connections).await?;
    println!("bodies of {BODY} bytes, {seconds} s each");
    for tasks in TASKS {
        for updates in [false, true] {
            let mut times = by_tasks(&store, tasks, time, updates).await?;
            times.sort_unstable();
            let at = |part: usize| times[(times.len() - 1) * part / 1000];
            println!(
                "{tasks:>3} tasks, {:<13} {:>9.0}/s   p50 {:>9.2?}  p99 {:>9.2?}  p99.9 {:>9.2?}",
                if updates { "load + update" } else { "load" },
                f64::from(u32::try_from(times.len())?) / seconds,
                at(500),
                at(990),
                at(999),
            );
        }
    }
    Ok(())
}

async fn open(url: &str, connections: Option<(usize, usize)>) -> Outcome<Arc<dyn SessionStore>> {
    #[cfg(feature = "sqlite")]
    if url.starts_with("sqlite:") {
        let mut builder = obsession_sqlx::SqliteStore::builder(url).table("throughput");
        if let Some((readers, _)) = connections {
            builder = builder.readers(readers);
        }
        return Ok(Arc::new(builder.migrate().await?.connect().await?));
    }
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres:") {
        let mut builder = obsession_sqlx::PostgresStore::builder(url).table("throughput");
        if let Some((readers, writers)) = connections {
            builder = builder.readers(readers).writers(writers);
        }
        return Ok(Arc::new(builder.migrate().await?.connect().await?));
    }
    #[cfg(feature = "mysql")]
    if url.starts_with("mysql:") {
        let mut builder = obsession_sqlx::MySqlStore::builder(url).table("throughput");
        if let Some((readers, writers)) = connections {
            builder = builder.readers(readers).writers(writers);
        }
        return Ok(Arc::new(builder.migrate().await?.connect().await?));
    }
    Err(format!("{url}: this build has no store for it").into())
}

/// How long each round of each task took.
async fn by_tasks(
    store: &Arc<dyn SessionStore>,
    tasks: u64,
    time: Duration,
    updates: bool,
) -> Outcome<Vec<Duration>> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|n| tokio::spawn(one_task(Arc::clone(store), n, start + time, updates)))
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(times)
}

async fn one_task(
    store: Arc<dyn SessionStore>,
    n: u64,
    end: Instant,
    updates: bool,
) -> Outcome<Vec<Duration>> {
    let mut record = Record {
        key: format!("{:016x}", Revision::fresh()?.as_u64()).parse::<SessionKey>()?,
        revision: Revision::fresh()?,
        subject: Some(format!("user-{n}").into()),
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(4_000_000_000_000),
        body: vec![b'x'; BODY].into(),
    };
    let _ = store.create(&record).await?;
    let mut times = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        let loaded = store.load(&record.key).await?;
        if loaded.as_ref() != Some(&record) {
            return Err("another record than was written".into());
        }
        if updates {
            let expected = record.revision;
            record.revision = Revision::fresh()?;
            record.expires_at = record.expires_at.saturating_add(Duration::from_millis(1));
            if store.update(expected, &record).await? != Update::Updated {
                return Err("a write of nobody else".into());
            }
        }
        times.push(begun.elapsed());
    }
    Ok(times)
}
