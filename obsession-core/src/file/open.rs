//! Taking a directory: ours, or empty, and nobody else's.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use super::OpenError;
use super::directory::create_new;
use super::sync::sync_directory;

/// The file that says whose directory it is, and that its owner keeps locked.
pub(super) const MARKER: &str = "obsession-file-store";
const CONTENT: &[u8] = b"obsession file store, format 1\n";

/// Takes the directory at `path`, which is made if there is none, and gives the locked marker.
///
/// Nothing is touched before the directory is known to be ours or empty. A marker that is whole
/// is durable before the first session is; one that is not, in a directory with nothing else, was
/// left by somebody who was killed while making it, and is made again.
pub(super) fn take(path: &Path) -> Result<File, OpenError> {
    let marker = path.join(MARKER);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let mut file = match options.open(&marker) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_directory(path).map_err(OpenError::io("making the directory", path))?;
            if !is_empty_but_for_marker(path)? {
                return Err(OpenError::Foreign { path: path.into() });
            }
            match create_new(&marker) {
                // Another process was faster: it may still be dead by now.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(&marker),
                created => created,
            }
            .map_err(OpenError::io("making the marker", &marker))?
        }
        Err(error) => return Err(OpenError::io("opening the marker", &marker)(error)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => {
            return Err(OpenError::io("locking the marker", &marker)(error));
        }
    }
    let mut content = Vec::new();
    let mut limited = Read::by_ref(&mut file).take(256);
    limited
        .read_to_end(&mut content)
        .map_err(OpenError::io("reading the marker", &marker))?;
    if content == CONTENT {
        return Ok(file);
    }
    // A power cut may leave zeros where bytes were on their way.
    let begun = |(at, byte): (usize, &u8)| *byte == 0 || CONTENT.get(at) == Some(byte);
    if !content.iter().enumerate().all(begun) || !is_empty_but_for_marker(path)? {
        return Err(OpenError::UnknownFormat { path: path.into() });
    }
    file.rewind()
        .and_then(|()| file.write_all(CONTENT))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_directory(path))
        .map_err(OpenError::io("writing the marker", &marker))?;
    Ok(file)
}

/// Makes a directory that only its owner may use, and those above it that are missing.
fn make_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let above = path.parent().unwrap_or(path);
    match builder.create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound && above != path => {
            make_directory(above)?;
            return make_directory(path);
        }
        Err(_) if path.is_dir() => {}
        Err(error) => return Err(error),
    }
    // Also where it was there before: who made it may have been killed before this step. In a
    // directory that we may pass through but not open, it is for its owner to do.
    match sync_directory(above) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

fn is_empty_but_for_marker(path: &Path) -> Result<bool, OpenError> {
    let failed = || OpenError::io("listing the directory", path);
    for entry in fs::read_dir(path).map_err(failed())? {
        if entry.map_err(failed())?.file_name() != MARKER {
            return Ok(false);
        }
    }
    Ok(true)
}
