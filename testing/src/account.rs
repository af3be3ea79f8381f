//! Whom servers run as: most of them refuse to be root.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// Who runs a server: this process's user, or another one if that is root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Account {
    other: Option<(u32, u32)>,
}

impl Account {
    /// This user; if that is root, the first of these that the system has.
    pub(crate) fn choose(names: &[&str]) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let find = |name: &&str| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                let found = fields.next() == Some(name);
                let mut ids = fields.skip(1).filter_map(|id| id.parse().ok());
                found.then_some((ids.next()?, ids.next()?))
            })
        };
        let other = names.iter().find_map(find);
        let missing = || io::Error::other(format!("none of the users {names:?} exists"));
        Ok(Self {
            other: Some(other.ok_or_else(missing)?),
        })
    }

    /// Makes it the owner.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        match self.other {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// The words that run the program as it.
    pub(crate) fn command(&self, program: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some((user, group)) = self.other {
            words.push("setpriv".into());
            words.push(format!("--reuid={user}").into());
            words.push(format!("--regid={group}").into());
            words.push("--clear-groups".into());
        }
        words.push(program.into());
        words
    }
}

/// Where a program is: in one of these folders or, failing that, in one of `PATH`. A `*` as a part of a
/// folder's path stands for each of its kind, the one with the highest number first.
pub(crate) fn find_program(name: &str, also: &[&str], package: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = also.iter().flat_map(|pattern| spread(pattern));
    let mut programs = folders
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name));
    programs.find(|program| program.is_file()).ok_or_else(|| {
        let say = format!("{name} is not installed (Debian and Ubuntu: apt-get install {package})");
        io::Error::new(io::ErrorKind::NotFound, say)
    })
}

fn spread(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once("/*/") else {
        return vec![pattern.into()];
    };
    let entries = fs::read_dir(before).into_iter().flatten().flatten();
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        name.parse::<u32>().ok()
    };
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort_by_key(|path| std::cmp::Reverse(number(path)));
    folders.into_iter().map(|path| path.join(after)).collect()
}
