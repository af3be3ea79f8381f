//! The two sides of SQLite, each in a program of its own.

use std::path::Path;

use work::{Outcome, Remote, Size, built};

use crate::Side;
use crate::table::{OURS, THEIRS};

/// Builds and starts both, each on a file of its own in this folder.
pub(crate) async fn sides(folder: &Path, size: Size) -> Outcome<Vec<Side>> {
    let ours = side(OURS, "sqlite", folder, size).await?;
    Ok(vec![ours, side(THEIRS, "sqlite-peer", folder, size).await?])
}

async fn side(library: &'static str, name: &str, folder: &Path, size: Size) -> Outcome<Side> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let program = built(&own, name)?;
    let file = folder.join(format!("{name}.db"));
    let file = file.to_str().ok_or("the folder's name is no text")?;
    let remote = Remote::start(&program, &[file, size.name()]).await?;
    Ok((library, Box::new(remote)))
}
