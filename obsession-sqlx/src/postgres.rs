//! Postgres: rows as arrays, answers row by row, and clocks and locks on the server.

mod connection;
mod rows;
mod texts;
mod values;

use std::sync::Arc;
use std::time::Duration;

use obsession_core::{ScanCursor, SessionKey};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::builder::Source;
use crate::dialect::{Acted, At, Dialect, Look, Role, Seen};
use crate::driver::{self, Text, millis};
use crate::error::Diagnosis;
use crate::migrate::{Migration, Schema};
use crate::names::Names;
use crate::write::{Kind, Write};
use crate::{ConnectError, SqlStore, SqlStoreBuilder};
use rows::{created, deleted, limited, seen, texts_of, time, values_of, written};
use texts::Texts;
use values::Value;

/// How often a statement is sent again that Postgres gave up to let another one go on.
const TURNS: usize = 10;
/// What goes ahead of writes whose connections are another's: no statement outlasts what loads wait for.
const TIMEOUT: &str = "SET LOCAL statement_timeout = '10s'; ";

/// Sessions in Postgres. See [the crate](crate).
pub type PostgresStore = SqlStore<Postgres>;

/// Postgres, for [`SqlStore`].
#[derive(Debug)]
pub struct Postgres {
    names: Names,
    settings: Settings,
    texts: Texts,
    /// What goes ahead of a write, if it is not prepared.
    ahead: String,
}

/// What can be set for Postgres alone.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    synchronous_commit: Option<SynchronousCommit>,
    unlogged: bool,
    statements: Statements,
}

/// What an acknowledged write survives. See `synchronous_commit` in Postgres' documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SynchronousCommit {
    /// Nothing for certain: what was acknowledged in the last moments before a crash of the server may
    /// be lost.
    Off,
    /// A crash of the server and of its machine.
    Local,
    /// That, and a standby that is synchronous has it in its system's memory.
    RemoteWrite,
    /// That, and a standby that is synchronous has it on its disk.
    On,
    /// That, and a standby that is synchronous shows it.
    RemoteApply,
}

/// How statements are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Statements {
    /// Prepared once a connection. Connections are the store's own: PgBouncer in session mode will do,
    /// and in transaction mode does not.
    #[default]
    Prepared,
    /// With their values in their text, each by itself: for PgBouncer in transaction mode, and whatever
    /// else gives each transaction another connection. Postgres plans each anew.
    Unprepared,
}

impl SqlStoreBuilder<Postgres> {
    /// The schema of the table; the first one of the search path unless set.
    /// [`migrate`](Self::migrate) makes it if it is not there.
    pub fn schema(self, schema: &str) -> Self {
        self.in_schema(schema)
    }

    /// How many connections are held for writing.
    pub fn writers(self, connections: usize) -> Self {
        self.write_with(connections)
    }

    /// What an acknowledged write of this store survives; what the server has as its default unless set.
    pub fn synchronous_commit(mut self, level: SynchronousCommit) -> Self {
        self.settings.synchronous_commit = Some(level);
        self
    }

    /// Has [`migrate`](Self::migrate) make a table that is not logged: writes cost a part, and **all
    /// sessions are gone** after a crash of the server, and are on no standby.
    pub fn unlogged(mut self, unlogged: bool) -> Self {
        self.settings.unlogged = unlogged;
        self
    }

    /// How statements are sent; [`Statements::Prepared`] unless set.
    pub fn statements(mut self, statements: Statements) -> Self {
        self.settings.statements = statements;
        self
    }
}

impl From<PgConnectOptions> for Source<Postgres> {
    fn from(options: PgConnectOptions) -> Self {
        Self::of(options)
    }
}

impl SynchronousCommit {
    const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::RemoteWrite => "remote_write",
            Self::On => "on",
            Self::RemoteApply => "remote_apply",
        }
    }
}

impl Postgres {
    /// Runs a statement. One that was given up so that another one can go on is sent again: nothing of it
    /// has been done, whoever is in it.
    async fn ask(
        &self,
        connection: &mut PgConnection,
        text: &Text,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        self.ask_after("", connection, text, values).await
    }

    /// The same for a statement that writes.
    async fn tell(
        &self,
        connection: &mut PgConnection,
        text: &Text,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        self.ask_after(&self.ahead, connection, text, values).await
    }

    async fn ask_after(
        &self,
        ahead: &str,
        connection: &mut PgConnection,
        text: &Text,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        for turn in 1.. {
            let answer = match self.settings.statements {
                Statements::Prepared => {
                    let arguments = values::bound(values)?;
                    driver::rows::<sqlx::Postgres>(connection, text, arguments).await
                }
                Statements::Unprepared => {
                    let mut whole = ahead.to_owned();
                    values::written(text, values, &mut whole);
                    let whole = sqlx::raw_sql(AssertSqlSafe(whole));
                    connection.fetch_all(whole).await
                }
            };
            match answer {
                Err(sqlx::Error::Database(error)) if turn < TURNS && gave_way(error.as_ref()) => {}
                answer => return answer,
            }
        }
        Err(sqlx::Error::RowNotFound)
    }
}

impl Dialect for Postgres {
    type Database = sqlx::Postgres;
    type Settings = Settings;

    const NAME: &'static str = "Postgres";
    const READERS: usize = 2;
    // A second one would wait for the disk as often, with half as many rows each time.
    const WRITERS: usize = 1;
    const ROWS: usize = 128;

    fn new(names: &Names, settings: &Settings) -> Self {
        let level = settings.synchronous_commit.map_or(String::new(), |level| {
            format!("SET LOCAL synchronous_commit = {}; ", level.word())
        });
        Self {
            names: names.clone(),
            settings: settings.clone(),
            texts: Texts::new(names),
            ahead: format!("{TIMEOUT}{level}"),
        }
    }

    fn options(
        &self,
        options: PgConnectOptions,
        role: Role,
        deadline: Duration,
    ) -> Result<PgConnectOptions, ConnectError> {
        Ok(connection::options(options, role, deadline, &self.settings))
    }

    async fn greet(
        &self,
        connection: &mut PgConnection,
        _: Role,
        _: Duration,
    ) -> Result<(), ConnectError> {
        connection::greet(self, connection).await
    }

    async fn load(
        &self,
        connection: &mut PgConnection,
        keys: &[SessionKey],
        look: Look,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let text = match look {
            Look::Now => &self.texts.load,
            Look::Settled => &self.texts.settled,
        };
        let keys = texts_of(keys.iter());
        let rows = self.ask(connection, text, &[time(at), keys]).await?;
        rows.iter().map(seen).collect()
    }

    async fn act(
        &self,
        connection: &mut PgConnection,
        kind: Kind,
        writes: &[&Write],
        at: At,
    ) -> Result<Vec<Acted>, sqlx::Error> {
        // Rows are locked in the order of their keys, by everybody, so that two statements do not wait
        // for each other.
        let mut order: Vec<usize> = (0..writes.len()).collect();
        order.sort_unstable_by_key(|n| writes[*n].key());
        let sorted: Vec<&Write> = order.iter().map(|n| writes[*n]).collect();
        let values = values_of(kind, &sorted, at);
        let text = match kind {
            Kind::Create => &self.texts.create,
            Kind::Update => &self.texts.update,
            Kind::Touch => &self.texts.touch,
            Kind::Delete => &self.texts.delete,
        };
        let rows = self.tell(connection, text, &values).await?;
        let mut acted = match kind {
            Kind::Create => created(&sorted, &rows)?,
            Kind::Update | Kind::Touch => written(sorted.len(), &rows)?,
            Kind::Delete => deleted(sorted.len(), &rows)?,
        };
        let mut answers: Vec<Option<Acted>> = writes.iter().map(|_| None).collect();
        for (n, acted) in order.into_iter().zip(acted.drain(..)) {
            answers[n] = Some(acted);
        }
        Ok(answers
            .into_iter()
            .map(|acted| acted.unwrap_or(Acted::Missed))
            .collect())
    }

    async fn expire(
        &self,
        connection: &mut PgConnection,
        limit: usize,
        at: At,
    ) -> Result<usize, sqlx::Error> {
        let values = [time(at), limited(limit)];
        let rows = self.tell(connection, &self.texts.expire, &values).await?;
        Ok(rows.len())
    }

    async fn end(
        &self,
        connection: &mut PgConnection,
        subject: &str,
        keys: &[SessionKey],
        at: At,
    ) -> Result<usize, sqlx::Error> {
        if subject.contains('\0') {
            return Ok(0);
        }
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        let values = [time(at), Value::Text(subject), texts_of(keys.iter())];
        let rows = self.tell(connection, &self.texts.end, &values).await?;
        let mut ended = 0;
        for row in &rows {
            ended += usize::from(driver::flag::<sqlx::Postgres>(row, 0)?);
        }
        Ok(ended)
    }

    async fn keys_of(
        &self,
        connection: &mut PgConnection,
        subject: &str,
    ) -> Result<Vec<SessionKey>, sqlx::Error> {
        if subject.contains('\0') {
            return Ok(Vec::new());
        }
        let values = [Value::Text(subject)];
        let rows = self.ask(connection, &self.texts.keys_of, &values).await?;
        rows.iter().map(driver::key::<sqlx::Postgres>).collect()
    }

    async fn list(
        &self,
        connection: &mut PgConnection,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        // There is no text with a NUL in Postgres, and so no such subject.
        if subject.contains('\0') {
            return Ok(Vec::new());
        }
        // The empty text is before all keys.
        let after = Value::Text(after.map_or("", SessionKey::as_str));
        let values = [time(at), Value::Text(subject), after, limited(limit)];
        let rows = self.ask(connection, &self.texts.list, &values).await?;
        Ok(driver::all_seen::<sqlx::Postgres>(&rows, seen))
    }

    async fn scan(
        &self,
        connection: &mut PgConnection,
        after: Option<ScanCursor>,
        limit: usize,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let from = after.map_or(i64::MIN, |after| millis(after.expires_at));
        let key = after.as_ref().map_or("", |after| after.key.as_str());
        let from = Value::Number(Some(from));
        let values = [time(at), from, Value::Text(key), limited(limit)];
        let rows = self.ask(connection, &self.texts.scan, &values).await?;
        Ok(driver::all_seen::<sqlx::Postgres>(&rows, seen))
    }

    async fn count(&self, connection: &mut PgConnection, at: At) -> Result<u64, sqlx::Error> {
        let rows = self.ask(connection, &self.texts.count, &[time(at)]).await?;
        driver::number_of::<sqlx::Postgres>(&rows)
    }

    fn diagnose(&self, error: &dyn DatabaseError) -> Diagnosis {
        connection::diagnose(error)
    }

    fn migrations(&self) -> Vec<Migration> {
        texts::migrations(&self.names, self.settings.unlogged)
    }

    async fn schema(&self, connection: &mut PgConnection) -> Result<Schema, sqlx::Error> {
        let rows = self.ask(connection, &self.texts.tables, &[]).await?;
        match driver::number_of::<sqlx::Postgres>(&rows)? {
            0 => return Ok(Schema::Nothing),
            2 => {}
            _ => return Ok(Schema::Foreign),
        }
        let rows = self.ask(connection, &self.texts.version, &[]).await?;
        let version = driver::number_of::<sqlx::Postgres>(&rows).ok();
        let version = version.and_then(|version| i64::try_from(version).ok());
        Ok(version.map_or(Schema::Foreign, Schema::Version))
    }

    async fn probe(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.ask(connection, &self.texts.probe, &[]).await.map(drop)
    }

    async fn execute(
        &self,
        connection: &mut PgConnection,
        statement: Arc<str>,
    ) -> Result<(), sqlx::Error> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        connection.execute(statement).await.map(drop)
    }

    async fn lock(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.execute(connection, Arc::from("BEGIN")).await?;
        self.execute(connection, Arc::clone(&self.texts.lock)).await
    }

    async fn unlock(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.execute(connection, Arc::from("COMMIT")).await
    }
}

/// Whether Postgres has rolled a statement back for nothing that is wrong with it.
fn gave_way(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    code == "40P01" || code == "40001"
}
