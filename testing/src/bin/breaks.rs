//! Makes each break of a list in a copy of the sources, and runs the tests that are to notice it:
//! `cargo run -p testing --bin breaks`, with `id_0` for the rows that begin so, takes about ten minutes
//! for all. It fails if one is not noticed, or can not be built.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use testing::breaks::{Break, breaks};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let copy = Copy::of(&top)?;
    let mut unnoticed = 0;
    for one in breaks(&top.join("testing/breaks.txt"))? {
        if !one.row.starts_with(&wanted) {
            continue;
        }
        let what = one.changes.first().map_or("", |change| change.to.trim());
        let what = what.lines().next().unwrap_or_default();
        let noticed = copy.tests(&one);
        let word = match &noticed {
            Ok(true) => "noticed",
            Ok(false) => "MISSED ",
            Err(_) => "FAILED ",
        };
        println!("{word} {:7} {what}", one.row);
        if let Err(error) = &noticed {
            eprintln!("{error}");
        }
        unnoticed += u32::from(!noticed.unwrap_or_default());
    }
    Ok(if unnoticed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The sources in a folder of their own, with a build of their own.
struct Copy {
    top: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn of(top: &Path) -> Result<Self, Box<dyn Error>> {
        let own = top.join("target/breaks");
        let copy = Self {
            top: own.join("sources"),
            target: own.join("target"),
        };
        let listed = Command::new("git")
            .arg("-C")
            .arg(top)
            .args(["ls-files", "-z"])
            .output()?;
        for file in String::from_utf8(listed.stdout)?.split_terminator('\0') {
            let (from, to) = (top.join(file), copy.top.join(file));
            let Ok(new) = fs::read(&from) else { continue };
            // What is the same keeps its time, so that it is not built again.
            if fs::read(&to).is_ok_and(|old| old == new) {
                continue;
            }
            fs::create_dir_all(to.parent().ok_or("a file without a folder")?)?;
            fs::write(to, new)?;
        }
        Ok(copy)
    }

    /// Whether the tests of its row notice it.
    fn tests(&self, one: &Break) -> Result<bool, Box<dyn Error>> {
        let mut before = Vec::new();
        let made = self.make(one, &mut before);
        let ran = made.and_then(|()| self.run(one));
        for (file, source) in before.into_iter().rev() {
            fs::write(file, source)?;
        }
        let ran = ran?;
        let said = String::from_utf8_lossy(&ran.stdout);
        if !said.contains("running ") || said.contains("running 0 tests") {
            let said = String::from_utf8_lossy(&ran.stderr);
            return Err(format!("{}: no test was run\n{said}", one.row).into());
        }
        Ok(!ran.status.success())
    }

    /// Makes it, and notes how each file was before.
    fn make(&self, one: &Break, before: &mut Vec<(PathBuf, String)>) -> Result<(), Box<dyn Error>> {
        for change in &one.changes {
            let file = self.top.join(&change.file);
            let source = fs::read_to_string(&file)?;
            let broken = change.apply(&source)?;
            before.push((file.clone(), source));
            fs::write(&file, broken)?;
        }
        Ok(())
    }

    fn run(&self, one: &Break) -> Result<Output, Box<dyn Error>> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--locked", "--all-features", "-p", &one.package]);
        cargo.args(["--test", &one.target, &one.row]);
        if one.in_browser {
            cargo.args(["--", "--ignored"]);
        }
        cargo
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUST_BACKTRACE", "0");
        Ok(cargo.current_dir(&self.top).output()?)
    }
}
