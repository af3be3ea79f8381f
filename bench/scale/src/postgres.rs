//! Sessions in Postgres.

use std::sync::Arc;

use async_trait::async_trait;
use measure::{Bytes, Library, Ours, Outcome, Place, Plan, Time, Tower};
use obsession_sqlx::PostgresStore;
use testing::PostgresServer;
use tower_sessions_sqlx_store::PostgresStore as TowerPostgres;
use tower_sessions_sqlx_store::sqlx::PgPool;

/// A server with the sessions of either library. It waits for the disk.
pub(crate) struct Postgres {
    library: &'static str,
    server: PostgresServer,
    pool: Option<PgPool>,
    time: Time,
}

impl Postgres {
    pub(crate) fn new(library: &'static str) -> Outcome<Self> {
        Ok(Self {
            library,
            server: PostgresServer::start(&[])?,
            pool: None,
            time: Time::standing(),
        })
    }

    fn table(&self) -> &'static str {
        if self.library == crate::OURS {
            "obsession_sessions"
        } else {
            "tower_sessions.session"
        }
    }
}

#[async_trait]
impl Place for Postgres {
    async fn open(&mut self, plan: &Plan) -> Outcome<Arc<dyn Library>> {
        if self.library == crate::OURS {
            let builder = PostgresStore::builder(self.server.url()).clock(self.time.clock());
            // A batch of cleanup is measured however long it takes.
            let builder = builder.deadline(std::time::Duration::from_secs(30));
            let store = builder.migrate().await?.connect().await?;
            return Ok(Arc::new(Ours::new(store, self.time.clone(), plan)));
        }
        let pool = PgPool::connect(&self.server.url()).await?;
        self.pool = Some(pool.clone());
        let store = TowerPostgres::new(pool);
        store.migrate().await?;
        Ok(Arc::new(Tower::deleting(store, plan)))
    }

    async fn close(&mut self) -> Outcome<bool> {
        if let Some(pool) = self.pool.take() {
            pool.close().await;
        }
        Ok(true)
    }

    async fn bytes(&mut self, _: usize) -> Outcome<Vec<Bytes>> {
        let table = self.table();
        let held = self.held().await?.unwrap_or_default();
        let vacuum = format!("VACUUM ANALYZE {table}");
        self.server.sql_each(&[&vacuum, "CHECKPOINT"])?;
        let sizes = format!(
            "SELECT pg_total_relation_size('{table}'), pg_relation_size('{table}'), \
             pg_indexes_size('{table}')"
        );
        let sizes = self.server.sql(&sizes)?;
        let mut sizes = sizes.split('|').map(str::parse::<f64>);
        let mut of = |what: &str| -> Outcome<Bytes> {
            let total = sizes.next().ok_or("too few sizes")??;
            Ok(Bytes::of(what, total, held))
        };
        Ok(vec![
            of("pg_total_relation_size after VACUUM ANALYZE")?,
            of("of it the table")?,
            of("of it the indexes")?,
        ])
    }

    async fn held(&mut self) -> Outcome<Option<usize>> {
        let count = format!("SELECT count(*) FROM {}", self.table());
        Ok(Some(self.server.sql(&count)?.parse()?))
    }

    async fn note(&mut self) -> Outcome<String> {
        let version = self.server.sql("SHOW server_version")?;
        Ok(format!("Postgres {version} with fsync"))
    }
}
