//! One library on one store: in this process, and in one of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use measure::{Outcome, Plan, Row, measure};

use crate::memory::Memory;
use crate::postgres::Postgres;
use crate::redis_server::Redis;
use crate::sled::Sled;
use crate::{OURS, THEIRS};

/// Measures it, and says it on standard output.
pub(crate) async fn here(store: &str, library: &str, plan: Plan) -> Outcome<()> {
    let library = if library == OURS { OURS } else { THEIRS };
    let row = match store {
        "memory" => measure(store, library, Memory::new(library)?, plan).await?,
        "redis" => measure(store, library, Redis::new(library)?, plan).await?,
        "postgres" => measure(store, library, Postgres::new(library)?, plan).await?,
        "sled" => measure(store, library, Sled::new()?, plan).await?,
        other => return Err(format!("{other} is in another program").into()),
    };
    row.print()
}

/// Has it measured by another process. Nothing if the library has no such store.
pub(crate) fn apart(store: &str, library: &str, plan: Plan) -> Outcome<Option<Row>> {
    if store == "sled" && library == THEIRS {
        return Ok(None);
    }
    let mut command = if store == "sqlite" {
        Command::new(sqlite(library)?)
    } else {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--one", store, library]);
        command
    };
    let output = command
        .args(plan.arguments())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{store} with {library} could not be measured").into());
    }
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

/// Builds the program of this side.
fn sqlite(library: &str) -> Outcome<PathBuf> {
    let name = if library == OURS {
        "sqlite"
    } else {
        "sqlite-peer"
    };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    work::built(&own, &format!("scale-{name}"))
}
