//! What was measured, for people.

use work::{Kind, Round};

#[derive(Default)]
pub(crate) struct Table(Vec<String>);

impl Table {
    /// A row for each library.
    pub(crate) fn add(&mut self, store: &str, tasks: usize, kind: Kind, rounds: [&[Round]; 2]) {
        let rates = rounds.map(|rounds| of(rounds, |round| round.rate));
        for (name, rounds, [median, least, most]) in [
            ("obsession", rounds[0], rates[0]),
            ("tower-sessions", rounds[1], rates[1]),
        ] {
            let [p50, ..] = of(rounds, |round| round.p50);
            let [p99, ..] = of(rounds, |round| round.p99);
            let ratio = median / rates[1][0];
            let what = match kind {
                Kind::Read => "read",
                Kind::ReadAndWrite => "read + write",
            };
            self.0.push(format!(
                "| {store} | {tasks} | {what} | {name} | {median:.0} | {least:.0} | {most:.0} | \
                 {ratio:.2} | {p50:.0} | {p99:.0} |"
            ));
        }
    }

    pub(crate) fn print(&self) {
        println!(
            "| store | at once | a request | library | a second, median | least | most | of \
             tower-sessions | p50, µs | p99, µs |\n|---|---:|---|---|---:|---:|---:|---:|---:|---:|"
        );
        for row in &self.0 {
            println!("{row}");
        }
    }
}

/// The median, the least and the most.
fn of(rounds: &[Round], figure: fn(&Round) -> f64) -> [f64; 3] {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_unstable_by(f64::total_cmp);
    let at = |n: usize| figures.get(n).copied().unwrap_or(f64::NAN);
    [
        at(figures.len() / 2),
        at(0),
        at(figures.len().saturating_sub(1)),
    ]
}
