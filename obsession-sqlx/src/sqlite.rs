//! SQLite: one file, one writer at a time, and readers that wait for nobody.

mod connection;
mod texts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use obsession_core::{Record, ScanCursor, SessionKey};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow};

use crate::builder::Source;
use crate::dialect::{Acted, At, Dialect, Look, Role, Seen};
use crate::driver::{self, Text, millis, number};
use crate::error::Diagnosis;
use crate::migrate::{Migration, Schema};
use crate::names::Names;
use crate::write::{Kind, Write};
use crate::{ConnectError, SqlStore, SqlStoreBuilder};
use texts::Texts;

/// Sessions in a SQLite file. See [the crate](crate).
pub type SqliteStore = SqlStore<Sqlite>;

/// SQLite, for [`SqlStore`].
#[derive(Debug)]
pub struct Sqlite {
    names: Names,
    settings: Settings,
    texts: Texts,
}

/// What can be set for SQLite alone.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    synchronous: Synchronous,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// The end of the process, of the system and of the power: the disk is waited for at each commit.
    #[default]
    Full,
    /// The end of the process. If the system crashes or the power fails, the last commits may be lost,
    /// all of those since the log was last copied to the file; the file stays in order.
    Normal,
}

impl SqlStoreBuilder<Sqlite> {
    /// What an acknowledged write survives; [`Synchronous::Full`] unless set.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.settings.synchronous = synchronous;
        self
    }
}

impl SqliteStore {
    /// The statements that are sent, by what they do. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn texts(&self) -> Vec<(&'static str, String)> {
        self.shared.base.dialect.texts.all()
    }
}

impl From<SqliteConnectOptions> for Source<Sqlite> {
    fn from(options: SqliteConnectOptions) -> Self {
        Self::of(options)
    }
}

impl Sqlite {
    /// Runs a statement on rows of values, padded to a number of rows that there is a text for.
    async fn many<T>(
        &self,
        connection: &mut SqliteConnection,
        texts: &[Text],
        rows: &[T],
        width: usize,
        at: At,
        bind: impl Fn(&mut SqliteArguments, &T) -> Result<(), sqlx::Error>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let (text, size) = texts::fitting(texts, rows.len());
        let mut arguments = now(at)?;
        for row in rows {
            bind(&mut arguments, row)?;
        }
        for _ in rows.len() * width..size * width {
            add(&mut arguments, None::<i64>)?;
        }
        driver::rows::<sqlx::Sqlite>(connection, text, arguments).await
    }
}

impl Sqlite {
    /// Runs one statement for writes.
    async fn write(
        &self,
        connection: &mut SqliteConnection,
        texts: &[Text],
        kind: Kind,
        writes: &[&Write],
        width: usize,
        at: At,
    ) -> Result<Vec<Acted>, sqlx::Error> {
        let rows = self.many(connection, texts, writes, width, at, |arguments, write| {
            write_row(arguments, write)
        });
        let rows = rows.await?;
        let mut done = HashMap::with_capacity(rows.len());
        for row in &rows {
            done.insert(
                driver::key::<sqlx::Sqlite>(row)?,
                driver::flag::<sqlx::Sqlite>(row, 1)?,
            );
        }
        let acted = |write: &&Write| match done.get(write.key()) {
            Some(true) => Acted::Done,
            // An expired one was deleted; or there was none.
            Some(false) => Acted::Met(None),
            None if kind == Kind::Delete => Acted::Met(None),
            None => Acted::Missed,
        };
        Ok(writes.iter().map(acted).collect())
    }
}

impl Dialect for Sqlite {
    type Database = sqlx::Sqlite;
    type Settings = Settings;

    const NAME: &'static str = "SQLite";
    const READERS: usize = 4;
    // SQLite has one at a time, and several that take turns wait longer for each other than one queue
    // is long.
    const WRITERS: usize = 1;
    const ROWS: usize = texts::ROWS;

    fn new(names: &Names, settings: &Settings) -> Self {
        Self {
            names: names.clone(),
            settings: settings.clone(),
            texts: Texts::new(names),
        }
    }

    fn options(
        &self,
        options: SqliteConnectOptions,
        role: Role,
        deadline: Duration,
    ) -> Result<SqliteConnectOptions, ConnectError> {
        let synchronous = self.settings.synchronous;
        Ok(connection::options(options, role, deadline, synchronous))
    }

    async fn greet(
        &self,
        connection: &mut SqliteConnection,
        role: Role,
        _: Duration,
    ) -> Result<(), ConnectError> {
        connection::greet(connection, role).await
    }

    async fn load(
        &self,
        connection: &mut SqliteConnection,
        keys: &[SessionKey],
        look: Look,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let texts = match look {
            Look::Now => &self.texts.load,
            Look::Settled => &self.texts.settled,
        };
        let rows = self.many(connection, texts, keys, 1, at, |arguments, key| {
            add(arguments, key.as_str())
        });
        rows.await?.iter().map(seen).collect()
    }

    async fn act(
        &self,
        connection: &mut SqliteConnection,
        kind: Kind,
        writes: &[&Write],
        at: At,
    ) -> Result<Vec<Acted>, sqlx::Error> {
        let texts = &self.texts;
        let (texts, width) = match kind {
            Kind::Create => (&texts.create, texts::RECORD),
            Kind::Update => (&texts.update, texts::RECORD + 1),
            Kind::Touch => (&texts.touch, 3),
            Kind::Delete => (&texts.delete, 1),
        };
        self.write(connection, texts, kind, writes, width, at).await
    }

    async fn act_again(
        &self,
        connection: &mut SqliteConnection,
        kind: Kind,
        writes: &[&Write],
        at: At,
    ) -> Result<Vec<Acted>, sqlx::Error> {
        if kind == Kind::Update {
            let (texts, width) = (&self.texts.assign, texts::RECORD + 1);
            return self.write(connection, texts, kind, writes, width, at).await;
        }
        self.act(connection, kind, writes, at).await
    }

    async fn expire(
        &self,
        connection: &mut SqliteConnection,
        limit: usize,
        at: At,
    ) -> Result<usize, sqlx::Error> {
        let mut arguments = now(at)?;
        add(&mut arguments, limited(limit))?;
        let text = &self.texts.expire;
        let rows = driver::rows::<sqlx::Sqlite>(connection, text, arguments).await?;
        Ok(rows.len())
    }

    async fn end(
        &self,
        connection: &mut SqliteConnection,
        subject: &str,
        keys: &[SessionKey],
        at: At,
    ) -> Result<usize, sqlx::Error> {
        let mut ended = 0;
        for keys in keys.chunks(texts::ROWS) {
            let (text, size) = texts::fitting(&self.texts.end, keys.len());
            let mut arguments = now(at)?;
            add(&mut arguments, subject)?;
            for n in 0..size {
                add(&mut arguments, keys.get(n).map(SessionKey::as_str))?;
            }
            for row in driver::rows::<sqlx::Sqlite>(connection, text, arguments).await? {
                ended += usize::from(driver::flag::<sqlx::Sqlite>(&row, 0)?);
            }
        }
        Ok(ended)
    }

    async fn keys_of(
        &self,
        connection: &mut SqliteConnection,
        subject: &str,
    ) -> Result<Vec<SessionKey>, sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        add(&mut arguments, subject)?;
        let text = &self.texts.keys_of;
        let rows = driver::rows::<sqlx::Sqlite>(connection, text, arguments).await?;
        rows.iter().map(driver::key::<sqlx::Sqlite>).collect()
    }

    async fn list(
        &self,
        connection: &mut SqliteConnection,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let mut arguments = now(at)?;
        add(&mut arguments, subject)?;
        // Before all keys.
        add(&mut arguments, after.map_or("", SessionKey::as_str))?;
        add(&mut arguments, limited(limit))?;
        let text = &self.texts.list;
        let rows = driver::rows::<sqlx::Sqlite>(connection, text, arguments).await?;
        Ok(driver::all_seen::<sqlx::Sqlite>(&rows, seen))
    }

    async fn scan(
        &self,
        connection: &mut SqliteConnection,
        after: Option<ScanCursor>,
        limit: usize,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let mut arguments = now(at)?;
        let from = after.map_or(i64::MIN, |after| millis(after.expires_at));
        add(&mut arguments, from)?;
        let key = after.as_ref().map_or("", |after| after.key.as_str());
        add(&mut arguments, key)?;
        add(&mut arguments, limited(limit))?;
        let text = &self.texts.scan;
        let rows = driver::rows::<sqlx::Sqlite>(connection, text, arguments).await?;
        Ok(driver::all_seen::<sqlx::Sqlite>(&rows, seen))
    }

    async fn count(&self, connection: &mut SqliteConnection, at: At) -> Result<u64, sqlx::Error> {
        let text = &self.texts.count;
        let rows = driver::rows::<sqlx::Sqlite>(connection, text, now(at)?).await?;
        driver::number_of::<sqlx::Sqlite>(&rows)
    }

    fn diagnose(&self, error: &dyn DatabaseError) -> Diagnosis {
        connection::diagnose(error)
    }

    fn migrations(&self) -> Vec<Migration> {
        texts::migrations(&self.names)
    }

    async fn schema(&self, connection: &mut SqliteConnection) -> Result<Schema, sqlx::Error> {
        let found = driver::rows::<sqlx::Sqlite>(
            connection,
            &self.texts.tables,
            SqliteArguments::default(),
        );
        match found.await?.len() {
            0 => return Ok(Schema::Nothing),
            2 => {}
            _ => return Ok(Schema::Foreign),
        }
        let text = &self.texts.version;
        let versions = driver::rows::<sqlx::Sqlite>(connection, text, SqliteArguments::default());
        let version = versions.await.ok().and_then(|rows| {
            let version = driver::number_of::<sqlx::Sqlite>(&rows).ok()?;
            i64::try_from(version).ok()
        });
        Ok(version.map_or(Schema::Foreign, Schema::Version))
    }

    async fn probe(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let (text, size) = texts::fitting(&self.texts.load, 1);
        debug_assert_eq!(size, 1);
        let mut arguments = now(None)?;
        add(&mut arguments, "")?;
        driver::rows::<sqlx::Sqlite>(connection, text, arguments).await?;
        connection::write_ahead(connection).await?;
        // A file that can only be read shows when something could be written.
        let write = &self.texts.settled[0];
        let mut arguments = now(None)?;
        add(&mut arguments, "")?;
        driver::rows::<sqlx::Sqlite>(connection, write, arguments).await?;
        Ok(())
    }

    async fn execute(
        &self,
        connection: &mut SqliteConnection,
        statement: Arc<str>,
    ) -> Result<(), sqlx::Error> {
        driver::rows::<sqlx::Sqlite>(connection, &statement, SqliteArguments::default()).await?;
        Ok(())
    }

    async fn lock(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.execute(connection, Arc::from("BEGIN IMMEDIATE")).await
    }

    async fn unlock(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.execute(connection, Arc::from("COMMIT")).await
    }
}

fn now(at: At) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    add(&mut arguments, at.map(millis))?;
    Ok(arguments)
}

fn add<'q, T>(arguments: &mut SqliteArguments, value: T) -> Result<(), sqlx::Error>
where
    T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    driver::bind::<sqlx::Sqlite, T>(arguments, value)
}

fn write_row(arguments: &mut SqliteArguments, write: &Write) -> Result<(), sqlx::Error> {
    match write {
        Write::Create(record) => record_row(arguments, record),
        Write::Update { expected, record } => {
            record_row(arguments, record)?;
            add(arguments, number(*expected))
        }
        Write::Touch {
            key,
            expected,
            expires_at,
        } => {
            add(arguments, key.as_str())?;
            add(arguments, number(*expected))?;
            add(arguments, millis(*expires_at))
        }
        Write::Delete(key) => add(arguments, key.as_str()),
    }
}

fn record_row(arguments: &mut SqliteArguments, record: &Record) -> Result<(), sqlx::Error> {
    add(arguments, record.key.as_str())?;
    add(arguments, number(record.revision))?;
    add(arguments, record.subject.as_deref())?;
    add(arguments, millis(record.created_at))?;
    add(arguments, millis(record.expires_at))?;
    add(arguments, &record.body[..])
}

fn seen(row: &SqliteRow) -> Result<Seen, sqlx::Error> {
    driver::seen::<sqlx::Sqlite>(row)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
