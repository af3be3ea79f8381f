//! The two sides of SQLite, each in a program of its own.

use std::path::Path;
use std::process::Command;

use work::{Outcome, Remote, Size};

use crate::Side;
use crate::table::{OURS, THEIRS};

/// Builds and starts both, each on a file of its own in this folder.
pub(crate) async fn sides(folder: &Path, size: Size) -> Outcome<Vec<Side>> {
    let ours = side(OURS, "sqlite", folder, size).await?;
    Ok(vec![ours, side(THEIRS, "sqlite-peer", folder, size).await?])
}

async fn side(library: &'static str, name: &str, folder: &Path, size: Size) -> Outcome<Side> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let target = own.join("target");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(own.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !built.success() {
        return Err(format!("{name} could not be built").into());
    }
    let file = folder.join(format!("{name}.db"));
    let file = file.to_str().ok_or("the folder's name is no text")?;
    let program = target.join("release").join(name);
    let remote = Remote::start(&program, &[file, size.name()]).await?;
    Ok((library, Box::new(remote)))
}
