//! The same work on obsession and on its peers, in turns, in one run.

mod sqlite;
mod table;

use std::time::Duration;

use obsession_core::MemoryStore;
use obsession_redis::RedisStore;
use obsession_sqlx::PostgresStore;
use table::Table;
use testing::{PostgresServer, RedisServer};
use tower_sessions_redis_store::RedisStore as TowerRedis;
use tower_sessions_redis_store::fred::prelude::{Builder, ClientLike, Config};
use tower_sessions_sqlx_store::PostgresStore as TowerPostgres;
use tower_sessions_sqlx_store::sqlx::PgPool;
use work::{Contestant, Kind, Library, Ours, Outcome, Subject, Tower};

const HELP: &str = "\
The same work on obsession and on its peers, in turns, in one run.

cargo run --release -- [memory] [redis] [postgres] [sqlite] [--seconds S] [--rounds N]

Without a name all are measured. Each round is S seconds (2) of each; the table has the median, the least
and the most of N rounds (5). The servers are started for it, with fsync as they come.
";

struct Options {
    stores: Vec<String>,
    time: Duration,
    rounds: usize,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let Some(options) = options(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(());
    };
    let wanted = |name: &str| options.stores.is_empty() || options.stores.iter().any(|s| s == name);
    let mut table = Table::default();
    if wanted("memory") {
        let ours = subject(Ours::new(MemoryStore::new())).await?;
        let theirs = subject(Tower::new(tower_sessions::MemoryStore::default())).await?;
        compare("memory", [ours, theirs], &options, &mut table).await?;
    }
    if wanted("redis") {
        let server = RedisServer::start(&[])?;
        let ours = subject(Ours::new(RedisStore::connect(&server.url()).await?)).await?;
        let client = Builder::from_config(Config::from_url(&server.url())?).build_pool(1)?;
        client.init().await?;
        let theirs = subject(Tower::new(TowerRedis::new(client))).await?;
        compare("redis", [ours, theirs], &options, &mut table).await?;
    }
    if wanted("postgres") {
        let server = PostgresServer::start(&[])?;
        let store = PostgresStore::builder(server.url()).migrate().await?;
        let ours = subject(Ours::new(store.connect().await?)).await?;
        let store = TowerPostgres::new(PgPool::connect(&server.url()).await?);
        store.migrate().await?;
        let theirs = subject(Tower::new(store)).await?;
        compare("postgres", [ours, theirs], &options, &mut table).await?;
    }
    if wanted("sqlite") {
        let folder = tempfile::tempdir()?;
        let sides = sqlite::sides(folder.path()).await?;
        compare("sqlite", sides, &options, &mut table).await?;
    }
    table.print();
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Outcome<Option<Options>> {
    let mut options = Options {
        stores: Vec::new(),
        time: Duration::from_secs(2),
        rounds: 5,
    };
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().ok_or(format!("{argument} takes a number"));
        match &*argument {
            "--help" | "-h" => return Ok(None),
            "--seconds" => options.time = Duration::from_secs_f64(number()?.parse()?),
            "--rounds" => options.rounds = number()?.parse()?,
            "memory" | "redis" | "postgres" | "sqlite" => options.stores.push(argument),
            other => return Err(format!("{other} is not known; --help says what is").into()),
        }
    }
    Ok(Some(options))
}

async fn subject(library: impl Library) -> Outcome<Box<dyn Contestant>> {
    Ok(Box::new(Subject::new(library).await?))
}

/// Each library in turn, so that what disturbs one disturbs the other.
async fn compare(
    store: &str,
    [mut ours, mut theirs]: [Box<dyn Contestant>; 2],
    options: &Options,
    table: &mut Table,
) -> Outcome<()> {
    for tasks in [1, 32, 64] {
        for kind in [Kind::Read, Kind::ReadAndWrite] {
            let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
            for round in 0..options.rounds {
                eprintln!("{store}, {tasks} tasks, {kind:?}, round {}", round + 1);
                of_ours.push(ours.round(kind, tasks, options.time).await?);
                of_theirs.push(theirs.round(kind, tasks, options.time).await?);
            }
            table.add(store, tasks, kind, [&of_ours, &of_theirs]);
        }
    }
    Ok(())
}
