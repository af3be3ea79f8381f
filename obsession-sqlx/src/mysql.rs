//! MySQL and MariaDB: one statement for each call, and a second one to see what an update met.

mod connection;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use obsession_core::{Record, ScanCursor, SessionKey};
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::builder::Source;
use crate::dialect::{Acted, At, Dialect, Look, Role, Seen};
use crate::driver::{self, Text, millis, number};
use crate::error::Diagnosis;
use crate::migrate::{Migration, Schema};
use crate::names::Names;
use crate::write::{Kind, Write};
use crate::{ConnectError, SqlStore, SqlStoreBuilder};
use texts::Texts;

/// How often a statement is sent again that the server gave up to let another one go on.
const TURNS: usize = 10;

/// Sessions in MySQL or MariaDB. See [the crate](crate).
pub type MySqlStore = SqlStore<MySql>;

/// MySQL and MariaDB, for [`SqlStore`].
#[derive(Debug)]
pub struct MySql {
    names: Names,
    texts: Texts,
}

impl SqlStoreBuilder<MySql> {
    /// How many connections are held for writing.
    pub fn writers(self, connections: usize) -> Self {
        self.write_with(connections)
    }
}

impl From<MySqlConnectOptions> for Source<MySql> {
    fn from(options: MySqlConnectOptions) -> Self {
        Self::of(options)
    }
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(i64),
    Time(At),
    Bytes(&'a [u8]),
    Subject(Option<&'a str>),
}

impl MySql {
    async fn ask(
        &self,
        connection: &mut MySqlConnection,
        text: &Text,
        values: &[Value<'_>],
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        driver::rows::<sqlx::MySql>(connection, text, bound(values)?).await
    }

    /// Runs a statement that writes, and says how many rows it was about. One that was given up so that
    /// another one can go on is sent again: nothing of it has been done.
    async fn tell(
        &self,
        connection: &mut MySqlConnection,
        text: &Text,
        values: &[Value<'_>],
    ) -> Result<u64, sqlx::Error> {
        for turn in 1.. {
            let text = AssertSqlSafe(Arc::clone(text));
            let statement = sqlx::query_with(text, bound(values)?);
            match connection.execute(statement).await {
                Err(sqlx::Error::Database(error))
                    if turn < TURNS && is(error.as_ref(), DEADLOCK) => {}
                answer => return Ok(answer?.rows_affected()),
            }
        }
        Err(sqlx::Error::RowNotFound)
    }

    async fn create(
        &self,
        connection: &mut MySqlConnection,
        record: &Record,
        at: At,
    ) -> Result<Acted, sqlx::Error> {
        let key = Value::Bytes(record.key.as_bytes());
        let [revision, subject, created_at, expires_at, body] = columns(record);
        let values = [key, revision, subject, created_at, expires_at, body];
        match self.tell(connection, &self.texts.create, &values).await {
            Ok(_) => Ok(Acted::Done),
            Err(sqlx::Error::Database(error)) if is(error.as_ref(), DUPLICATE) => {
                let values = [key, Value::Time(at)];
                let removed = self.tell(connection, &self.texts.replace, &values).await?;
                // If it had expired it is not there any more, and the create is tried again.
                Ok(if removed > 0 {
                    Acted::Met(None)
                } else {
                    Acted::Missed
                })
            }
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        connection: &mut MySqlConnection,
        write: &Write,
        at: At,
    ) -> Result<Acted, sqlx::Error> {
        let (texts, at_end) = (&self.texts, Value::Time(at));
        let key = Value::Bytes(write.key().as_bytes());
        let made = match write {
            Write::Create(record) => return self.create(connection, record, at).await,
            Write::Update { expected, record } => {
                let [revision, subject, created_at, expires_at, body] = columns(record);
                let values = [
                    revision,
                    subject,
                    created_at,
                    expires_at,
                    body,
                    key,
                    Value::Number(number(*expected)),
                    at_end,
                ];
                self.tell(connection, &texts.update, &values).await?
            }
            Write::Touch {
                expected,
                expires_at,
                ..
            } => {
                let until = Value::Number(millis(*expires_at));
                let values = [until, key, Value::Number(number(*expected)), at_end];
                self.tell(connection, &texts.touch, &values).await?
            }
            Write::Delete(_) => {
                let made = self.tell(connection, &texts.delete, &[key, at_end]).await?;
                return Ok(if made > 0 {
                    Acted::Done
                } else {
                    Acted::Met(None)
                });
            }
        };
        Ok(if made > 0 { Acted::Done } else { Acted::Missed })
    }
}

impl Dialect for MySql {
    type Database = sqlx::MySql;
    type Settings = ();

    const NAME: &'static str = "MySQL";
    const READERS: usize = 8;
    // Each statement is about one row, so several go at once.
    const WRITERS: usize = 8;
    const ROWS: usize = 1;

    fn new(names: &Names, (): &()) -> Self {
        Self {
            names: names.clone(),
            texts: Texts::new(names),
        }
    }

    fn options(
        &self,
        options: MySqlConnectOptions,
        _: Role,
        _: Duration,
    ) -> Result<MySqlConnectOptions, ConnectError> {
        Ok(connection::options(options))
    }

    async fn greet(
        &self,
        connection: &mut MySqlConnection,
        role: Role,
        deadline: Duration,
    ) -> Result<(), ConnectError> {
        connection::greet(connection, role, deadline).await
    }

    async fn load(
        &self,
        connection: &mut MySqlConnection,
        keys: &[SessionKey],
        look: Look,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let text = match look {
            Look::Now => &self.texts.load,
            Look::Settled => &self.texts.settled,
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let key = Value::Bytes(key.as_bytes());
            let values = [Value::Time(at), Value::Time(at), key];
            for row in self.ask(connection, text, &values).await? {
                found.push(seen(&row)?);
            }
        }
        Ok(found)
    }

    async fn act(
        &self,
        connection: &mut MySqlConnection,
        _: Kind,
        writes: &[&Write],
        at: At,
    ) -> Result<Vec<Acted>, sqlx::Error> {
        let mut acted = Vec::with_capacity(writes.len());
        for write in writes {
            acted.push(self.write(connection, write, at).await?);
        }
        Ok(acted)
    }

    async fn expire(
        &self,
        connection: &mut MySqlConnection,
        limit: usize,
        at: At,
    ) -> Result<usize, sqlx::Error> {
        let values = [Value::Time(at), limited(limit)];
        let removed = self.tell(connection, &self.texts.expire, &values).await?;
        Ok(usize::try_from(removed).unwrap_or(usize::MAX))
    }

    async fn end(
        &self,
        connection: &mut MySqlConnection,
        subject: &str,
        keys: &[SessionKey],
        at: At,
    ) -> Result<usize, sqlx::Error> {
        let mut ended = 0;
        for keys in keys.chunks(texts::KEYS) {
            // The last one stands for those that are missing, too.
            let all = keys.iter().chain(keys.last().into_iter().cycle());
            let all = all.take(texts::KEYS);
            let mut values: Vec<_> = all.map(|key| Value::Bytes(key.as_bytes())).collect();
            values.extend([Value::Subject(Some(subject)), Value::Time(at)]);
            ended += self.tell(connection, &self.texts.end, &values).await?;
        }
        Ok(usize::try_from(ended).unwrap_or(usize::MAX))
    }

    async fn keys_of(
        &self,
        connection: &mut MySqlConnection,
        subject: &str,
    ) -> Result<Vec<SessionKey>, sqlx::Error> {
        let values = [Value::Subject(Some(subject))];
        let rows = self.ask(connection, &self.texts.keys_of, &values).await?;
        rows.iter().map(key).collect()
    }

    async fn list(
        &self,
        connection: &mut MySqlConnection,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let time = Value::Time(at);
        let after = Value::Bytes(after.map_or(&[], |key| key.as_bytes()));
        let subject = Value::Subject(Some(subject));
        let values = [time, time, subject, after, time, limited(limit)];
        let rows = self.ask(connection, &self.texts.list, &values).await?;
        Ok(driver::all_seen::<sqlx::MySql>(&rows, seen))
    }

    async fn scan(
        &self,
        connection: &mut MySqlConnection,
        after: Option<ScanCursor>,
        limit: usize,
        at: At,
    ) -> Result<Vec<Seen>, sqlx::Error> {
        let time = Value::Time(at);
        let from = Value::Number(after.map_or(i64::MIN, |after| millis(after.expires_at)));
        let key: &[u8] = after.as_ref().map_or(&[], |after| after.key.as_bytes());
        let values = [
            time,
            time,
            from,
            from,
            Value::Bytes(key),
            time,
            limited(limit),
        ];
        let rows = self.ask(connection, &self.texts.scan, &values).await?;
        Ok(driver::all_seen::<sqlx::MySql>(&rows, seen))
    }

    async fn count(&self, connection: &mut MySqlConnection, at: At) -> Result<u64, sqlx::Error> {
        let values = [Value::Time(at)];
        let rows = self.ask(connection, &self.texts.count, &values).await?;
        driver::number_of::<sqlx::MySql>(&rows)
    }

    fn diagnose(&self, error: &dyn DatabaseError) -> Diagnosis {
        connection::diagnose(error)
    }

    fn migrations(&self) -> Vec<Migration> {
        texts::migrations(&self.names)
    }

    async fn schema(&self, connection: &mut MySqlConnection) -> Result<Schema, sqlx::Error> {
        let rows = self.ask(connection, &self.texts.comment, &[]).await?;
        let Some(row) = rows.first() else {
            return Ok(Schema::Nothing);
        };
        let comment: String = row.try_get(0)?;
        let version = comment.strip_prefix(texts::COMMENT);
        let version = version.and_then(|version| version.parse().ok());
        Ok(version.map_or(Schema::Foreign, Schema::Version))
    }

    async fn probe(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        for text in &self.texts.probe {
            self.ask(connection, text, &[]).await?;
        }
        Ok(())
    }

    async fn execute(
        &self,
        connection: &mut MySqlConnection,
        statement: Arc<str>,
    ) -> Result<(), sqlx::Error> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        connection.execute(statement).await.map(drop)
    }

    async fn lock(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        let rows = self.ask(connection, &self.texts.lock, &[]).await?;
        match driver::number_of::<sqlx::MySql>(&rows)? {
            1 => Ok(()),
            _ => Err(sqlx::Error::Protocol(
                "another migration has not ended in a minute".to_owned(),
            )),
        }
    }

    async fn unlock(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        self.ask(connection, &self.texts.unlock, &[])
            .await
            .map(drop)
    }
}

const DUPLICATE: u16 = 1062;
const DEADLOCK: u16 = 1213;

fn is(error: &dyn DatabaseError, number: u16) -> bool {
    connection::number(error) == number
}

fn columns(record: &Record) -> [Value<'_>; 5] {
    [
        Value::Number(number(record.revision)),
        Value::Subject(record.subject.as_deref()),
        Value::Number(millis(record.created_at)),
        Value::Number(millis(record.expires_at)),
        Value::Bytes(&record.body),
    ]
}

fn bound(values: &[Value<'_>]) -> Result<MySqlArguments, sqlx::Error> {
    let mut arguments = MySqlArguments::default();
    for value in values {
        let arguments = &mut arguments;
        match *value {
            Value::Number(number) => driver::bind::<sqlx::MySql, _>(arguments, number),
            Value::Time(at) => driver::bind::<sqlx::MySql, _>(arguments, at.map(millis)),
            Value::Bytes(bytes) => driver::bind::<sqlx::MySql, _>(arguments, bytes),
            Value::Subject(subject) => {
                let bytes = subject.map(str::as_bytes);
                driver::bind::<sqlx::MySql, _>(arguments, bytes)
            }
        }?;
    }
    Ok(arguments)
}

fn key(row: &MySqlRow) -> Result<SessionKey, sqlx::Error> {
    let key: &[u8] = row.try_get(0)?;
    SessionKey::try_from(key).map_err(|error| driver::decode(Box::new(error)))
}

fn seen(row: &MySqlRow) -> Result<Seen, sqlx::Error> {
    let subject: Option<&[u8]> = row.try_get(2)?;
    let subject = subject.map(str::from_utf8).transpose();
    let subject = subject.map_err(|error| driver::decode(Box::new(error)))?;
    let body: &[u8] = row.try_get(5)?;
    driver::seen_with::<sqlx::MySql>(row, key(row)?, subject, body.into())
}

fn limited(limit: usize) -> Value<'static> {
    Value::Number(i64::try_from(limit).unwrap_or(i64::MAX))
}
