//! How Postgres is connected to, what is refused, and what its errors mean.

use std::time::Duration;

use obsession_core::Effect;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgSeverity};
use sqlx::{ConnectOptions, Row};

use super::{Postgres, Settings, Statements};
use crate::dialect::Role;
use crate::error::Diagnosis;
use crate::{ConnectError, FailureKind};

/// The first release with generated columns.
const OLDEST: i64 = 120_000;

/// What every statement runs under.
///
/// A plan that is made while the table is small is kept when it has grown, so whatever reads the whole
/// table is out of the question from the start: each row is found by an index, in the order of the keys.
/// One plan serves all, since nothing in it depends on the values: Postgres would plan a statement anew each
/// time, as it takes arrays to be longer when it does not know them.
const PLANS: [(&str, &str); 7] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("default_transaction_isolation", "read committed"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

pub(super) fn options(
    options: PgConnectOptions,
    role: Role,
    deadline: Duration,
    settings: &Settings,
) -> PgConnectOptions {
    // Statements that are logged for being slow would have their values in them.
    let options = options.disable_statement_logging();
    if settings.statements == Statements::Unprepared {
        // PgBouncer refuses connections with settings that it does not know.
        return options.extra_float_digits(None);
    }
    let options = options.statement_cache_capacity(64).options(PLANS);
    let options = match settings.synchronous_commit {
        Some(level) => options.options([("synchronous_commit", level.word())]),
        None => options,
    };
    if role == Role::Migrates {
        return options;
    }
    // A statement that nobody waits for any more ends by itself; and one that waits for a row that
    // somebody keeps locked leaves time to the others.
    options.options([
        ("statement_timeout", deadline.as_millis().to_string()),
        ("lock_timeout", (deadline / 4).as_millis().to_string()),
    ])
}

/// Whether this server will do.
pub(super) async fn greet(
    dialect: &Postgres,
    connection: &mut sqlx::PgConnection,
) -> Result<(), ConnectError> {
    let rows = dialect.ask(connection, &dialect.texts.greet, &[]).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let (version, recovers): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if version < OLDEST {
        return Err(ConnectError::Unfit {
            reason: "Postgres before 12 has no generated columns",
            found: version.to_string(),
        });
    }
    if recovers != 0 {
        return Err(ConnectError::Unfit {
            reason: "this Postgres is a replica, which has what was written later than others",
            found: String::new(),
        });
    }
    Ok(())
}

/// See <https://www.postgresql.org/docs/current/errcodes-appendix.html>. A statement that fails with an
/// error is rolled back. What ends the connection may come after the commit.
pub(super) fn diagnose(error: &dyn DatabaseError) -> Diagnosis {
    let code = error.code().unwrap_or_default();
    let severity = error
        .try_downcast_ref::<PgDatabaseError>()
        .map(PgDatabaseError::severity);
    let fatal = matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic));
    let kind = kind(&code);
    // Refused before it could send anything.
    let never_began = matches!(&code[..], "53300" | "57P03") || code.starts_with("28");
    if never_began {
        return Diagnosis {
            lost: true,
            ..Diagnosis::not_applied(kind)
        };
    }
    if fatal || code.starts_with("08") {
        return Diagnosis::lost(kind);
    }
    let one_row = matches!(
        kind,
        FailureKind::Rejected | FailureKind::Busy | FailureKind::Storage
    );
    // One that is connected to what is read-only now may find what can be written to; a plan or a
    // transaction that is of no use is gone with its connection.
    let lost = kind == FailureKind::ReadOnly
        || matches!(&code[..], "0A000" | "25P01" | "25P02" | "26000" | "42P05");
    Diagnosis {
        kind,
        effect: Effect::NotApplied,
        lost,
        one_row,
    }
}

fn kind(code: &str) -> FailureKind {
    match code {
        "25006" => FailureKind::ReadOnly,
        "53100" => FailureKind::Full,
        "53300" => FailureKind::TooMany,
        "57014" => FailureKind::Late,
        "55P03" | "40001" | "40P01" => FailureKind::Busy,
        "42501" => FailureKind::Refused,
        "42P01" | "42703" | "3F000" => FailureKind::Schema,
        _ => match code.get(..2).unwrap_or_default() {
            "08" => FailureKind::Dropped,
            "22" | "23" | "54" | "P0" => FailureKind::Rejected,
            "28" | "3D" => FailureKind::Refused,
            "53" | "57" => FailureKind::NotReady,
            "58" | "XX" => FailureKind::Storage,
            _ => FailureKind::Unexpected,
        },
    }
}
