//! Requests to a service with sessions, in process, beside the Python library of the same name: the same
//! requests, one after the other on one thread, in turns, in one run. Nothing goes over a network.

mod rounds;
mod side;

use rounds::Rust;
use side::Python;
use work::Outcome;

const HELP: &str = "\
Requests to a service with sessions in memory, in process, beside the Python library of the same name.

cargo run --release -p python -- [--seconds S] [--rounds N]

Each round is S seconds (3) of each, and the figures are the median of N rounds (5). The library comes from
the Python registry, into a folder that is removed again.
";

/// How many sessions there are.
const SESSIONS: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let (mut seconds, mut rounds) = (3.0, 5);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} takes a number"));
        match &*word {
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(());
            }
            "--seconds" => seconds = value()?.parse()?,
            "--rounds" => rounds = value()?.parse()?,
            other => return Err(format!("{other} is not known; --help says what is").into()),
        }
    }
    let mut python = Python::start(SESSIONS)?;
    let rust = Rust::new(SESSIONS).await?;
    println!(
        "Python {}, obsession 1.2.2; {SESSIONS} sessions of 10 keys\n\n\
         | a request | obsession, a second | Python, a second | ratio |\n|---|---:|---:|---:|",
        python.version
    );
    for (kind, name) in [("read", "read"), ("write", "read + write")] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            eprintln!("{name}, round {}", round + 1);
            ours.push(rust.round(kind == "write", seconds).await?);
            theirs.push(python.round(kind, seconds)?);
        }
        let (ours, theirs) = (spread(ours), spread(theirs));
        let text = |[least, median, most]: [f64; 3]| format!("{median:.0} ({least:.0}–{most:.0})");
        let ratio = ours[1] / theirs[1];
        println!(
            "| {name} | {} | {} | {ratio:.2} |",
            text(ours),
            text(theirs)
        );
    }
    Ok(())
}

/// The least, the median and the most.
fn spread(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_unstable_by(f64::total_cmp);
    let at = |n: usize| figures.get(n).copied().unwrap_or(f64::NAN);
    [
        at(0),
        at(figures.len() / 2),
        at(figures.len().saturating_sub(1)),
    ]
}
