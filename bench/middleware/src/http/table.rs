//! What was measured over HTTP.

use serde::Serialize;
use work::{Chart, Group, Round, Size, Spread};

use super::Site;
use crate::request::size_name;

#[derive(Serialize)]
pub struct HttpRow {
    request: &'static str,
    session: &'static str,
    server: &'static str,
    per_second: Spread,
    /// Microseconds.
    p50: Spread,
    p99: Spread,
    /// Requests a second as a part of those of the same server without sessions, in the same round.
    of_bare: Spread,
}

/// A row for each server; `rounds` are those of [`Site::ALL`].
pub fn rows(request: &'static str, size: Size, rounds: &[Vec<Round>]) -> Vec<HttpRow> {
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
                session: size_name(size),
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
        "| a request | session | server | a second | least | most | p50, µs | p99, µs | of the bare server | \
         least | most |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    for row in rows {
        let Spread { median, min, max } = row.per_second;
        let of = row.of_bare;
        println!(
            "| {} | {} | {} | {median:.0} | {min:.0} | {max:.0} | {:.0} | {:.0} | {:.3} | {:.3} | {:.3} |",
            row.request,
            row.session,
            row.server,
            row.p50.median,
            row.p99.median,
            of.median,
            of.min,
            of.max
        );
    }
}

/// The ratios, a group for each kind of request.
pub fn chart(rows: &[HttpRow]) -> Chart {
    let has_sessions = |row: &&HttpRow| Site::named(row.server).is_ok_and(|s| s != s.bare());
    let of = |row: &HttpRow| format!("{}, {}", row.request, row.session);
    let mut groups: Vec<Group> = Vec::new();
    for row in rows.iter().filter(has_sessions) {
        let bar = (row.server.to_owned(), row.of_bare.median);
        match groups.last_mut().filter(|group| group.heading == of(row)) {
            Some(group) => group.bars.push(bar),
            None => groups.push(Group {
                heading: of(row),
                bars: vec![bar],
            }),
        }
    }
    Chart {
        title: "Over HTTP/1.1, store in memory".to_owned(),
        axis: "requests a second, as a multiple of the same server without sessions".to_owned(),
        groups,
    }
}
