//! A directory with one file a session, and the order in which they are written.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::faults::{Faults, Step};
use super::open::MARKER;
use super::sync::DirectorySync;
use crate::{SessionKey, StoreError};

const SESSION: &str = ".session";
const TEMPORARY: &str = ".tmp";

pub(super) struct Directory {
    path: PathBuf,
    sync: DirectorySync,
    pub(super) faults: Faults,
    /// Locked, as long as it is open.
    _marker: File,
}

impl Directory {
    pub(super) fn new(path: PathBuf, marker: File) -> Self {
        Self {
            path,
            sync: DirectorySync::default(),
            faults: Faults::default(),
            _marker: marker,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the file of `key`, or nothing if there is no such file in a directory that is
    /// there: were an unmounted disk taken for no sessions, everybody would be logged out.
    pub(super) fn read(&self, key: &SessionKey) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path_of(key, SESSION)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts `bytes` in the place of the file of `key`, whole or not at all.
    ///
    /// The bytes are durable before the rename gives them the name. That the name is theirs is
    /// durable after [`settle`](Self::settle), and not before.
    pub(super) fn replace(&self, key: &SessionKey, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = self.path_of(key, TEMPORARY);
        if let Err(error) = self.write_new(&temporary, bytes) {
            // What is left of it is overwritten by the next write, or removed at the next open.
            let _ = fs::remove_file(&temporary);
            let message = "the file of a session could not be written";
            return Err(StoreError::not_applied(message).caused_by(error));
        }
        let renamed = self.faults.check(Step::Rename);
        let renamed = renamed.and_then(|()| fs::rename(&temporary, self.path_of(key, SESSION)));
        let renamed = renamed.and_then(|()| self.faults.check(Step::Renamed));
        let Err(error) = renamed else {
            self.sync.changed();
            return Ok(());
        };
        let message = "the file of a session could not be renamed";
        // A network file system may fail after it has renamed. As long as the temporary file has
        // its own name, it has not.
        if fs::symlink_metadata(&temporary).is_ok() {
            let _ = fs::remove_file(&temporary);
            return Err(StoreError::not_applied(message).caused_by(error));
        }
        self.sync.changed();
        Err(StoreError::unknown(message).caused_by(error))
    }

    /// Removes the file of `key`, and says whether there was one. It may come back with a power
    /// cut until [`settle`](Self::settle) has returned.
    pub(super) fn remove(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let path = self.path_of(key, SESSION);
        let removed = self.faults.check(Step::Remove);
        let removed = removed.and_then(|()| fs::remove_file(&path));
        let removed = removed.and_then(|()| self.faults.check(Step::Removed));
        let Err(error) = removed else {
            self.sync.changed();
            return Ok(true);
        };
        if error.kind() == ErrorKind::NotFound && self.is_there() {
            return Ok(false);
        }
        let message = "the file of a session could not be removed";
        if error.kind() == ErrorKind::NotFound || fs::symlink_metadata(&path).is_ok() {
            return Err(StoreError::not_applied(message).caused_by(error));
        }
        self.sync.changed();
        Err(StoreError::unknown(message).caused_by(error))
    }

    /// Whether the directory can still be written.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.sync.check()
    }

    /// Returns when all renames and removals so far are durable.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        self.sync.settle(&self.path, &self.faults)
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.faults.check(Step::Create)?;
        let mut file = create_new(path).or_else(|error| {
            if error.kind() != ErrorKind::AlreadyExists {
                return Err(error);
            }
            // Left by a write that failed and could not tidy up: the turn of the key is ours.
            fs::remove_file(path)?;
            create_new(path)
        })?;
        self.faults.check(Step::Write)?;
        file.write_all(bytes)?;
        self.faults.check(Step::SyncFile)?;
        file.sync_all()
    }

    fn is_there(&self) -> bool {
        fs::symlink_metadata(self.path.join(MARKER)).is_ok()
    }

    fn path_of(&self, key: &SessionKey, extension: &str) -> PathBuf {
        self.path.join(name_of(key) + extension)
    }
}

/// What a name in the directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Name {
    Session(SessionKey),
    /// A write that did not end.
    Temporary,
    /// None of ours.
    Foreign,
}

impl Name {
    pub(super) fn of(entry: &DirEntry) -> Self {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Self::Foreign;
        };
        if let Some(key) = name.strip_suffix(SESSION).and_then(key_of) {
            return Self::Session(key);
        }
        match name.strip_suffix(TEMPORARY).and_then(key_of) {
            Some(_) => Self::Temporary,
            None => Self::Foreign,
        }
    }
}

/// A new file that nobody else may read.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A key in lower-case hexadecimal: keys tell upper from lower case, and many file systems do not.
fn name_of(key: &SessionKey) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let nibbles = key.as_bytes().iter().flat_map(|b| [b >> 4, b & 15]);
    nibbles.map(|nibble| DIGITS[usize::from(nibble)]).collect()
}

fn key_of(name: &str) -> Option<SessionKey> {
    let mut key = [0; SessionKey::LEN];
    let (pairs, []) = name.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    // The one spelling that we write: no upper case, and no sign, which `from_str_radix` takes.
    let key = SessionKey::try_from(&key[..]).ok()?;
    (name_of(&key) == name).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_name_whatever_the_file_system_makes_of_case() {
        let keys = [
            "aaaaaaaaaaaaaaaa",
            "aaaaaaaaaaaaaaaA",
            "----------------",
            "ABCDEFG.01234567",
        ];
        for key in keys {
            let key: SessionKey = key.parse().unwrap();
            let name = name_of(&key);
            assert_eq!(name, name.to_lowercase());
            assert_eq!(key_of(&name), Some(key));
        }
        assert_eq!(name_of(&keys[0].parse().unwrap()), "61".repeat(16));
        for name in [
            "4A".repeat(16),
            "+1".repeat(16),
            "61".repeat(15),
            "00".repeat(16),
            "é".repeat(16),
        ] {
            assert_eq!(key_of(&name), None, "{name}");
        }
    }
}
