//! How much of Redis's speed is left: loads, updates and creates a second by 32 tasks on one connection,
//! next to the same bytes read and written with the bare `redis` crate on another; and next to the least
//! script that swaps, since a plain `SET` cannot.
//!
//! `cargo run --release -p obsession-redis --example throughput [redis://...] [seconds]`
//!
//! Without a URL it starts a `redis-server` of its own.

use std::error::Error;
use std::future::{Ready, ready};
use std::time::{Duration, Instant};

use obsession_core::{
    Clock, Create, Record, Revision, SessionKey, SessionStore, SystemClock, Timestamp, Update,
};
use obsession_redis::RedisStore;
use obsession_redis::redis::aio::MultiplexedConnection;
use obsession_redis::redis::{Client, cmd};

const TASKS: u64 = 32;
const BODY: usize = 256;
const PREFIX: &str = "throughput:";
/// How often each is measured; the best of each counts, since whatever disturbs only slows down.
const ROUNDS: u32 = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (server, url) = if let Some(url) = arguments.next() {
        (None, url)
    } else {
        let server = testing::RedisServer::start(&[])?;
        let url = server.url();
        (Some(server), url)
    };
    let seconds = arguments.next().map_or(Ok(2.0), |s| s.parse())?;
    let time = Duration::from_secs_f64(seconds);
    println!(
        "{TASKS} tasks on one connection, bodies of {BODY} bytes, best of {ROUNDS} x {seconds} s"
    );

    let store = RedisStore::builder(&*url).prefix(PREFIX).connect().await?;
    let bare = Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let mut best = [Round::default(); 7];
    for _ in 0..ROUNDS {
        let mut cpu = Cpu(bare.clone());
        let rounds = [
            by_tasks(time, &mut cpu, |n| get(bare.clone(), n)).await?,
            by_tasks(time, &mut cpu, |n| load(store.clone(), n)).await?,
            by_tasks(time, &mut cpu, |n| get_and_set(bare.clone(), n)).await?,
            by_tasks(time, &mut cpu, |n| load_and_update(store.clone(), n)).await?,
            by_tasks(time, &mut cpu, |n| get_and_swap(bare.clone(), n)).await?,
            by_tasks(time, &mut cpu, |_| set_new(bare.clone())).await?,
            by_tasks(time, &mut cpu, |_| create(store.clone())).await?,
        ];
        for (best, now) in best.iter_mut().zip(rounds) {
            if now.rate > best.rate {
                *best = now;
            }
        }
    }
    let [get, load, get_set, load_update, get_swap, set_new, create] = best;
    println!("                              a second   of bare   client CPU   server CPU");
    for (name, round, bare) in [
        ("bare GET", get, get),
        ("load", load, get),
        ("bare GET + SET EX", get_set, get_set),
        ("load + update", load_update, get_set),
        ("bare GET + least script", get_swap, get_set),
        ("bare SET NX EX", set_new, set_new),
        ("create", create, set_new),
    ] {
        let (rate, of_bare) = (round.rate, round.rate / bare.rate);
        let (client, server) = (round.client, round.server);
        println!("{name:<27} {rate:>11.0} {of_bare:>9.2} {client:>9.2} us {server:>9.2} us");
    }

    let mut connection = bare;
    let record_name = cmd("KEYS")
        .arg(format!("{PREFIX}{{*}}*0"))
        .query_async::<Vec<String>>(&mut connection)
        .await?;
    for name in record_name.iter().take(1) {
        let bytes: u64 = cmd("MEMORY")
            .arg("USAGE")
            .arg(name)
            .query_async(&mut connection)
            .await?;
        println!("one session: {bytes} bytes by MEMORY USAGE");
    }
    drop(server);
    Ok(())
}

/// What was measured.
#[derive(Clone, Copy, Default)]
struct Round {
    /// How often a second.
    rate: f64,
    /// Microseconds of processor time each, of all threads of this process and of the server.
    client: f64,
    server: f64,
}

/// Reads how much processor time was used so far.
struct Cpu(MultiplexedConnection);

impl Cpu {
    /// Of this process and of the server, in microseconds.
    async fn used(&mut self) -> Result<[f64; 2], Box<dyn Error>> {
        // From field 14 on, of which the second is in parentheses: user and system time in ticks, of
        // which Linux tells 100 a second.
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let fields = fields.split_whitespace().skip(11).take(2);
        let ticks = fields.filter_map(|ticks| ticks.parse::<f64>().ok());
        let info: String = cmd("INFO").arg("cpu").query_async(&mut self.0).await?;
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        let used = lines.filter(|(name, _)| matches!(*name, "used_cpu_sys" | "used_cpu_user"));
        let seconds = used.filter_map(|(_, seconds)| seconds.trim().parse::<f64>().ok());
        Ok([ticks.sum::<f64>() * 1e4, seconds.sum::<f64>() * 1e6])
    }
}

/// How often a second the tasks get through `once`, and what that uses.
async fn by_tasks<F, R>(
    time: Duration,
    cpu: &mut Cpu,
    task: impl Fn(u64) -> F,
) -> Result<Round, Box<dyn Error>>
where
    F: Future<Output = Result<R, Box<dyn Error + Send + Sync>>> + Send + 'static,
    R: FnMut() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
{
    let mut tasks = Vec::new();
    for n in 0..TASKS {
        tasks.push(task(n).await.map_err(|error| error.to_string())?);
    }
    let before = cpu.used().await?;
    let start = Instant::now();
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|mut once| {
            tokio::spawn(async move {
                let mut done = 0_u32;
                while start.elapsed() < time {
                    once().await;
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
    let rate = f64::from(done) / start.elapsed().as_secs_f64();
    let after = cpu.used().await?;
    let [client, server] = [0, 1].map(|of| (after[of] - before[of]) / f64::from(done));
    Ok(Round {
        rate,
        client,
        server,
    })
}

type Once = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
type Prepared<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The bytes that the store writes for a record, under another name.
async fn put(connection: &mut MultiplexedConnection, n: u64) -> Prepared<(String, Vec<u8>)> {
    let name = format!("bare:{n:016x}");
    let value = [vec![0; 20], record(n).to_row()].concat();
    let mut set = cmd("SET");
    set.arg(&name).arg(&value).arg("EX").arg(3600);
    set.exec_async(connection).await?;
    Ok((name, value))
}

async fn get(mut connection: MultiplexedConnection, n: u64) -> Prepared<impl FnMut() -> Once> {
    let (name, _) = put(&mut connection, n).await?;
    Ok(move || -> Once {
        let (mut connection, name) = (connection.clone(), name.clone());
        Box::pin(async move {
            let value = cmd("GET")
                .arg(name)
                .query_async::<Vec<u8>>(&mut connection)
                .await;
            assert!(value.is_ok_and(|value| value.len() > BODY));
        })
    })
}

async fn get_and_set(
    mut connection: MultiplexedConnection,
    n: u64,
) -> Prepared<impl FnMut() -> Once> {
    let (name, value) = put(&mut connection, n).await?;
    Ok(move || -> Once {
        let (mut connection, name, value) = (connection.clone(), name.clone(), value.clone());
        Box::pin(async move {
            let got = cmd("GET")
                .arg(&name)
                .query_async::<Vec<u8>>(&mut connection)
                .await;
            assert!(got.is_ok_and(|value| value.len() > BODY));
            let mut set = cmd("SET");
            set.arg(&name).arg(value).arg("EX").arg(3600);
            assert!(set.exec_async(&mut connection).await.is_ok());
        })
    })
}

/// The least that compares and swaps in one round trip.
const SWAP: &str = "if redis.call('GET', KEYS[1]) then \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end return 1";

async fn get_and_swap(
    mut connection: MultiplexedConnection,
    n: u64,
) -> Prepared<impl FnMut() -> Once> {
    let (name, value) = put(&mut connection, n).await?;
    let hash = cmd("SCRIPT")
        .arg("LOAD")
        .arg(SWAP)
        .query_async::<String>(&mut connection)
        .await?;
    Ok(move || -> Once {
        let (mut connection, name, value) = (connection.clone(), name.clone(), value.clone());
        let hash = hash.clone();
        Box::pin(async move {
            let got = cmd("GET")
                .arg(&name)
                .query_async::<Vec<u8>>(&mut connection)
                .await;
            assert!(got.is_ok_and(|value| value.len() > BODY));
            let mut swap = cmd("EVALSHA");
            swap.arg(hash).arg(1).arg(&name).arg(value).arg(3_600_000);
            assert!(swap.exec_async(&mut connection).await.is_ok());
        })
    })
}

async fn load(store: RedisStore, n: u64) -> Prepared<impl FnMut() -> Once> {
    let record = created(&store, n).await?;
    Ok(move || -> Once {
        let (store, key) = (store.clone(), record.key);
        Box::pin(async move {
            assert!(store.load(&key).await.is_ok_and(|found| found.is_some()));
        })
    })
}

async fn load_and_update(store: RedisStore, n: u64) -> Prepared<impl FnMut() -> Once> {
    let record = created(&store, n).await?;
    Ok(move || -> Once {
        let (store, key) = (store.clone(), record.key);
        Box::pin(async move {
            let Ok(Some(found)) = store.load(&key).await else {
                unreachable!("it was created");
            };
            let next = Record {
                revision: fresh(),
                ..found.clone()
            };
            let updated = store.update(found.revision, &next).await;
            assert!(matches!(updated, Ok(Update::Updated)));
        })
    })
}

/// New names with an end soon, so that they do not pile up.
fn set_new(connection: MultiplexedConnection) -> Ready<Prepared<impl FnMut() -> Once>> {
    let value = [vec![0; 20], record(0).to_row()].concat();
    ready(Ok(move || -> Once {
        let (mut connection, value) = (connection.clone(), value.clone());
        Box::pin(async move {
            let mut set = cmd("SET");
            let name = format!("bare:{:016x}", fresh().as_u64());
            set.arg(name).arg(value).arg("NX").arg("EX").arg(5);
            let set = set.query_async::<String>(&mut connection).await;
            assert!(set.is_ok_and(|answer| answer == "OK"));
        })
    }))
}

fn create(store: RedisStore) -> Ready<Prepared<impl FnMut() -> Once>> {
    ready(Ok(move || -> Once {
        let store = store.clone();
        Box::pin(async move {
            let record = Record {
                expires_at: SystemClock.now().saturating_add(Duration::from_secs(5)),
                ..record(fresh().as_u64())
            };
            let created = store.create(&record).await;
            assert!(matches!(created, Ok(Create::Created)));
        })
    }))
}

/// A random number.
fn fresh() -> Revision {
    match Revision::fresh() {
        Ok(revision) => revision,
        Err(error) => unreachable!("the generator works: {error}"),
    }
}

async fn created(store: &RedisStore, n: u64) -> Prepared<Record> {
    let record = record(n);
    let _ = store.delete(&record.key).await?;
    let _ = store.create(&record).await?;
    Ok(record)
}

fn record(n: u64) -> Record {
    let key: SessionKey = match format!("{n:016x}").parse() {
        Ok(key) => key,
        Err(error) => unreachable!("16 digits: {error}"),
    };
    Record {
        key,
        revision: Revision::from_u64(n),
        subject: None,
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(4_000_000_000_000),
        body: [7; BODY].into(),
    }
}
