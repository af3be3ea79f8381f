//! The statements of SQLite, whole.
//!
//! Parameter 1 is the time, or NULL for that of SQLite, which it reads when it has the lock that the
//! statement needs. Statements on several rows are there for 1, 2, 4 rows and so on, so that each
//! connection prepares a few; rows of NULLs fill up what is left, and match nothing.

use std::fmt::Write as _;

use crate::dialect::RECENT;
use crate::driver::Text;
use crate::migrate::Migration;
use crate::names::Names;

/// The most rows of a statement.
pub(super) const ROWS: usize = 128;
/// How many columns a record has.
pub(super) const RECORD: usize = 6;

const NOW: &str = "coalesce(?1, CAST(round(unixepoch('subsec') * 1000) AS INTEGER))";
const COLUMNS: &str = "key, revision, subject, created_at, expires_at, body";

#[derive(Debug)]
pub(super) struct Texts {
    pub(super) load: Vec<Text>,
    pub(super) settled: Vec<Text>,
    pub(super) create: Vec<Text>,
    /// Changes records that keep their subject.
    pub(super) update: Vec<Text>,
    /// Changes any records.
    pub(super) assign: Vec<Text>,
    pub(super) touch: Vec<Text>,
    pub(super) delete: Vec<Text>,
    pub(super) end: Vec<Text>,
    pub(super) expire: Text,
    pub(super) keys_of: Text,
    pub(super) list: Text,
    pub(super) scan: Text,
    pub(super) count: Text,
    pub(super) tables: Text,
    pub(super) version: Text,
}

impl Texts {
    pub(super) fn new(names: &Names) -> Self {
        let table = quoted(&names.table);
        let seen = format!(
            "{COLUMNS}, CASE WHEN expires_at > {NOW} THEN 2 \
             WHEN expires_at > {NOW} - {RECENT} THEN 1 ELSE 0 END"
        );
        let keys = |rows| values(rows, 1, 2);
        Self {
            load: sizes(|rows| {
                format!(
                    "SELECT {seen} FROM {table} WHERE key IN (VALUES {})",
                    keys(rows)
                )
            }),
            // A statement that could write waits for those who do, also if it finds nothing to write.
            // The live ones are written as they are: it is seldom.
            settled: sizes(|rows| {
                format!(
                    "UPDATE {table} SET revision = revision \
                     WHERE key IN (VALUES {}) AND expires_at > {NOW} RETURNING {seen}",
                    keys(rows)
                )
            }),
            create: sizes(|rows| {
                format!(
                    "INSERT INTO {table} ({COLUMNS}) \
                     SELECT * FROM (VALUES {}) WHERE column1 IS NOT NULL \
                     ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, \
                     subject = excluded.subject, created_at = excluded.created_at, \
                     expires_at = excluded.expires_at, body = excluded.body \
                     WHERE {table}.expires_at <= {NOW} RETURNING key, 1",
                    values(rows, RECORD, 2)
                )
            }),
            // SQLite writes the index of a column that is set, also if it is set to what it is. So
            // subjects are set by the few updates that change them alone: a page less for the others.
            update: sizes(|rows| update(&table, rows, "", "AND subject IS new.column3 ")),
            assign: sizes(|rows| update(&table, rows, "subject = new.column3, ", "")),
            touch: sizes(|rows| {
                format!(
                    "UPDATE {table} SET expires_at = new.column3 \
                     FROM (VALUES {}) AS new WHERE {table}.key = new.column1 \
                     AND {table}.revision = new.column2 AND {table}.expires_at > {NOW} \
                     AND {table}.expires_at < new.column3 RETURNING key, 1",
                    values(rows, 3, 2)
                )
            }),
            delete: sizes(|rows| {
                format!(
                    "DELETE FROM {table} WHERE key IN (VALUES {}) RETURNING key, expires_at > {NOW}",
                    keys(rows)
                )
            }),
            end: sizes(|rows| {
                format!(
                    "DELETE FROM {table} WHERE key IN (VALUES {}) AND subject = ?2 \
                     RETURNING expires_at > {NOW}",
                    values(rows, 1, 3)
                )
            }),
            expire: format!(
                "DELETE FROM {table} WHERE key IN (SELECT key FROM {table} \
                 WHERE expires_at <= {NOW} ORDER BY expires_at, key LIMIT ?2) RETURNING 1"
            )
            .into(),
            keys_of: format!("SELECT key FROM {table} WHERE subject = ?1").into(),
            list: format!(
                "SELECT {seen} FROM {table} WHERE subject = ?2 AND key > ?3 \
                 AND expires_at > {NOW} ORDER BY key LIMIT ?4"
            )
            .into(),
            scan: format!(
                "SELECT {seen} FROM {table} WHERE (expires_at, key) > (?2, ?3) \
                 AND expires_at > {NOW} ORDER BY expires_at, key LIMIT ?4"
            )
            .into(),
            count: format!("SELECT count(*) FROM {table} WHERE expires_at > {NOW}").into(),
            // A view or an index of these names is nothing of ours either.
            tables: format!(
                "SELECT name FROM sqlite_schema WHERE name IN ('{}', '{}')",
                names.table,
                names.version()
            )
            .into(),
            version: format!("SELECT version FROM {}", quoted(&names.version())).into(),
        }
    }
}

impl Texts {
    /// All that are sent for calls; of those on several rows, the one on two.
    pub(super) fn all(&self) -> Vec<(&'static str, String)> {
        [
            ("load", &self.load[1]),
            ("settled", &self.settled[1]),
            ("create", &self.create[1]),
            ("update", &self.update[1]),
            ("assign", &self.assign[1]),
            ("touch", &self.touch[1]),
            ("delete", &self.delete[1]),
            ("end", &self.end[1]),
            ("expire", &self.expire),
            ("keys_of", &self.keys_of),
            ("list", &self.list),
            ("scan", &self.scan),
            ("count", &self.count),
        ]
        .map(|(name, text)| (name, text.to_string()))
        .into()
    }
}

/// The smallest text for so many rows, and for how many it is.
pub(super) fn fitting(texts: &[Text], rows: usize) -> (&Text, usize) {
    let size = rows.max(1).next_power_of_two();
    let last = texts.len() - 1;
    (&texts[last.min(size.ilog2() as usize)], size)
}

/// All versions of the schema.
pub(super) fn migrations(names: &Names) -> Vec<Migration> {
    let (table, version) = (quoted(&names.table), quoted(&names.version()));
    vec![Migration {
        version: 1,
        statements: vec![
            format!(
                "CREATE TABLE {table} (\n    key TEXT NOT NULL PRIMARY KEY CHECK (length(key) = 16),\n    \
                 revision INTEGER NOT NULL,\n    subject TEXT,\n    created_at INTEGER NOT NULL,\n    \
                 expires_at INTEGER NOT NULL,\n    body BLOB NOT NULL\n) STRICT, WITHOUT ROWID"
            ),
            format!(
                "CREATE INDEX {} ON {table} (subject, key) WHERE subject IS NOT NULL",
                quoted(&names.index("subject"))
            ),
            format!(
                "CREATE INDEX {} ON {table} (expires_at, key)",
                quoted(&names.index("expires_at"))
            ),
            format!("CREATE TABLE {version} (version INTEGER NOT NULL) STRICT"),
            format!("INSERT INTO {version} VALUES (1)"),
        ],
    }]
}

fn update(table: &str, rows: usize, sets: &str, asks: &str) -> String {
    format!(
        "UPDATE {table} SET {sets}revision = new.column2, created_at = new.column4, \
         expires_at = new.column5, body = new.column6 FROM (VALUES {}) AS new \
         WHERE {table}.key = new.column1 AND {table}.revision = new.column7 \
         AND {table}.expires_at > {NOW} {asks}RETURNING key, 1",
        values(rows, RECORD + 1, 2)
    )
}

/// A name that may be a word of SQL. It has no quotation marks: see [`Names`].
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// One text for each number of rows.
fn sizes(text: impl Fn(usize) -> String) -> Vec<Text> {
    let sizes = (0..=ROWS.ilog2()).map(|power| 1 << power);
    sizes.map(|rows| text(rows).into()).collect()
}

/// Rows of parameters, of which this is the first.
fn values(rows: usize, width: usize, first: usize) -> String {
    let mut values = String::new();
    for row in 0..rows {
        values.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..width {
            let comma = if column == 0 { "" } else { "," };
            let number = first + row * width + column;
            // Writing to a string does not fail.
            write!(values, "{comma}?{number}").unwrap_or_default();
        }
        values.push(')');
    }
    values
}
