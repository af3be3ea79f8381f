//! How MySQL and MariaDB are connected to, what is refused, and what their errors mean.

use std::time::Duration;

use obsession_core::Effect;
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};

use crate::dialect::Role;
use crate::error::Diagnosis;
use crate::{ConnectError, FailureKind};

/// What every statement runs under, whatever the server's defaults: each by itself, refused if it does
/// not fit, and with its rows locked and no gaps between them. And what is to be known of the server.
///
/// MariaDB, and it alone, reads what is in the comment: it ends a statement that takes too long, so that
/// what is not applied in time is said so. MySQL can do that with reads only.
fn greeting(limit: Duration) -> String {
    let seconds = limit.as_secs_f64();
    format!(
        "SET SESSION autocommit = 1, innodb_lock_wait_timeout = 1, \
         sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES') \
         /*M!100108 , max_statement_time = {seconds} */; \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SELECT version(), CAST(@@global.read_only AS CHAR)"
    )
}

pub(super) fn options(options: MySqlConnectOptions) -> MySqlConnectOptions {
    // Statements that are logged for being slow would have their values in them.
    let options = options.disable_statement_logging();
    // `sysdate()` is in it.
    let options = options.timezone(Some("+00:00".to_owned()));
    options.statement_cache_capacity(64)
}

/// Sets the connection up, and looks whether this server will do.
pub(super) async fn greet(
    connection: &mut MySqlConnection,
    role: Role,
    deadline: Duration,
) -> Result<(), ConnectError> {
    // Without a limit, migrations wait for others.
    let limit = match role {
        Role::Migrates => Duration::ZERO,
        _ => deadline * 3 / 4,
    };
    let greeting = sqlx::raw_sql(AssertSqlSafe(greeting(limit)));
    let rows = connection.fetch_all(greeting).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let (version, read_only): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if !is_new_enough(&version) {
        return Err(ConnectError::Unfit {
            reason: "MySQL before 8.0 and MariaDB before 10.6 have no SKIP LOCKED",
            found: version,
        });
    }
    if !matches!(&read_only[..], "0" | "OFF") {
        return Err(ConnectError::Unfit {
            reason: "this server is read-only: a replica, which has what was written later than others",
            found: String::new(),
        });
    }
    Ok(())
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let mut next = || {
        numbers
            .next()
            .and_then(|n| n.parse::<u32>().ok())
            .unwrap_or(0)
    };
    let found = (next(), next());
    // MariaDB is at 10 and more, and MySQL was at 8 and 9 then.
    if version.contains("MariaDB") {
        found >= (10, 6)
    } else {
        found >= (8, 0)
    }
}

/// See <https://mariadb.com/kb/en/mariadb-error-code-reference/>. A statement that fails is rolled back.
pub(super) fn diagnose(error: &dyn DatabaseError) -> Diagnosis {
    let number = number(error);
    let kind = match number {
        1040 | 1203 | 1226 => FailureKind::TooMany,
        1044 | 1045 | 1046 | 1049 | 1142 | 1143 | 1227 | 1698 => FailureKind::Refused,
        1047 | 1053 => FailureKind::NotReady,
        1152..=1161 | 1184 | 1243 | 1927 if number != 1153 => FailureKind::Dropped,
        3 | 28 | 1021 | 1114 => FailureKind::Full,
        1036 | 1290 | 1792 | 1836 => FailureKind::ReadOnly,
        1205 | 1213 => FailureKind::Busy,
        1317 | 1969 | 3024 => FailureKind::Late,
        1051 | 1054 | 1146 => FailureKind::Schema,
        1048 | 1062 | 1153 | 1264 | 1265 | 1366 | 1406 | 1644 | 3819 | 4025 => {
            FailureKind::Rejected
        }
        1030 | 1034 | 1194 | 1195 => FailureKind::Storage,
        _ => FailureKind::Unexpected,
    };
    match kind {
        // The connection ends with it, and how far the statement came is not said.
        FailureKind::Dropped | FailureKind::NotReady if !matches!(number, 1047 | 1243) => {
            Diagnosis::lost(kind)
        }
        FailureKind::Rejected => Diagnosis {
            lost: number == 1153,
            ..Diagnosis::rejected()
        },
        _ => Diagnosis {
            kind,
            effect: Effect::NotApplied,
            // One that is connected to what is read-only now may find what can be written to.
            lost: matches!(kind, FailureKind::ReadOnly | FailureKind::TooMany)
                || matches!(number, 1047 | 1243),
            // It has been waited for.
            one_row: kind == FailureKind::Busy,
        },
    }
}

/// The server's own number of an error; 0 if it has none.
pub(super) fn number(error: &dyn DatabaseError) -> u16 {
    let error = error.try_downcast_ref::<MySqlDatabaseError>();
    error.map_or(0, MySqlDatabaseError::number)
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn versions_without_skip_locked_are_too_old() {
        for version in [
            "10.6.0-MariaDB",
            "10.11.6-MariaDB-0+deb12u1",
            "11.4.2-MariaDB",
            "8.0.36",
            "9.1.0",
        ] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["10.5.9-MariaDB", "5.7.44-log", "5.5.68-MariaDB", ""] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
