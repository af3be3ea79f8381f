//! The stores, each with the libraries that have it.

use obsession_core::MemoryStore;
use obsession_redis::RedisStore;
use obsession_sled::SledStore;
use obsession_sqlx::PostgresStore;
use testing::{PostgresServer, RedisServer};
use tower_sessions_redis_store::RedisStore as TowerRedis;
use tower_sessions_redis_store::fred::prelude::{Builder, ClientLike, Config};
use tower_sessions_sqlx_store::PostgresStore as TowerPostgres;
use tower_sessions_sqlx_store::sqlx::PgPool;
use work::{Library, Ours, Outcome, Size, Subject, Tower};

use crate::options::Options;
use crate::table::{OURS, Row, THEIRS};
use crate::{Side, compare, sqlite};

pub(crate) const NAMES: [&str; 5] = ["memory", "redis", "postgres", "sqlite", "sled"];

/// Measures the libraries on this store, which ends with it.
pub(crate) async fn with(
    store: &'static str,
    options: &Options,
    rows: &mut Vec<Row>,
) -> Outcome<()> {
    let size = options.size;
    match store {
        "memory" => {
            let unbounded = MemoryStore::builder().capacity(usize::MAX).build();
            let ours = side(OURS, Ours::new(unbounded), size).await?;
            let store = tower_sessions::MemoryStore::default();
            let theirs = side(THEIRS, Tower::new(store), size).await?;
            compare("memory", vec![ours, theirs], options, rows).await
        }
        "redis" => {
            let server = RedisServer::start(&[])?;
            let ours = Ours::new(RedisStore::connect(&server.url()).await?);
            let ours = side(OURS, ours, size).await?;
            let client = Builder::from_config(Config::from_url(&server.url())?).build_pool(1)?;
            client.init().await?;
            let theirs = side(THEIRS, Tower::new(TowerRedis::new(client)), size).await?;
            compare("redis", vec![ours, theirs], options, rows).await
        }
        "postgres" => {
            let server = PostgresServer::start(&[])?;
            let store = PostgresStore::builder(server.url()).migrate().await?;
            let ours = side(OURS, Ours::new(store.connect().await?), size).await?;
            let store = TowerPostgres::new(PgPool::connect(&server.url()).await?);
            store.migrate().await?;
            let theirs = side(THEIRS, Tower::new(store), size).await?;
            compare("postgres", vec![ours, theirs], options, rows).await
        }
        "sqlite" => {
            let folder = tempfile::tempdir()?;
            let sides = sqlite::sides(folder.path(), size).await?;
            compare("sqlite", sides, options, rows).await
        }
        "sled" => {
            let folder = tempfile::tempdir()?;
            let store = SledStore::open(folder.path()).await?;
            let ours = side(OURS, Ours::new(store.clone()), size).await?;
            compare("sled", vec![ours], options, rows).await?;
            Ok(store.close().await?)
        }
        other => Err(format!("there is no store {other}").into()),
    }
}

async fn side(name: &'static str, library: impl Library, size: Size) -> Outcome<Side> {
    Ok((name, Box::new(Subject::new(library, size).await?)))
}
