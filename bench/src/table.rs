//! What was measured: for people, for programs, and as a drawing.

use serde::Serialize;
use work::{Chart, Group, Kind, Round, Size, Spread};

pub(crate) const OURS: &str = "obsession";
pub(crate) const THEIRS: &str = "tower-sessions";
/// On SQLite with `synchronous=NORMAL`, which may lose the last writes with the machine's power.
pub(crate) const THEIRS_NORMAL: &str = "tower-sessions, NORMAL";

#[derive(Serialize)]
pub(crate) struct Row {
    store: &'static str,
    /// Clients at once.
    tasks: usize,
    request: &'static str,
    library: &'static str,
    per_second: Spread,
    /// Requests a second as a part of those of tower-sessions, median by median.
    of_tower_sessions: Option<f64>,
    /// Microseconds.
    p50: Spread,
    p99: Spread,
}

/// A row for each library.
pub(crate) fn rows(
    store: &'static str,
    tasks: usize,
    kind: Kind,
    all: &[(&'static str, Vec<Round>)],
) -> Vec<Row> {
    let rate = |rounds: &[Round]| Spread::of(rounds.iter().map(|round| round.rate));
    let theirs = all.iter().find(|(library, _)| *library == THEIRS);
    let theirs = theirs.map(|(_, rounds)| rate(rounds).median);
    all.iter()
        .map(|(library, rounds)| Row {
            store,
            tasks,
            request: kind.name(),
            library,
            per_second: rate(rounds),
            of_tower_sessions: theirs.map(|theirs| rate(rounds).median / theirs),
            p50: Spread::of(rounds.iter().map(|round| round.p50)),
            p99: Spread::of(rounds.iter().map(|round| round.p99)),
        })
        .collect()
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "| store | at once | a request | library | a second, median | least | most | of \
         tower-sessions | p50, µs | p99, µs |\n|---|---:|---|---|---:|---:|---:|---:|---:|---:|"
    );
    for row in rows {
        let Spread { median, min, max } = row.per_second;
        let ratio = row
            .of_tower_sessions
            .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        println!(
            "| {} | {} | {} | {} | {median:.0} | {min:.0} | {max:.0} | {ratio} | {:.0} | {:.0} |",
            row.store, row.tasks, row.request, row.library, row.p50.median, row.p99.median
        );
    }
}

/// The ratios, a group for each store and kind of request.
pub(crate) fn chart(rows: &[Row], size: Size) -> Chart {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows.iter().filter(|row| row.library == OURS) {
        let Some(ratio) = row.of_tower_sessions else {
            continue;
        };
        let heading = format!("{}, {}", row.store, row.request);
        let bar = (format!("{} at once", row.tasks), ratio);
        match groups.last_mut().filter(|group| group.heading == heading) {
            Some(group) => group.bars.push(bar),
            None => groups.push(Group {
                heading,
                bars: vec![bar],
            }),
        }
    }
    Chart {
        title: format!("obsession beside tower-sessions, {} sessions", size.name()),
        axis: "requests a second, as a multiple of those of tower-sessions (right is faster; each \
               line is twice the one before)"
            .to_owned(),
        groups,
    }
}
