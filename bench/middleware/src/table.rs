//! What was measured: rows for people, for programs and for the drawing.

use serde::Serialize;
use work::{Chart, Group, Size, Spread};

use crate::libraries::Library;
use crate::request::{WORKLOADS, Workload, size_name};

/// What each library is compared with.
const MEASURE: Library = Library::Tower14;

/// A library's rounds of one workload.
pub struct Rounds {
    pub library: Library,
    pub size: Size,
    pub workload: Workload,
    pub allocations: usize,
    /// Nanoseconds of a request, round by round.
    pub times: Vec<f64>,
}

#[derive(Serialize)]
pub struct Row {
    session: &'static str,
    request: &'static str,
    library: &'static str,
    /// Nanoseconds of a request.
    time: Spread,
    /// Nanoseconds beyond the same service without sessions, in the same round.
    net: Option<Spread>,
    /// The net time as a part of that of tower-sessions in the same round.
    of_tower_sessions: Option<Spread>,
    allocations: usize,
}

/// A row for each of these, in the same order.
pub fn rows(all: &[Rounds]) -> Vec<Row> {
    all.iter()
        .map(|rounds| {
            let net = net(all, rounds);
            let theirs = beside(all, rounds, MEASURE).and_then(|theirs| self::net(all, theirs));
            let ratios = net.as_ref().zip(theirs).map(|(ours, theirs)| {
                Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
            });
            Row {
                session: size_name(rounds.size),
                request: rounds.workload.name,
                library: rounds.library.name(),
                time: Spread::of(rounds.times.iter().copied()),
                net: net.map(Spread::of),
                of_tower_sessions: ratios,
                allocations: rounds.allocations,
            }
        })
        .collect()
}

/// The times without those of the bare service; nothing for that itself.
fn net(all: &[Rounds], rounds: &Rounds) -> Option<Vec<f64>> {
    let bare = rounds.library.bare();
    let bare = (rounds.library != bare).then(|| beside(all, rounds, bare))??;
    Some(
        rounds
            .times
            .iter()
            .zip(&bare.times)
            .map(|(all, bare)| all - bare)
            .collect(),
    )
}

fn beside<'a>(all: &'a [Rounds], rounds: &Rounds, library: Library) -> Option<&'a Rounds> {
    all.iter().find(|other| {
        other.library == library && other.size == rounds.size && other.workload == rounds.workload
    })
}

pub fn print(rows: &[Row]) {
    println!(
        "| a session of | a request | library | ns | least | most | net | of tower-sessions 0.14 | \
         least | most | allocations |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for row in rows {
        let Spread { median, min, max } = row.time;
        let net = row
            .net
            .map_or_else(String::new, |net| format!("{:.0}", net.median));
        let ratio = row.of_tower_sessions.map_or_else(
            || " | | ".to_owned(),
            |ratio| format!("{:.2} | {:.2} | {:.2}", ratio.median, ratio.min, ratio.max),
        );
        println!(
            "| {} | {} | {} | {median:.0} | {min:.0} | {max:.0} | {net} | {ratio} | {} |",
            row.session, row.request, row.library, row.allocations
        );
    }
}

/// The ratios, a group for each workload.
pub fn chart(rows: &[Row]) -> Chart {
    let groups = [Size::Small, Size::Large].into_iter().flat_map(|size| {
        WORKLOADS.iter().map(move |workload| Group {
            heading: format!("{}: {}", size_name(size), workload.name),
            bars: rows
                .iter()
                .filter(|row| row.session == size_name(size) && row.request == workload.name)
                .filter_map(|row| Some((row.library.to_owned(), row.of_tower_sessions?.median)))
                .collect(),
        })
    });
    Chart {
        title: "A request through the middleware, store in memory".to_owned(),
        axis:
            "time net of the same service without sessions, as a multiple of tower-sessions 0.14 \
               (left is faster; each line is twice the one before)"
                .to_owned(),
        groups: groups.filter(|group| !group.bars.is_empty()).collect(),
    }
}

/// Requests a second on one worker thread and on two.
#[derive(Serialize)]
pub struct ThreadsRow {
    library: &'static str,
    one: Spread,
    two: Spread,
    /// Round by round.
    ratio: Spread,
}

impl ThreadsRow {
    pub fn new(library: Library, one: &[f64], two: &[f64]) -> Self {
        Self {
            library: library.name(),
            one: Spread::of(one.iter().copied()),
            two: Spread::of(two.iter().copied()),
            ratio: Spread::of(one.iter().zip(two).map(|(one, two)| two / one)),
        }
    }
}

pub fn print_threads(rows: &[ThreadsRow]) {
    println!(
        "| 32 tasks that read | a second, 1 worker | 2 workers | times | least | most |\n\
         |---|---:|---:|---:|---:|---:|"
    );
    for row in rows {
        let Spread { median, min, max } = row.ratio;
        println!(
            "| {} | {:.0} | {:.0} | {median:.2} | {min:.2} | {max:.2} |",
            row.library, row.one.median, row.two.median
        );
    }
}
