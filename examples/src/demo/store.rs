//! From `--store` to a manager.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use etcetera::BaseStrategy;
use obsession_core::{FileStore, MemoryStore, SessionIndex, SessionManager};

use crate::options::Options;

type Error = Box<dyn std::error::Error>;

/// An open store, and how to close it.
pub(crate) struct Store {
    pub(crate) manager: SessionManager,
    pub(crate) description: String,
    closing: Option<Closing>,
}

type Closing = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl Store {
    fn new(store: impl SessionIndex, description: String, options: &Options) -> Self {
        let manager = SessionManager::builder_indexed(store)
            .realm("demo")
            .serializer(options.serializer())
            .lifetime(options.lifetime())
            .build();
        Self {
            manager,
            description,
            closing: None,
        }
    }

    #[cfg(any(
        feature = "sled",
        feature = "sqlite",
        feature = "postgres",
        feature = "mysql"
    ))]
    fn closed_by(self, closing: impl Future<Output = Result<(), Error>> + Send + 'static) -> Self {
        Self {
            closing: Some(Box::pin(closing)),
            ..self
        }
    }

    /// Returns when everything that was acknowledged is where it belongs.
    pub(crate) async fn close(self) -> Result<(), Error> {
        drop(self.manager);
        match self.closing {
            Some(closing) => closing.await,
            None => Ok(()),
        }
    }
}

/// Opens what `--store` says.
pub(crate) async fn open(options: &Options) -> Result<Store, Error> {
    let default = match &options.store {
        Some(url) => url.clone(),
        None => format!("sled:{}", default_path()?.display()),
    };
    let Some((scheme, path)) = default.split_once(':') else {
        return Err(format!(
            "--store {default}: not sled:PATH, sqlite:PATH, file:PATH, memory:, redis://HOST, \
             postgres://HOST/DATABASE or mysql://HOST/DATABASE"
        )
        .into());
    };
    match scheme {
        "memory" if path.is_empty() => Ok(Store::new(
            MemoryStore::new(),
            "this process's memory".to_owned(),
            options,
        )),
        "memory" => Err("--store memory: takes no path".into()),
        "sled" | "sqlite" | "file" if path.is_empty() => {
            Err(format!("--store {scheme}: needs a path").into())
        }
        "file" => {
            let store = FileStore::open(path).await?;
            Ok(Store::new(store, format!("files in {path}"), options))
        }
        "sled" => open_sled(Path::new(path), options).await,
        "sqlite" => open_sqlite(Path::new(path), options).await,
        _ if matches!(scheme.split('+').next(), Some("redis" | "rediss")) => {
            open_redis(&default, options).await
        }
        "postgres" | "postgresql" => open_postgres(&default, options).await,
        "mysql" | "mariadb" => open_mysql(&default, options).await,
        other => Err(format!(
            "--store {other}: is not known; this build has {}{}{}{}{}memory: and file:PATH",
            if cfg!(feature = "sled") {
                "sled:PATH, "
            } else {
                ""
            },
            if cfg!(feature = "sqlite") {
                "sqlite:PATH, "
            } else {
                ""
            },
            if cfg!(feature = "redis") {
                "redis://HOST, "
            } else {
                ""
            },
            if cfg!(feature = "postgres") {
                "postgres://HOST/DATABASE, "
            } else {
                ""
            },
            if cfg!(feature = "mysql") {
                "mysql://HOST/DATABASE, "
            } else {
                ""
            },
        )
        .into()),
    }
}

#[cfg(feature = "sled")]
async fn open_sled(path: &Path, options: &Options) -> Result<Store, Error> {
    let sled = obsession_sled::SledStore::open(path).await?;
    let store = Store::new(sled.clone(), format!("sled at {}", path.display()), options);
    Ok(store.closed_by(async move { Ok(sled.close().await?) }))
}

#[cfg(not(feature = "sled"))]
#[allow(clippy::unused_async, reason = "sled awaits")]
async fn open_sled(_: &Path, _: &Options) -> Result<Store, Error> {
    Err("--store sled: is not in this build; build with `--features sled`".into())
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(path: &Path, options: &Options) -> Result<Store, Error> {
    use obsession_sqlx::SqliteStore;
    use obsession_sqlx::sqlx::sqlite::SqliteConnectOptions;

    let file = SqliteConnectOptions::new().filename(path);
    let sqlite = SqliteStore::builder(file)
        .migrate()
        .await?
        .connect()
        .await?;
    let description = format!("SQLite at {}", path.display());
    let store = Store::new(sqlite.clone(), description, options);
    Ok(store.closed_by(async move {
        sqlite.close().await;
        Ok(())
    }))
}

#[cfg(not(feature = "sqlite"))]
#[allow(clippy::unused_async, reason = "SQLite awaits")]
async fn open_sqlite(_: &Path, _: &Options) -> Result<Store, Error> {
    Err("--store sqlite: is not in this build; build with `--features sqlite`".into())
}

#[cfg(feature = "redis")]
async fn open_redis(url: &str, options: &Options) -> Result<Store, Error> {
    use obsession_redis::{RedisStore, Verdict};

    let store = RedisStore::connect(url).await?;
    for check in store.check().await.checks {
        if check.verdict == Verdict::Warning {
            tracing::warn!("Redis: {check}");
        } else {
            tracing::info!("Redis: {check}");
        }
    }
    Ok(Store::new(store, described(url), options))
}

#[cfg(not(feature = "redis"))]
#[allow(clippy::unused_async, reason = "redis awaits")]
async fn open_redis(_: &str, _: &Options) -> Result<Store, Error> {
    Err("--store redis: is not in this build; build with `--features redis`".into())
}

#[cfg(feature = "postgres")]
async fn open_postgres(url: &str, options: &Options) -> Result<Store, Error> {
    use obsession_sqlx::PostgresStore;

    let builder = PostgresStore::builder(url).migrate().await?;
    let postgres = builder.connect().await?;
    let store = Store::new(postgres.clone(), described(url), options);
    Ok(store.closed_by(async move {
        postgres.close().await;
        Ok(())
    }))
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "Postgres awaits")]
async fn open_postgres(_: &str, _: &Options) -> Result<Store, Error> {
    Err("--store postgres: is not in this build; build with `--features postgres`".into())
}

#[cfg(feature = "mysql")]
async fn open_mysql(url: &str, options: &Options) -> Result<Store, Error> {
    use obsession_sqlx::MySqlStore;

    let builder = MySqlStore::builder(url).migrate().await?;
    let mysql = builder.connect().await?;
    let store = Store::new(mysql.clone(), described(url), options);
    Ok(store.closed_by(async move {
        mysql.close().await;
        Ok(())
    }))
}

#[cfg(not(feature = "mysql"))]
#[allow(clippy::unused_async, reason = "MySQL awaits")]
async fn open_mysql(_: &str, _: &Options) -> Result<Store, Error> {
    Err("--store mysql: is not in this build; build with `--features mysql`".into())
}

/// A URL may have a password, which is nobody's to see.
#[cfg(any(feature = "redis", feature = "postgres", feature = "mysql"))]
fn described(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
    let hosts = hosts.split(['?', '/']).next().unwrap_or_default();
    format!("{scheme}://{hosts}")
}

fn default_path() -> Result<PathBuf, Error> {
    let folders = etcetera::base_strategy::choose_native_strategy()
        .map_err(|_| "no data directory is known for this user; say --store")?;
    Ok(folders.data_dir().join("obsession-demo"))
}
