//! The statements of Postgres, whole.
//!
//! Parameter 1 is the time, or NULL for that of Postgres, which is read row by row: of a row that had
//! to be waited for, when it is locked. Rows are arrays of columns, so that a statement on one row and
//! on many has the same text.

use crate::dialect::RECENT;
use crate::driver::Text;
use crate::migrate::Migration;
use crate::names::Names;

/// How many milliseconds of deadlines share an entry of the expiry index.
///
/// An index on `expires_at` itself has each write that moves the deadline enter all indexes again; on this
/// it is one write in a while. What shares an entry with what has expired is looked at by cleanup, so it
/// is not long. `cargo run -p testing --bin postgres_schema` measures both.
const BUCKET: u64 = 5 * 60 * 1000;
/// How full pages are made, in percent, so that there is room for the next state of a row on its page.
const FILL: u32 = 90;

const NOW: &str =
    "coalesce($1::bigint, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)";
const COLUMNS: &str = "key, revision, subject, created_at, expires_at, body";

#[derive(Debug)]
pub(super) struct Texts {
    pub(super) load: Text,
    pub(super) settled: Text,
    pub(super) create: Text,
    pub(super) update: Text,
    pub(super) touch: Text,
    pub(super) delete: Text,
    pub(super) end: Text,
    pub(super) expire: Text,
    pub(super) keys_of: Text,
    pub(super) list: Text,
    pub(super) scan: Text,
    pub(super) count: Text,
    pub(super) tables: Text,
    pub(super) version: Text,
    pub(super) probe: Text,
    pub(super) lock: Text,
    pub(super) greet: Text,
}

impl Texts {
    #[expect(clippy::too_many_lines, reason = "it is a list")]
    pub(super) fn new(names: &Names) -> Self {
        let (table, version) = (
            qualified(names, &names.table),
            qualified(names, &names.version()),
        );
        let state = format!(
            "(CASE WHEN t.expires_at > {NOW} THEN 2 WHEN t.expires_at > {NOW} - {RECENT} THEN 1 \
             ELSE 0 END)::bigint"
        );
        let columns = "t.key, t.revision, t.subject, t.created_at, t.expires_at, t.body";
        let seen = format!("{columns}, {state}");
        let record =
            "$2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bytea[]";
        let once = format!("(SELECT {NOW})");
        // What was not written is looked at as it was when the statement began. If it is as it should
        // have been, somebody has changed it since, and it is to be tried again.
        let answers = |body: &str| {
            format!(
                "SELECT NULL::text, NULL::bigint, NULL::text, NULL::bigint, NULL::bigint, \
                 NULL::bytea, NULL::bigint, u.n, 1::bigint FROM u UNION ALL \
                 SELECT t.key, t.revision, t.subject, t.created_at, t.expires_at, {body}, {state}, \
                 i.n, 0::bigint FROM i LEFT JOIN {table} t ON t.key = i.key \
                 WHERE i.n NOT IN (SELECT n FROM u)"
            )
        };
        Self {
            load: format!("SELECT {seen} FROM {table} t WHERE t.key = ANY($2::text[])").into(),
            settled: format!(
                "SELECT {seen} FROM {table} t WHERE t.key = ANY($2::text[]) ORDER BY t.key FOR SHARE"
            )
            .into(),
            create: format!(
                "INSERT INTO {table} AS t ({COLUMNS}) SELECT * FROM unnest({record}) \
                 ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, \
                 subject = excluded.subject, created_at = excluded.created_at, \
                 expires_at = excluded.expires_at, body = excluded.body \
                 WHERE t.expires_at <= {NOW} RETURNING t.key"
            )
            .into(),
            update: format!(
                "WITH i AS MATERIALIZED (SELECT * FROM unnest({record}, $8::bigint[]) WITH ORDINALITY \
                 AS i (key, revision, subject, created_at, expires_at, body, expected, n)), \
                 u AS (UPDATE {table} t SET revision = i.revision, subject = i.subject, \
                 created_at = i.created_at, expires_at = i.expires_at, body = i.body FROM i \
                 WHERE t.key = i.key AND t.revision = i.expected AND t.expires_at > {NOW} \
                 RETURNING i.n) {}",
                answers("t.body")
            )
            .into(),
            touch: format!(
                "WITH i AS MATERIALIZED (SELECT * FROM unnest($2::text[], $3::bigint[], \
                 $4::bigint[]) WITH ORDINALITY AS i (key, expected, expires_at, n)), \
                 u AS (UPDATE {table} t SET expires_at = i.expires_at FROM i \
                 WHERE t.key = i.key AND t.revision = i.expected AND t.expires_at > {NOW} \
                 AND t.expires_at < i.expires_at RETURNING i.n) {}",
                // A touch is told that there is another record, and not which.
                answers("''::bytea")
            )
            .into(),
            delete: format!(
                "DELETE FROM {table} t USING unnest($2::text[]) WITH ORDINALITY AS i (key, n) \
                 WHERE t.key = i.key RETURNING i.n, (t.expires_at > {NOW})::int::bigint"
            )
            .into(),
            // Not `=`, or it might be all sessions of the subject that are looked at.
            end: format!(
                "DELETE FROM {table} t USING unnest($3::text[]) AS i (key) \
                 WHERE t.key = i.key AND t.subject IS NOT DISTINCT FROM $2::text \
                 RETURNING (t.expires_at > {NOW})::int::bigint"
            )
            .into(),
            expire: format!(
                "DELETE FROM {table} WHERE key = ANY(ARRAY(SELECT key FROM {table} \
                 WHERE expiry_bucket <= {once} / {BUCKET} AND expires_at <= {once} \
                 ORDER BY expiry_bucket LIMIT $2::bigint FOR UPDATE SKIP LOCKED)) \
                 RETURNING 1::bigint"
            )
            .into(),
            keys_of: format!("SELECT key FROM {table} WHERE subject = $1::text").into(),
            list: format!(
                "SELECT {seen} FROM {table} t WHERE t.subject = $2::text AND t.key > $3::text \
                 AND t.expires_at > {NOW} ORDER BY t.key LIMIT $4::bigint"
            )
            .into(),
            scan: format!(
                "SELECT {seen} FROM {table} t \
                 WHERE t.expiry_bucket >= greatest($2::bigint, {once}) / {BUCKET} \
                 AND (t.expires_at, t.key) > ($2::bigint, $3::text) AND t.expires_at > {once} \
                 ORDER BY t.expiry_bucket, t.expires_at, t.key LIMIT $4::bigint"
            )
            .into(),
            count: format!("SELECT count(*) FROM {table} WHERE expires_at > {once}").into(),
            // That it reads a table has Postgres notice first what others have committed, which
            // `to_regclass` alone would not do inside a transaction.
            tables: format!(
                "SELECT count(*) FROM pg_catalog.pg_class \
                 WHERE oid = to_regclass('{table}') OR oid = to_regclass('{version}')"
            )
            .into(),
            version: format!("SELECT version FROM {version}").into(),
            probe: format!(
                "WITH u AS (UPDATE {table} SET revision = revision WHERE false) \
                 SELECT {COLUMNS}, expiry_bucket FROM {table} WHERE false"
            )
            .into(),
            lock: format!("SELECT pg_advisory_xact_lock({})", lock_number(&table)).into(),
            greet: Text::from(
                "SELECT current_setting('server_version_num')::bigint, \
                 pg_is_in_recovery()::int::bigint",
            ),
        }
    }
}

/// All versions of the schema.
pub(super) fn migrations(names: &Names, unlogged: bool) -> Vec<Migration> {
    let (table, version) = (
        qualified(names, &names.table),
        qualified(names, &names.version()),
    );
    let mut statements = Vec::new();
    if let Some(schema) = &names.schema {
        // `IF NOT EXISTS` alone asks for the right to make one also if there is one.
        statements.push(format!(
            "DO $$ BEGIN IF to_regnamespace('\"{schema}\"') IS NULL THEN \
             CREATE SCHEMA \"{schema}\"; END IF; END $$"
        ));
    }
    let unlogged = if unlogged { " UNLOGGED" } else { "" };
    statements.extend([
        format!(
            "CREATE{unlogged} TABLE {table} (\n    \
             key text COLLATE \"C\" PRIMARY KEY CHECK (length(key) = 16),\n    \
             revision bigint NOT NULL,\n    subject text COLLATE \"C\",\n    \
             created_at bigint NOT NULL,\n    expires_at bigint NOT NULL,\n    \
             body bytea NOT NULL,\n    \
             expiry_bucket bigint NOT NULL GENERATED ALWAYS AS (expires_at / {BUCKET}) STORED\n\
             ) WITH (fillfactor = {FILL})"
        ),
        format!(
            "CREATE INDEX \"{}\" ON {table} (subject, key) WHERE subject IS NOT NULL",
            names.index("subject")
        ),
        format!(
            "CREATE INDEX \"{}\" ON {table} (expiry_bucket)",
            names.index("expires_at")
        ),
        format!("CREATE TABLE {version} (version bigint NOT NULL)"),
        format!("INSERT INTO {version} VALUES (1)"),
    ]);
    vec![Migration {
        version: 1,
        statements,
    }]
}

/// The names have been checked, so quotes keep those apart that are words of SQL and do no more.
fn qualified(names: &Names, name: &str) -> String {
    match &names.schema {
        Some(schema) => format!("\"{schema}\".\"{name}\""),
        None => format!("\"{name}\""),
    }
}

/// What the migrations of a table lock: FNV-1a of its name, the same in every process.
fn lock_number(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}
