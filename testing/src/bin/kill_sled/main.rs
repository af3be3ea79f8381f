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

mod cycles;
mod ledger;
mod opens;
mod writer;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug)]
struct Options {
    cycles: u64,
    opens: u64,
    seed: u64,
    control: bool,
}

#[tokio::main(worker_threads = 4)]
async fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["writer", path, seed, control] => {
            writer::run(Path::new(path), seed.parse()?, control == "early").await?;
            return Ok(ExitCode::SUCCESS);
        }
        ["opener", path] => {
            opens::opener(Path::new(path)).await?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let options = parse(&arguments)?;
    eprintln!("seed {}", options.seed);
    let (mut passed, mut failed) = cycles::run(&options).await?;
    if options.control {
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
        cycles: 40,
        opens: 60,
        seed: u64::from(std::process::id()),
        control: false,
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
            "--cycles" => options.cycles = number()?,
            "--opens" => options.opens = number()?,
            "--seed" => options.seed = number()?,
            "--no-flush-control" => options.control = true,
            "--quick" => {}
            other => return Err(format!("{other:?} is not an option").into()),
        }
    }
    Ok(options)
}
