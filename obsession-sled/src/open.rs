//! From a path to a database that is ours alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::OpenError;
use crate::layout::Trees;

/// What the marker says once the database has been made: name and format of the directory.
const MARKER: &[u8] = b"obsession-sled 1\n";
const MARKER_NAME: &str = "obsession-sled";
/// What the marker says before its version number, whatever that is.
const ANY_MARKER: &[u8] = b"obsession-sled ";
/// How long sled's threads may hold its files after its last handle has gone.
const RELEASE: Duration = Duration::from_secs(10);

/// An open database. Dropping it waits for sled to let go of its files, and then gives up the
/// directory: whoever opens it next finds it free.
pub(crate) struct Database {
    // The order matters: fields are dropped from the top.
    pub(crate) trees: Trees,
    db: sled::Db,
    data: Data,
    marker: File,
}

impl Database {
    /// Opens the database in `path`, or makes one.
    ///
    /// Whatever a kill leaves behind at any point of this is opened by the next call.
    pub(crate) fn open(path: &Path, cache_capacity: u64) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).map_err(OpenError::io("find", path))?;
        create_dir(&path)?;
        let marker_path = path.join(MARKER_NAME);
        let mut marker = open_marker(&path, &marker_path)?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
            Err(TryLockError::Error(source)) => {
                return Err(OpenError::io("lock", &marker_path)(source));
            }
        }
        // From here on nobody else is in there.
        let made = read_marker(&mut marker, &path, &marker_path)?;
        if made {
            if !path.join("db").exists() {
                return Err(OpenError::Incomplete { path });
            }
        } else {
            begin_again(&path)?;
        }
        remove_unfinished_snapshots(&path)?;
        let opened = sled::Config::new()
            .path(&path)
            .cache_capacity(cache_capacity)
            .open()
            .and_then(|db| Ok((Trees::open(&db)?, db)));
        let (trees, db) = opened.map_err(OpenError::sled(&path))?;
        let data_path = path.join("db");
        let data = File::options()
            .read(true)
            .write(true)
            .open(&data_path)
            .map_err(OpenError::io("open", &data_path))?;
        let database = Self {
            trees,
            db,
            data: Data {
                file: data,
                sync: File::sync_data,
            },
            marker,
        };
        if !made {
            database.finish(&path, &marker_path)?;
        }
        Ok(database)
    }

    /// Puts everything that was written on disk.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        self.db.flush().map_err(FlushError::Sled)?;
        // On Linux sled asks for `sync_file_range`, which neither writes the file's size down nor
        // tells the disk to empty its cache. This does both.
        (self.data.sync)(&self.data.file).map_err(FlushError::Sync)
    }

    #[cfg(test)]
    pub(crate) fn sync_with(&mut self, sync: fn(&File) -> io::Result<()>) {
        self.data.sync = sync;
    }

    /// Makes a new database survive a power cut, and only then says that it is one.
    fn finish(&self, path: &Path, marker_path: &Path) -> Result<(), OpenError> {
        self.db.flush().map_err(OpenError::sled(path))?;
        let synced = self.data.file.sync_all();
        synced.map_err(OpenError::io("sync", &path.join("db")))?;
        sync(&path.join("conf"))?;
        sync(path)?;
        let mut marker = &self.marker;
        marker
            .seek(SeekFrom::Start(0))
            .and_then(|_| marker.write_all(MARKER))
            .and_then(|()| marker.sync_all())
            .map_err(OpenError::io("write", marker_path))
    }
}

#[derive(Debug)]
pub(crate) enum FlushError {
    Sled(sled::Error),
    Sync(io::Error),
}

/// A handle of the database file of our own, since sled does not lend its.
struct Data {
    file: File,
    sync: fn(&File) -> io::Result<()>,
}

impl Drop for Data {
    /// Waits until sled has closed the file. Its threads may hold it for a moment after the last
    /// `Db` is gone, and whoever opens the directory in that moment would get an error. sled holds
    /// a lock on it as long as it is open, so we are through when we can have that lock.
    fn drop(&mut self) {
        let until = Instant::now() + RELEASE;
        while let Err(TryLockError::WouldBlock) = self.file.try_lock() {
            if Instant::now() > until {
                tracing::warn!("sled did not close its file");
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn create_dir(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent();
    if let Some(parent) = parent {
        create_dir(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.map_err(OpenError::io("create", path))?,
    }
    parent.map_or(Ok(()), sync)
}

/// Opens the proof that the directory is ours, or leaves it in an empty one.
///
/// It is the first thing to be made, so what is found without it is somebody else's.
fn open_marker(path: &Path, marker_path: &Path) -> Result<File, OpenError> {
    let mut options = File::options();
    options.read(true).write(true);
    match options.open(marker_path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened.map_err(OpenError::io("open", marker_path)),
    }
    if !entries(path)?.is_empty() {
        return Err(OpenError::NotOurs {
            path: path.to_owned(),
        });
    }
    // Another process may be at the same point; the lock decides between the two.
    let marker = options
        .create(true)
        .truncate(false)
        .open(marker_path)
        .map_err(OpenError::io("create", marker_path))?;
    sync(path)?;
    Ok(marker)
}

/// Whether the database has been made. If not, somebody began and was killed.
fn read_marker(marker: &mut File, path: &Path, marker_path: &Path) -> Result<bool, OpenError> {
    let mut text = Vec::new();
    marker
        .take(64)
        .read_to_end(&mut text)
        .map_err(OpenError::io("read", marker_path))?;
    if text == MARKER {
        return Ok(true);
    }
    // A write that a power cut caught may leave nothing, a beginning or zeros.
    let begun = MARKER.starts_with(&text) || text.iter().all(|byte| *byte == 0);
    if begun && entries(path)?.iter().all(|entry| is_of_a_database(entry)) {
        return Ok(false);
    }
    match text.strip_prefix(ANY_MARKER) {
        Some(version) if !begun => Err(OpenError::UnknownVersion {
            path: path.to_owned(),
            found: String::from_utf8_lossy(version).trim_end().to_owned(),
        }),
        _ => Err(OpenError::NotOurs {
            path: path.to_owned(),
        }),
    }
}

fn is_of_a_database(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, MARKER_NAME | "conf" | "db" | "blobs") || name.starts_with("snap.")
}

/// Clears what would stop sled from making a database where it was killed while it did.
///
/// sled writes `conf` in two steps and does not open a database whose `conf` has only seen the
/// first. It is the same in every directory of ours, so sled may write it again.
fn begin_again(path: &Path) -> Result<(), OpenError> {
    remove_file(&path.join("conf"))
}

/// Removes snapshots that a kill has cut short.
///
/// sled writes `snap.X.generating` and renames it to `snap.X`, while it opens. When it opens, it
/// takes the last file in alphabetical order whose name begins with `snap.` for the newest
/// snapshot, also one that was never finished, and gives up on it. The log has all that a snapshot
/// has.
fn remove_unfinished_snapshots(path: &Path) -> Result<(), OpenError> {
    for entry in entries(path)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::info!(file = %entry.display(), "an unfinished snapshot was removed");
            remove_file(&entry)?;
        }
    }
    Ok(())
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let list =
        || -> io::Result<Vec<_>> { fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect() };
    list().map_err(OpenError::io("list", path))
}

fn remove_file(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(OpenError::io("remove", path)),
    }
}

/// Puts a file or the entries of a directory on disk.
fn sync(path: &Path) -> Result<(), OpenError> {
    // Only on Unix can a directory be opened as a file; elsewhere its entries need no help.
    if cfg!(not(unix)) && path.is_dir() {
        return Ok(());
    }
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(OpenError::io("sync", path))
}
