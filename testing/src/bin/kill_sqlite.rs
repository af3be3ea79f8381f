//! Kills a process that uses the store on SQLite, again and again, and looks at what is left.
//!
//! ```text
//! cargo run -p testing --features sqlite --bin kill_sqlite -- --cycles 300
//! cargo run -p testing --features sqlite --bin kill_sqlite -- --quick
//! ```
//!
//! * `--cycles N`: N times, four tasks of a child create, write, cycle, sign in and delete sessions
//!   until it is killed. No acknowledged write may be lost, every session has exactly one token
//!   that works, and the indexes agree with the records.
//! * `--seed N` repeats the chances of a run, though not the kernel's.
//!
//! The exit code says whether all was well. That the harness notices losses is shown by `kill_sled`,
//! whose it is as well.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use obsession_sqlx::SqliteStore;
use testing::{Kills, Outcome, Victim, kill_while_it_writes, write_until_killed};

struct Sqlite;

impl Victim for Sqlite {
    type Store = SqliteStore;

    async fn open(path: &Path, _: bool) -> Outcome<SqliteStore> {
        let url = format!("sqlite:{}", path.display());
        // A disk that others use as well may take its time, and that is not what this is about.
        let builder = SqliteStore::builder(&*url).deadline(Duration::from_secs(30));
        Ok(builder.migrate().await?.connect().await?)
    }

    async fn close(store: SqliteStore) -> Outcome {
        store.close().await;
        Ok(())
    }
}

#[tokio::main(worker_threads = 4)]
async fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut kills = Kills {
        cycles: 40,
        seed: u64::from(std::process::id()),
        control: false,
    };
    let mut rest = &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..];
    if let ["writer", path, seed, _] = rest {
        write_until_killed::<Sqlite>(Path::new(path), seed.parse()?, false).await?;
        return Ok(ExitCode::SUCCESS);
    }
    while let [argument, more @ ..] = rest {
        rest = match (*argument, more) {
            ("--quick", more) => more,
            ("--cycles", [number, more @ ..]) => {
                kills.cycles = number.parse()?;
                more
            }
            ("--seed", [number, more @ ..]) => {
                kills.seed = number.parse()?;
                more
            }
            (other, _) => return Err(format!("{other:?} is not an option").into()),
        };
    }
    eprintln!("seed {}", kills.seed);
    let (passed, failed) = kill_while_it_writes::<Sqlite>(&kills).await?;
    println!("{passed} passed, {failed} failed");
    Ok(ExitCode::from(u8::from(failed > 0)))
}
