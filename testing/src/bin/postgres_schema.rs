//! What an index for expiry costs a Postgres that keeps sessions, by its shape.
//!
//! ```text
//! cargo run --release -p testing --bin postgres_schema [sessions...]
//! ```
//!
//! Each table has that many sessions of 256 bytes, a tenth of them expired. 5,000 of the others are
//! in use: each is written every 10 or 60 seconds of a clock that runs faster, which moves its deadline,
//! 64 sessions a transaction. Pages are written to the log once changed only, not in full, and nothing is
//! vacuumed. Then the expired are removed, 1,000 at a time.

use std::io;
use std::time::Instant;

use testing::PostgresServer;

const IN_USE: u64 = 5_000;
const UPDATES: u64 = 200_000;
const GATHERED: u64 = 64;
const IDLE: u64 = 30 * 60 * 1000;
/// The instant at which the measurements begin, in milliseconds.
const BEGIN: u64 = 1_700_000_000_000;

/// A table: how its bucket follows from the deadline, if it has one, its index, and how full pages are.
struct Shape {
    name: &'static str,
    bucket: Option<u64>,
    index: &'static str,
    fill: u32,
}

const fn bucket(name: &'static str, minutes: u64, fill: u32) -> Shape {
    Shape {
        name,
        bucket: Some(minutes * 60 * 1000),
        index: "USING btree (expiry_bucket)",
        fill,
    }
}

const fn plain(name: &'static str, index: &'static str) -> Shape {
    Shape {
        name,
        bucket: None,
        index,
        fill: 90,
    }
}

const SHAPES: [Shape; 9] = [
    plain("no index", ""),
    plain("btree", "USING btree (expires_at)"),
    plain("brin", "USING brin (expires_at)"),
    bucket("bucket of 1 min", 1, 90),
    bucket("bucket of 5 min", 5, 90),
    bucket("bucket of 15 min", 15, 90),
    bucket("bucket of 60 min", 60, 90),
    bucket("5 min, fill 100", 5, 100),
    bucket("5 min, fill 80", 5, 80),
];

fn main() -> io::Result<()> {
    let sizes: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![100_000, 1_000_000]
    } else {
        sizes
    };
    let settings = [
        ("full_page_writes", "off"),
        ("autovacuum", "off"),
        ("synchronous_commit", "off"),
        ("shared_buffers", "1GB"),
        ("max_wal_size", "16GB"),
        ("jit", "off"),
    ];
    let server = PostgresServer::start(&settings)?;
    println!("{}", server.sql("SHOW server_version")?);
    for sessions in sizes {
        println!("\n{sessions} sessions");
        println!(
            "| index | index kB | a write every | WAL bytes a write | HOT | ms per 1,000 writes \
             | cleanup: buffers a row | ms a row | live rows passed over |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
        for shape in &SHAPES {
            measure(&server, shape, sessions)?;
        }
    }
    Ok(())
}

fn measure(server: &PostgresServer, shape: &Shape, sessions: u64) -> io::Result<()> {
    for every in [10, 60] {
        fill(server, shape, sessions)?;
        // The first write of a session finds a deadline that is long ago.
        write(server, IN_USE, every, 0)?;
        let (hot, updates, lsn) = counters(server)?;
        let begun = Instant::now();
        write(server, UPDATES, every, IN_USE / GATHERED)?;
        let took = begun.elapsed();
        let (hot_after, updates_after, lsn_after) = counters(server)?;
        let written = (updates_after - updates).max(1);
        let size = if shape.index.is_empty() {
            "0".to_owned()
        } else {
            server.sql("SELECT pg_relation_size('expiry') / 1024")?
        };
        let (buffers, millis, passed) = clean(server, shape, every)?;
        println!(
            "| {} | {size} | {every} s | {} | {:.1} % | {:.1} | {buffers:.1} | {millis:.4} | {passed} |",
            shape.name,
            (lsn_after - lsn) / written,
            percent(hot_after - hot, written),
            millis_per(took.as_secs_f64() * 1e6, written),
        );
    }
    Ok(())
}

fn fill(server: &PostgresServer, shape: &Shape, sessions: u64) -> io::Result<()> {
    let bucket = shape.bucket.map_or(String::new(), |length| {
        format!(", expiry_bucket bigint GENERATED ALWAYS AS (expires_at / {length}) STORED")
    });
    let index = match shape.index {
        "" => String::new(),
        index => format!("CREATE INDEX expiry ON sessions {index};"),
    };
    server.sql(&format!(
        "DROP TABLE IF EXISTS sessions;
         CREATE TABLE sessions (
             key text COLLATE \"C\" PRIMARY KEY, revision bigint NOT NULL, subject text,
             created_at bigint NOT NULL, expires_at bigint NOT NULL, body bytea NOT NULL{bucket}
         ) WITH (fillfactor = {});
         INSERT INTO sessions
             SELECT substr(md5(n::text), 1, 16), n, NULL, {BEGIN},
                    {BEGIN} + CASE WHEN n % 10 = 0 THEN -1 - n % {IDLE} ELSE n * 7919::bigint % {IDLE} END,
                    decode(repeat(md5(n::text), 16), 'hex')
             FROM generate_series(1, {sessions}) n;
         {index}",
        shape.fill
    ))?;
    server.sql("VACUUM (FREEZE, ANALYZE) sessions")?;
    server.sql("CHECKPOINT").map(drop)
}

/// Writes sessions that are in use, one group after the other.
fn write(server: &PostgresServer, updates: u64, every: u64, after: u64) -> io::Result<()> {
    let groups = updates / GATHERED;
    // So that each of them is written so often.
    let step = every * 1000 * GATHERED / IN_USE;
    server
        .sql(&format!(
            "DO $$
             BEGIN
                 FOR g IN {after}..{after} + {groups} LOOP
                     UPDATE sessions s
                     SET revision = g, expires_at = {BEGIN} + g * {step} + {IDLE},
                         body = decode(repeat(md5(g::text), 16), 'hex')
                     FROM (SELECT substr(md5(((g * {GATHERED} + n) % {IN_USE} * 10 + 1)::text), 1, 16) AS key
                           FROM generate_series(0, {GATHERED} - 1) n) i
                     WHERE s.key = i.key;
                     COMMIT;
                 END LOOP;
             END $$"
        ))
        .map(drop)
}

/// How many updates stayed on their page, how many there were, and how long the log is.
fn counters(server: &PostgresServer) -> io::Result<(u64, u64, u64)> {
    // What a session counts is in the statistics when it has ended.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let row = server.sql(
        "SELECT n_tup_hot_upd, n_tup_upd, pg_current_wal_insert_lsn() - '0/0' \
         FROM pg_stat_user_tables WHERE relname = 'sessions'",
    )?;
    let mut numbers = row.split('|').map(|n| n.parse::<u64>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    Ok((next(), next(), next()))
}

/// Removes what has expired: buffers and time a row, and how many live rows were looked at.
fn clean(server: &PostgresServer, shape: &Shape, every: u64) -> io::Result<(f64, f64, u64)> {
    let now = BEGIN + UPDATES / GATHERED * (every * 1000 * GATHERED / IN_USE);
    let due = match shape.bucket {
        Some(length) => format!("expiry_bucket <= {now} / {length} AND expires_at <= {now}"),
        None => format!("expires_at <= {now}"),
    };
    let order = if shape.bucket.is_some() {
        "expiry_bucket"
    } else {
        "expires_at"
    };
    let order = if shape.index.contains("btree") {
        format!("ORDER BY {order}")
    } else {
        String::new()
    };
    let (mut rows, mut buffers, mut millis, mut passed) = (0, 0.0, 0.0, 0);
    // Without an index each batch reads the table.
    let batches = if order.is_empty() { 5 } else { 10_000 };
    for _ in 0..batches {
        let plan = server.sql(&format!(
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) DELETE FROM sessions WHERE key = ANY(ARRAY(
                 SELECT key FROM sessions WHERE {due} {order} LIMIT 1000 FOR UPDATE SKIP LOCKED))"
        ))?;
        let removed = sum(&plan, "LockRows", "rows=", 1);
        rows += removed;
        buffers += first(&plan, "shared hit=") + first(&plan, " read=");
        millis += first(&plan, "Execution Time: ");
        passed += sum(&plan, "Rows Removed by Filter", "Filter: ", 0);
        if removed < 1000 {
            break;
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a count of rows")]
    let each = rows.max(1) as f64;
    Ok((buffers / each, millis / each, passed))
}

/// The first number after these words.
fn first(plan: &str, words: &str) -> f64 {
    let rest = plan.split_once(words).map_or("", |(_, rest)| rest);
    let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())]
        .parse()
        .unwrap_or_default()
}

/// The sum of the numbers after these words in the lines of a kind: of the `nth` in each.
fn sum(plan: &str, kind: &str, words: &str, nth: usize) -> u64 {
    let lines = plan.lines().filter(|line| line.contains(kind));
    let numbers = lines.filter_map(|line| {
        let rest = line.split(words).nth(nth + 1)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    });
    numbers.sum()
}

#[allow(clippy::cast_precision_loss, reason = "counts of updates")]
fn percent(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of as f64
}

#[allow(clippy::cast_precision_loss, reason = "counts of updates")]
fn millis_per(micros: f64, updates: u64) -> f64 {
    micros / updates as f64
}
