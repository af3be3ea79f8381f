//! The same work on obsession and on its peers, in turns, in one run.

mod options;
mod sqlite;
mod stores;
mod table;

use std::fs;

use options::{HELP, Options};
use table::Row;
use work::{Contestant, Outcome, Round, write_json};

/// A library on a store, by its name.
type Side = (&'static str, Box<dyn Contestant>);

#[tokio::main]
async fn main() -> Outcome<()> {
    let Some(options) = Options::of(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(());
    };
    let mut rows = Vec::new();
    for store in stores::NAMES {
        if options.wants(store) {
            stores::with(store, &options, &mut rows).await?;
        }
    }
    table::print(&rows);
    if let Some(path) = &options.json {
        write_json(path, &rows)?;
    }
    if let Some(path) = &options.svg {
        fs::write(path, table::chart(&rows, options.size).svg())?;
    }
    Ok(())
}

/// Each library in turn, so that what disturbs one disturbs the other.
async fn compare(
    store: &'static str,
    mut sides: Vec<Side>,
    options: &Options,
    rows: &mut Vec<Row>,
) -> Outcome<()> {
    sides.retain(|(library, _)| options.wants_library(library));
    for &kind in &options.kinds {
        for &tasks in &options.clients {
            let mut all: Vec<(_, Vec<Round>)> = sides
                .iter()
                .map(|(library, _)| (*library, Vec::new()))
                .collect();
            for round in 1..=options.rounds {
                eprintln!("{store}, {tasks} tasks, {}, round {round}", kind.name());
                for ((_, side), (_, rounds)) in sides.iter_mut().zip(&mut all) {
                    rounds.push(side.round(kind, tasks, options.time).await?);
                }
            }
            rows.extend(table::rows(store, tasks, kind, &all));
        }
    }
    Ok(())
}
