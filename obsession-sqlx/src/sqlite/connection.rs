//! How SQLite is opened, what is refused, and what its errors mean.

use std::sync::Arc;
use std::time::Duration;

use obsession_core::Effect;
use sqlx::Row;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteLockingMode, SqliteSynchronous,
};

use crate::dialect::Role;
use crate::driver;
use crate::error::Diagnosis;
use crate::{ConnectError, FailureKind, Synchronous};

/// Versions before can corrupt the file when several connections write and copy the log at the same
/// moment (the "WAL-reset bug").
const OLDEST: [u32; 3] = [3, 51, 3];
/// How far the log's file is cut back, in bytes, when all of it has been copied.
const LOG_LIMIT: u64 = 16 << 20;

pub(super) fn options(
    options: SqliteConnectOptions,
    role: Role,
    deadline: Duration,
    synchronous: Synchronous,
) -> SqliteConnectOptions {
    let synchronous = match synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    // SQLite asks again for a lock after 1, 2, 5, 10 ms and so on up to 100, in which whoever writes all
    // the time overtakes. The worker asks at short intervals, and knows how long each call has.
    let patience = match role {
        Role::Migrates => Duration::from_mins(1),
        Role::Checks => deadline / 2,
        Role::Reads | Role::Writes => Duration::from_millis(18).min(deadline / 4),
    };
    let options = options
        .locking_mode(SqliteLockingMode::Normal)
        .synchronous(synchronous)
        .busy_timeout(patience)
        .create_if_missing(role == Role::Migrates)
        .read_only(false)
        .immutable(false)
        .pragma("journal_size_limit", LOG_LIMIT.to_string())
        .statement_cache_capacity(256);
    match role {
        Role::Reads => options.pragma("query_only", "ON"),
        Role::Writes | Role::Checks | Role::Migrates => options,
    }
}

/// Whether this SQLite and this file will do.
pub(super) async fn greet(connection: &mut SqliteConnection, _: Role) -> Result<(), ConnectError> {
    let text = Arc::from(
        "SELECT sqlite_version(), (SELECT file FROM pragma_database_list WHERE name = 'main')",
    );
    let rows = driver::rows::<sqlx::Sqlite>(connection, &text, SqliteArguments::default()).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let version: String = row.try_get(0)?;
    let file: String = row.try_get(1)?;
    if !is_new_enough(&version) {
        return Err(ConnectError::Unfit {
            reason: "SQLite before 3.51.3 can corrupt a file that several connections use",
            found: version,
        });
    }
    if file.is_empty() {
        return Err(ConnectError::Unfit {
            reason: "SQLite in memory is one connection's own, and this store has several; \
                     obsession-core has a store in memory",
            found: String::new(),
        });
    }
    Ok(())
}

/// Has the file written by way of a log, so that readers and the writer do not wait for each other. The
/// file remembers it.
pub(super) async fn write_ahead(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for pause in [1, 5, 10, 20, 50, 100, 200] {
        let text = Arc::from("PRAGMA journal_mode = WAL");
        match driver::rows::<sqlx::Sqlite>(connection, &text, SqliteArguments::default()).await {
            Ok(rows) => {
                let mode: Option<String> = rows.first().map(|row| row.try_get(0)).transpose()?;
                if mode.as_deref() == Some("wal") {
                    return Ok(());
                }
                return Err(sqlx::Error::Configuration(
                    "this SQLite file can not have a write-ahead log".into(),
                ));
            }
            // SQLite does not wait here if waiting could be for ever.
            Err(sqlx::Error::Database(error)) if diagnose(&*error).kind == FailureKind::Busy => {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Err(error) => return Err(error),
        }
    }
    Err(sqlx::Error::Configuration(
        "others keep this SQLite file from having a write-ahead log".into(),
    ))
}

/// See <https://www.sqlite.org/rescode.html>. A statement that fails is rolled back.
pub(super) fn diagnose(error: &dyn DatabaseError) -> Diagnosis {
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    let code = code.unwrap_or(1);
    match code & 0xff {
        // SQLITE_BUSY, SQLITE_LOCKED
        5 | 6 => Diagnosis::not_applied(FailureKind::Busy),
        // SQLITE_READONLY; others may have replaced the file, which opening it again would show.
        8 => Diagnosis {
            lost: true,
            ..Diagnosis::not_applied(FailureKind::ReadOnly)
        },
        // SQLITE_IOERR: a commit that can not be synced may be in the log, and be found there later.
        10 => Diagnosis {
            effect: Effect::Unknown,
            lost: true,
            ..Diagnosis::not_applied(FailureKind::Storage)
        },
        // SQLITE_FULL
        13 => Diagnosis::not_applied(FailureKind::Full),
        // SQLITE_CANTOPEN
        14 => Diagnosis {
            lost: true,
            ..Diagnosis::not_applied(FailureKind::Storage)
        },
        // SQLITE_NOTADB
        26 => Diagnosis {
            lost: true,
            ..Diagnosis::not_applied(FailureKind::NotADatabase)
        },
        // SQLITE_CORRUPT: maybe of one row's page.
        11 => Diagnosis {
            one_row: true,
            ..Diagnosis::not_applied(FailureKind::Storage)
        },
        // SQLITE_PERM, SQLITE_AUTH
        3 | 23 => Diagnosis::not_applied(FailureKind::Refused),
        // SQLITE_ERROR: no such table or column, since the statement was right when it was written.
        1 => Diagnosis::not_applied(FailureKind::Schema),
        // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH
        18..=20 => Diagnosis::rejected(),
        _ => Diagnosis::not_applied(FailureKind::Unexpected),
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let version = [(); 3].map(|()| parts.next().unwrap_or(0));
    version >= OLDEST
}
