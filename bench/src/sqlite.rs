//! The two sides of SQLite, each in a program of its own.

use std::path::Path;
use std::process::Command;

use work::{Contestant, Outcome, Remote};

/// Builds and starts both, each on a file of its own in this folder.
pub(crate) async fn sides(folder: &Path) -> Outcome<[Box<dyn Contestant>; 2]> {
    let ours = side("sqlite", folder).await?;
    Ok([ours, side("sqlite-peer", folder).await?])
}

async fn side(name: &str, folder: &Path) -> Outcome<Box<dyn Contestant>> {
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
    Ok(Box::new(Remote::start(&program, &[file]).await?))
}
