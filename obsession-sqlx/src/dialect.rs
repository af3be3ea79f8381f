//! What a database has to say of itself: how it is connected to, and one statement an operation.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use obsession_core::{Record, ScanCursor, SessionKey, Timestamp};
use sqlx::error::DatabaseError;
use sqlx::{ConnectOptions, Connection, Database};

use crate::ConnectError;
use crate::error::Diagnosis;
use crate::migrate::{Migration, Schema};
use crate::names::Names;
use crate::write::{Kind, Write};

pub(crate) type Held<D> = <<D as Dialect>::Database as Database>::Connection;
pub(crate) type Options<D> = <Held<D> as Connection>::Options;

/// The time of a statement: that of the clock that the store was given, or the database's own.
///
/// The database's is read when a statement has its locks. A time from outside is older than that, so
/// a write that had to wait could bring back what has expired since.
pub(crate) type At = Option<Timestamp>;

/// One kind of database. What is not here is the same for all of them.
///
/// The texts of its statements are made once, in [`Dialect::new`], and prepared once a connection by
/// sqlx's cache. No statement begins a transaction.
///
/// Futures are never dropped half-way unless their connection is dropped with them.
pub trait Dialect: Debug + Send + Sync + Sized + 'static {
    type Database: Database<
        Connection: Connection<Options: ConnectOptions<Connection = Held<Self>>>,
    >;
    /// What can be set for this database alone.
    type Settings: Clone + Debug + Default + Send + Sync;

    /// As error messages call it.
    const NAME: &'static str;
    /// How many connections read, and how many write, unless set.
    const READERS: usize;
    const WRITERS: usize;
    /// How many rows a statement has at most.
    const ROWS: usize;

    fn new(names: &Names, settings: &Self::Settings) -> Self;

    /// The options to connect with, or why they can not be.
    fn options(
        &self,
        options: Options<Self>,
        role: Role,
        deadline: Duration,
    ) -> Result<Options<Self>, ConnectError>;

    /// Sets up and looks at a connection that has just been made.
    fn greet(
        &self,
        connection: &mut Held<Self>,
        role: Role,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), ConnectError>> + Send;

    /// What these keys have, in any order. Expired records may be among them, and say so.
    ///
    /// With [`Look::Settled`], those whose write is under way elsewhere are waited for.
    fn load(
        &self,
        connection: &mut Held<Self>,
        keys: &[SessionKey],
        look: Look,
        at: At,
    ) -> impl Future<Output = Result<Vec<Seen>, sqlx::Error>> + Send;

    /// Carries out writes of one kind and of different keys, in one statement, and gives an answer
    /// for each in the same order.
    fn act(
        &self,
        connection: &mut Held<Self>,
        kind: Kind,
        writes: &[&Write],
        at: At,
    ) -> impl Future<Output = Result<Vec<Acted>, sqlx::Error>> + Send;

    /// The same for writes that were not made, though what they met does not speak against it.
    fn act_again(
        &self,
        connection: &mut Held<Self>,
        kind: Kind,
        writes: &[&Write],
        at: At,
    ) -> impl Future<Output = Result<Vec<Acted>, sqlx::Error>> + Send {
        self.act(connection, kind, writes, at)
    }

    /// Removes at most `limit` expired records, and says how many.
    fn expire(
        &self,
        connection: &mut Held<Self>,
        limit: usize,
        at: At,
    ) -> impl Future<Output = Result<usize, sqlx::Error>> + Send;

    /// Removes those of `keys` that are of `subject`, and says how many of them were live.
    fn end(
        &self,
        connection: &mut Held<Self>,
        subject: &str,
        keys: &[SessionKey],
        at: At,
    ) -> impl Future<Output = Result<usize, sqlx::Error>> + Send;

    /// The keys of `subject`, also of expired records, in any order.
    fn keys_of(
        &self,
        connection: &mut Held<Self>,
        subject: &str,
    ) -> impl Future<Output = Result<Vec<SessionKey>, sqlx::Error>> + Send;

    /// As for [`SessionIndex::list`](obsession_core::SessionIndex::list). What is not live is left out
    /// by whoever asked.
    fn list(
        &self,
        connection: &mut Held<Self>,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
        at: At,
    ) -> impl Future<Output = Result<Vec<Seen>, sqlx::Error>> + Send;

    /// As for [`SessionIndex::scan`](obsession_core::SessionIndex::scan).
    fn scan(
        &self,
        connection: &mut Held<Self>,
        after: Option<ScanCursor>,
        limit: usize,
        at: At,
    ) -> impl Future<Output = Result<Vec<Seen>, sqlx::Error>> + Send;

    /// How many records are live.
    fn count(
        &self,
        connection: &mut Held<Self>,
        at: At,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// What the database meant by an error of its own.
    fn diagnose(&self, error: &dyn DatabaseError) -> Diagnosis;

    /// All versions of the schema, the first one first.
    fn migrations(&self) -> Vec<Migration>;

    /// What is there under the store's names.
    fn schema(
        &self,
        connection: &mut Held<Self>,
    ) -> impl Future<Output = Result<Schema, sqlx::Error>> + Send;

    /// Reads nothing from all columns and writes nothing, so that a table of another shape shows, and
    /// a database that can only be read. What the store needs of a database besides its table is
    /// arranged here, when it is known that the table is ours.
    fn probe(
        &self,
        connection: &mut Held<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Runs one statement of a migration.
    fn execute(
        &self,
        connection: &mut Held<Self>,
        statement: Arc<str>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Keeps other migrations away, in a transaction if the database has them for schemas.
    fn lock(
        &self,
        connection: &mut Held<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Ends what [`Dialect::lock`] began. If a migration fails, its connection is closed instead.
    fn unlock(
        &self,
        connection: &mut Held<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Reads,
    Writes,
    /// Looking whether all is as it should be, once, when a store is opened.
    Checks,
    Migrates,
}

/// How to look at records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// As they are now.
    Now,
    /// As they are when all writes to them that have begun have ended.
    Settled,
}

/// A row that was found, unless it is damaged.
#[derive(Clone, Debug)]
pub struct Seen {
    pub key: SessionKey,
    pub record: Result<Record, Damaged>,
    pub state: State,
}

/// Whether a record is live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Live,
    /// It has expired within the last [`RECENT`] milliseconds, so that a touch that was in time may be
    /// about to be seen.
    JustExpired,
    Expired,
}

/// No statement takes so long, in milliseconds, from reading the clock to being seen by others.
pub(crate) const RECENT: u64 = 10_000;

/// A row holds what no store of ours writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damaged;

/// What came of one write of a statement.
#[derive(Debug)]
pub enum Acted {
    /// It was made, or found to have been made before.
    Done,
    /// It was not made, and this is what is there: nothing, an expired record or a live one.
    Met(Option<Seen>),
    /// It was not made, and the database does not say why in the same statement.
    Missed,
}
