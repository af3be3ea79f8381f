//! Sessions in Redis.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use measure::{Bytes, Library, Ours, Outcome, Place, Plan, Time, Tower};
use obsession_redis::RedisStore;
use redis::{Client, Connection};
use testing::RedisServer;
use tower_sessions_redis_store::RedisStore as TowerRedis;
use tower_sessions_redis_store::fred::prelude::{Builder, ClientLike, Config, Pool};

/// Of how many values the size is asked.
const SAMPLE: usize = 5000;

/// A server with the sessions of either library.
pub(crate) struct Redis {
    library: &'static str,
    server: RedisServer,
    connection: Connection,
    pool: Option<Pool>,
    sessions: usize,
    /// What is there besides the sessions.
    indexes: usize,
    before: u64,
}

impl Redis {
    pub(crate) fn new(library: &'static str) -> Outcome<Self> {
        let server = RedisServer::start(&[])?;
        let mut connection = Client::open(server.url())?.get_connection()?;
        let before = info(&mut connection, "memory", "used_memory:")?.parse()?;
        Ok(Self {
            library,
            server,
            connection,
            pool: None,
            sessions: 0,
            indexes: 0,
            before,
        })
    }

    /// All keys of this type, at most so many.
    fn keys(&mut self, kind: &str, most: usize) -> Outcome<Vec<Vec<u8>>> {
        // A scan may meet a key twice.
        let (mut cursor, mut found) = (0_u64, HashSet::new());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("TYPE").arg(kind);
            let (next, keys): (u64, Vec<Vec<u8>>) =
                scan.arg("COUNT").arg(5000).query(&mut self.connection)?;
            found.extend(keys);
            cursor = next;
            if cursor == 0 || found.len() >= most {
                return Ok(found.into_iter().take(most).collect());
            }
        }
    }

    /// What these keys take together, with their names.
    fn usage(&mut self, keys: &[Vec<u8>]) -> Outcome<u64> {
        let mut sum = 0;
        for keys in keys.chunks(1000) {
            let mut pipe = redis::pipe();
            for key in keys {
                let usage = pipe.cmd("MEMORY").arg("USAGE").arg(key);
                usage.arg("SAMPLES").arg(0);
            }
            let sizes: Vec<Option<u64>> = pipe.query(&mut self.connection)?;
            sum += sizes.iter().flatten().sum::<u64>();
        }
        Ok(sum)
    }
}

fn info(connection: &mut Connection, section: &str, name: &str) -> Outcome<String> {
    let info: String = redis::cmd("INFO").arg(section).query(connection)?;
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.ok_or("Redis does not say it")?.trim().to_owned())
}

#[async_trait]
impl Place for Redis {
    async fn open(&mut self, plan: &Plan) -> Outcome<Arc<dyn Library>> {
        self.sessions = plan.sessions;
        let url = self.server.url();
        if self.library == crate::OURS {
            let store = RedisStore::connect(&url).await?;
            return Ok(Arc::new(Ours::new(store, Time::Real, plan)));
        }
        // Of one connection, as ours has one.
        let pool = Builder::from_config(Config::from_url(&url)?).build_pool(1)?;
        pool.init().await?;
        self.pool = Some(pool.clone());
        Ok(Arc::new(Tower::new(TowerRedis::new(pool), plan)))
    }

    async fn close(&mut self) -> Outcome<bool> {
        if let Some(pool) = self.pool.take() {
            pool.quit().await?;
        }
        Ok(true)
    }

    async fn bytes(&mut self, _: usize) -> Outcome<Vec<Bytes>> {
        let used: u64 = info(&mut self.connection, "memory", "used_memory:")?.parse()?;
        let sample = self.keys("string", SAMPLE)?;
        let records = self.usage(&sample)? as f64 / sample.len() as f64;
        let indexes = self.keys("zset", usize::MAX)?;
        self.indexes = indexes.len();
        let indexes = self.usage(&indexes)? as f64;
        let held = self.held().await?.unwrap_or_default();
        let all = records * held as f64;
        let of = |what, total| Bytes::of(what, total, held);
        Ok(vec![
            of("MEMORY USAGE, with indexes", all + indexes),
            of("MEMORY USAGE of the records", all),
            of(
                "growth of used_memory",
                used.saturating_sub(self.before) as f64,
            ),
        ])
    }

    async fn held(&mut self) -> Outcome<Option<usize>> {
        if self.indexes == 0 {
            self.indexes = self.keys("zset", usize::MAX)?.len();
        }
        let keys: usize = redis::cmd("DBSIZE").query(&mut self.connection)?;
        Ok(Some(keys - self.indexes))
    }

    fn expires_itself(&self) -> bool {
        true
    }

    async fn note(&mut self) -> Outcome<String> {
        let version = info(&mut self.connection, "server", "redis_version:")?;
        let what = if self.library == crate::OURS {
            "the cleanup removes what is left of them in the index of deadlines"
        } else {
            "there is no cleanup"
        };
        Ok(format!(
            "Redis {version} without persistence, which removes expired sessions by itself; {what}"
        ))
    }
}
