//! A loss of power, as far as files are concerned that are only appended to.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const SHIM: &str = include_str!("synced.c");

/// Watches what a process has on disk for certain, and cuts its files to that.
///
/// A library that is loaded ahead of the system's notes every `fsync` and `fdatasync`. What was appended
/// to a file after the last one is what a loss of power may take, and takes here. Names of files and
/// changes in the middle of one are not: the system is taken to have kept those.
#[derive(Debug)]
pub(crate) struct Synced {
    folder: TempDir,
}

impl Synced {
    /// Of a process that keeps its files in a folder. What is there already is on disk.
    pub(crate) fn new(files: &Path) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("synced.c");
        fs::write(&source, SHIM)?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join("synced.so"))
            .arg(&source)
            .arg("-ldl")
            .status()?;
        if !built.success() {
            return Err(io::Error::other("cc could not build the library"));
        }
        let synced = Self { folder };
        let mut notes = String::new();
        for file in fs::read_dir(files)? {
            let file = file?.metadata()?;
            writeln!(notes, "{} {}", file.ino(), file.len()).map_err(io::Error::other)?;
        }
        fs::write(synced.notes(), notes)?;
        Ok(synced)
    }

    /// What the process is to be started with, as words for `env`.
    pub(crate) fn environment(&self) -> [OsString; 2] {
        let library = self.folder.path().join("synced.so");
        [("LD_PRELOAD=", library), ("SYNCED=", self.notes())].map(|(name, path)| {
            let mut word = OsString::from(name);
            word.push(path);
            word
        })
    }

    /// Cuts every file of a folder to what was on disk. The process must have ended. Says how many bytes
    /// were lost.
    pub(crate) fn lose(&self, folder: &Path) -> io::Result<u64> {
        let mut safe = HashMap::new();
        for line in fs::read_to_string(self.notes())?.lines() {
            if let Some((inode, size)) = line.split_once(' ')
                && let (Ok(inode), Ok(size)) = (inode.parse::<u64>(), size.parse::<u64>())
            {
                let most = safe.entry(inode).or_insert(0);
                *most = size.max(*most);
            }
        }
        let mut lost = 0;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let metadata = fs::metadata(&path)?;
            let safe = safe.get(&metadata.ino()).copied().unwrap_or_default();
            if metadata.is_file() && metadata.len() > safe {
                lost += metadata.len() - safe;
                File::options().write(true).open(&path)?.set_len(safe)?;
            }
        }
        Ok(lost)
    }

    fn notes(&self) -> PathBuf {
        self.folder.path().join("notes")
    }
}
