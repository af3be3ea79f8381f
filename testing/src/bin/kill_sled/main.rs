//! Kills a process that uses the sled store, again and again, and looks at what is left.
//!
//! ```text
//! cargo run -p testing --bin kill_sled -- --cycles 300 --opens 500
//! cargo run -p testing --bin kill_sled -- --quick
//! ```
//!
//! * `--cycles N`: N times, four tasks of a child create, write, cycle, sign in and delete sessions
//!   until it is killed. No acknowledged write may be lost, every session has exactly one token
//!   that works, and the indexes agree with the records.
//! * `--opens N`: N times a child is killed while it opens a database, half of them while sled
//!   writes a snapshot, and a tenth as often while it makes one. It must always open again, with
//!   everything in it.
//! * `--seed N` repeats the chances of a run, though not the kernel's.
//! * `--no-flush-control`: the child acknowledges before anything is on disk. The run passes if
//!   that is noticed.
//!
//! The exit code says whether all was well.

mod opens;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use obsession_sled::SledStore;
use testing::{Kills, Outcome, Victim, kill_while_it_writes, write_until_killed};

#[derive(Debug)]
struct Options {
    kills: Kills,
    opens: u64,
}

struct Sled;

impl Victim for Sled {
    type Store = SledStore;

    async fn open(path: &Path, early: bool) -> Outcome<SledStore> {
        let mut builder = SledStore::builder(path);
        if early {
            builder = builder.answer_before_the_flush();
        }
        Ok(builder.open().await?)
    }

    async fn close(store: SledStore) -> Outcome {
        Ok(store.close().await?)
    }
}

#[tokio::main(worker_threads = 4)]
async fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["writer", path, seed, control] => {
            let (seed, early) = (seed.parse()?, control == "early");
            write_until_killed::<Sled>(Path::new(path), seed, early).await?;
            return Ok(ExitCode::SUCCESS);
        }
        ["opener", path] => {
            opens::opener(Path::new(path)).await?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let options = parse(&arguments)?;
    eprintln!("seed {}", options.kills.seed);
    let (mut passed, mut failed) = kill_while_it_writes::<Sled>(&options.kills).await?;
    if options.kills.control {
        println!(
            "control: {failed} of {} kills were noticed",
            passed + failed
        );
        (passed, failed) = (u64::from(failed > 0), u64::from(failed == 0));
    } else {
        let (opened, stuck) = opens::run(&options).await?;
        passed += opened;
        failed += stuck;
    }
    println!("{passed} passed, {failed} failed");
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn parse(arguments: &[String]) -> Outcome<Options> {
    // What `--quick` means, and no argument.
    let mut options = Options {
        kills: Kills {
            cycles: 40,
            seed: u64::from(std::process::id()),
            control: false,
        },
        opens: 60,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .ok_or("a number is missing")?
                .parse::<u64>()
                .map_err(Box::<dyn Error + Send + Sync>::from)
        };
        match &**argument {
            "--cycles" => options.kills.cycles = number()?,
            "--opens" => options.opens = number()?,
            "--seed" => options.kills.seed = number()?,
            "--no-flush-control" => options.kills.control = true,
            "--quick" => {}
            other => return Err(format!("{other:?} is not an option").into()),
        }
    }
    Ok(options)
}
