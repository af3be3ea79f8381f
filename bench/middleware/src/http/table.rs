//! What was measured over HTTP.

use serde::Serialize;
use work::{Chart, Group, Round, Spread};

use super::{Site, WORKS};

#[derive(Serialize)]
pub struct HttpRow {
    request: &'static str,
    server: &'static str,
    per_second: Spread,
    /// Microseconds.
    p50: Spread,
    p99: Spread,
    /// Requests a second as a part of those of the same server without sessions, in the same round.
    of_bare: Spread,
}

/// A row for each server; `rounds` are those of [`Site::ALL`].
pub fn rows(request: &'static str, rounds: &[Vec<Round>]) -> Vec<HttpRow> {
    let of = |site: Site| {
        let place = Site::ALL.into_iter().position(|other| other == site);
        rounds
            .get(place.unwrap_or_default())
            .map_or(&[][..], Vec::as_slice)
    };
    Site::ALL
        .into_iter()
        .map(|site| {
            let (mine, bare) = (of(site), of(site.bare()));
            let spread = |figure: fn(&Round) -> f64| Spread::of(mine.iter().map(figure));
            HttpRow {
                request,
                server: site.name(),
                per_second: spread(|round| round.rate),
                p50: spread(|round| round.p50),
                p99: spread(|round| round.p99),
                of_bare: Spread::of(
                    mine.iter()
                        .zip(bare)
                        .map(|(mine, bare)| mine.rate / bare.rate),
                ),
            }
        })
        .collect()
}

pub fn print(rows: &[HttpRow]) {
    println!(
        "| a request | server | a second | least | most | p50, µs | p99, µs | of the bare server | \
         least | most |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for row in rows {
        let Spread { median, min, max } = row.per_second;
        let of = row.of_bare;
        println!(
            "| {} | {} | {median:.0} | {min:.0} | {max:.0} | {:.0} | {:.0} | {:.3} | {:.3} | {:.3} |",
            row.request, row.server, row.p50.median, row.p99.median, of.median, of.min, of.max
        );
    }
}

/// The ratios, a group for each kind of request.
pub fn chart(rows: &[HttpRow]) -> Chart {
    let has_sessions = |row: &&HttpRow| Site::named(row.server).is_ok_and(|s| s != s.bare());
    let groups = WORKS.iter().map(|(request, _)| Group {
        heading: (*request).to_owned(),
        bars: (rows
            .iter()
            .filter(|row| row.request == *request)
            .filter(has_sessions))
        .map(|row| (row.server.to_owned(), row.of_bare.median))
        .collect(),
    });
    Chart {
        title: "Over HTTP/1.1, store in memory".to_owned(),
        axis: "requests a second, as a multiple of the same server without sessions".to_owned(),
        groups: groups.collect(),
    }
}
