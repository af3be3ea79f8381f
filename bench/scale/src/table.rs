//! What was measured, for people.

use measure::{Row, Saves};

pub(crate) fn print(rows: &[Row]) {
    println!(
        "| store | sessions | library | bytes a session | of tower-sessions | made a second | start, ms |\n\
         |---|---:|---|---:|---:|---:|---:|"
    );
    for row in rows {
        let ratio = peer(rows, row).map(|peer| bytes(row) / bytes(peer));
        println!(
            "| {} | {:.0} | {} | {:.0} | {} |",
            head(row),
            bytes(row),
            text(ratio, 2),
            row.fill.rate,
            text(row.start_ms.map(|[_, median, _]| median), 1),
        );
    }
    println!(
        "\n| store | sessions | library | removed | cleanup, s | batches | longest, ms | second pass, ms | \
         of tower-sessions |\n|---|---:|---|---:|---:|---:|---:|---:|---:|"
    );
    for row in rows {
        let Some(cleanup) = &row.cleanup else {
            continue;
        };
        let theirs = peer(rows, row).and_then(|peer| peer.cleanup.as_ref());
        let ratio = theirs.map(|peer| cleanup.second_pass_ms / peer.second_pass_ms);
        println!(
            "| {} | {} | {:.3} | {} | {:.1} | {:.3} | {} |",
            head(row),
            row.dying,
            cleanup.seconds,
            cleanup.batches,
            cleanup.longest_batch_ms,
            cleanup.second_pass_ms,
            text(ratio, 4),
        );
    }
    println!(
        "\n| store | sessions | library | while | saves | p50, ms | p99, ms | most, ms |\n\
         |---|---:|---|---|---:|---:|---:|---:|"
    );
    for row in rows {
        waits(row, "nothing to clean up", &row.baseline);
        if let Some(own) = &row.self_expiry {
            waits(row, "the store expires sessions", &own.saves);
        }
        if let Some(cleanup) = &row.cleanup {
            waits(row, "cleanup", &cleanup.saves);
        }
    }
    println!();
    for row in rows {
        println!(
            "{}, {}, {}: {}",
            row.store, row.sessions, row.library, row.note
        );
        if let Some(own) = &row.self_expiry {
            println!(
                "    expired and still there {:.1} s after the last deadline: {} of {}",
                own.seconds, own.left, row.dying
            );
        }
        for bytes in &row.bytes {
            println!("    {}: {:.1} a session", bytes.what, bytes.per_session);
        }
    }
}

fn waits(row: &Row, when: &str, saves: &Saves) {
    println!(
        "| {} | {when} | {} | {:.3} | {:.3} | {:.1} |",
        head(row),
        saves.count,
        saves.p50_ms,
        saves.p99_ms,
        saves.max_ms,
    );
}

fn head(row: &Row) -> String {
    format!("{} | {} | {}", row.store, row.sessions, row.library)
}

/// The first way in which it was measured.
fn bytes(row: &Row) -> f64 {
    row.bytes
        .first()
        .map_or(f64::NAN, |bytes| bytes.per_session)
}

/// What the other library had on the same.
fn peer<'a>(rows: &'a [Row], row: &Row) -> Option<&'a Row> {
    rows.iter().find(|peer| {
        peer.library != crate::OURS && peer.store == row.store && peer.sessions == row.sessions
    })
}

fn text(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
}
