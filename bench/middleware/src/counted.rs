//! What the program that counts allocations has printed.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use work::{Outcome, Size};

use crate::libraries::Library;
use crate::request::Workload;

pub struct Counted(HashMap<String, usize>);

impl Counted {
    /// Builds it beside this program, and runs it.
    pub fn now() -> Outcome<Self> {
        let this = std::env::current_exe()?;
        let folder = this.parent().ok_or("this program is in no folder")?;
        let target = folder
            .parent()
            .ok_or("the folder of this program is in no other")?;
        let release = folder.ends_with("release").then_some("--release");
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--locked",
                "--quiet",
                "--bin",
                "allocations",
                "--manifest-path",
            ])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .args(release)
            .arg("--target-dir")
            .arg(target)
            .status()?;
        if !built.success() {
            return Err("what counts allocations could not be built".into());
        }
        let ran = Command::new(folder.join("allocations"))
            .stderr(Stdio::inherit())
            .output()?;
        if !ran.status.success() {
            return Err("what counts allocations has failed".into());
        }
        let lines = String::from_utf8(ran.stdout)?;
        let counts = lines.lines().map(|line| {
            let (what, count) = line.rsplit_once('\t').ok_or("a line without a count")?;
            Outcome::Ok((what.to_owned(), count.parse()?))
        });
        Ok(Self(counts.collect::<Outcome<_>>()?))
    }

    pub fn of(&self, library: Library, size: Size, workload: Workload) -> Outcome<usize> {
        let what = format!("{size:?}\t{}\t{}", workload.name, library.name());
        let count = self
            .0
            .get(&what)
            .ok_or_else(|| format!("{what} was not counted"))?;
        Ok(*count)
    }
}
