//! The schema: made, brought up to date, and looked at before anything relies on it.

use std::sync::Arc;

use crate::dialect::{Dialect, Held};
use crate::driver;
use crate::names::Names;
use crate::{ConnectError, FailureKind};

/// One version of the schema, and how it comes from the one before.
#[derive(Clone, Debug)]
pub struct Migration {
    pub version: u32,
    /// Without semicolons at their ends. The last one notes the version.
    pub statements: Vec<String>,
}

/// What is there under a store's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schema {
    Nothing,
    /// Something that this crate did not make.
    Foreign,
    /// A table of this version of ours.
    Version(i64),
}

/// Brings the schema up to date.
///
/// If it is, nothing is locked and nothing is written, so whoever calls this needs no more rights than
/// a store.
pub(crate) async fn run<D: Dialect>(
    dialect: &D,
    names: &Names,
    connection: &mut Held<D>,
) -> Result<(), ConnectError> {
    let newest = newest(dialect);
    if dialect.schema(connection).await? == Schema::Version(newest) {
        return Ok(());
    }
    dialect.lock(connection).await?;
    // Others may have been here while the lock was waited for.
    let version = match dialect.schema(connection).await? {
        Schema::Nothing => 0,
        Schema::Version(version) if version <= newest => version,
        other => return mismatch(names, newest, other),
    };
    for migration in dialect.migrations() {
        if i64::from(migration.version) > version {
            tracing::info!(
                table = names.table,
                version = migration.version,
                "migrating"
            );
            for statement in migration.statements {
                dialect.execute(connection, Arc::from(statement)).await?;
            }
        }
    }
    dialect.unlock(connection).await?;
    Ok(())
}

/// Looks whether the schema is the one that this version of the crate works with.
pub(crate) async fn check<D: Dialect>(
    dialect: &D,
    names: &Names,
    connection: &mut Held<D>,
) -> Result<(), ConnectError> {
    let newest = newest(dialect);
    match dialect.schema(connection).await? {
        Schema::Version(version) if version == newest => {}
        other => return mismatch(names, newest, other),
    }
    match dialect.probe(connection).await {
        Err(source) if driver::diagnose(dialect, &source).kind == FailureKind::Schema => {
            Err(ConnectError::Columns {
                table: names.table.clone(),
                source,
            })
        }
        probed => Ok(probed?),
    }
}

/// The migrations from a version on, as a script.
pub(crate) fn script<D: Dialect>(dialect: &D, from: u32) -> String {
    let mut script = String::new();
    for migration in dialect.migrations() {
        if migration.version > from {
            for statement in migration.statements {
                script.push_str(&statement);
                script.push_str(";\n");
            }
        }
    }
    script
}

fn newest<D: Dialect>(dialect: &D) -> i64 {
    let versions = dialect.migrations();
    versions.last().map_or(0, |last| last.version.into())
}

fn mismatch(names: &Names, known: i64, found: Schema) -> Result<(), ConnectError> {
    let table = names.table.clone();
    Err(match found {
        Schema::Nothing => ConnectError::NoTable { table },
        Schema::Foreign => ConnectError::Foreign { table },
        Schema::Version(found) => ConnectError::Version {
            table,
            found,
            known,
        },
    })
}
