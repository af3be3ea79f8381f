//! The sides of SQLite, each in a program of its own.

use std::path::Path;

use work::{Outcome, Remote, Size, built};

use crate::Side;
use crate::table::{OURS, THEIRS, THEIRS_NORMAL};

/// Builds and starts them, each on a file of its own in this folder.
pub(crate) async fn sides(folder: &Path, size: Size) -> Outcome<Vec<Side>> {
    Ok(vec![
        side(OURS, "sqlite", "full", folder, size).await?,
        side(THEIRS, "sqlite-peer", "full", folder, size).await?,
        side(THEIRS_NORMAL, "sqlite-peer", "normal", folder, size).await?,
    ])
}

async fn side(
    library: &'static str,
    name: &str,
    synchronous: &str,
    folder: &Path,
    size: Size,
) -> Outcome<Side> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let program = built(&own, name)?;
    let file = folder.join(format!("{name}-{synchronous}.db"));
    let file = file.to_str().ok_or("the folder's name is no text")?;
    let remote = Remote::start(&program, &[file, size.name(), synchronous]).await?;
    Ok((library, Box::new(remote)))
}
