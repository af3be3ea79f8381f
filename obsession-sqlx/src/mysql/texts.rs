//! The statements of MySQL and MariaDB, whole: what both of them have.

use crate::dialect::RECENT;
use crate::driver::Text;
use crate::migrate::Migration;
use crate::names::Names;

/// How many keys the statement has that ends sessions of a subject.
pub(super) const KEYS: usize = 32;

/// The time: a parameter, or if that is NULL the server's, which is read for each row when it is locked.
const NOW: &str = "coalesce(?, timestampdiff(MICROSECOND, '1970-01-01', sysdate(3)) DIV 1000)";
/// The same as it was when the statement began, so that an index can be used with it.
const BEGAN: &str =
    "coalesce(?, timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(3)) DIV 1000)";
const COLUMNS: &str = "`key`, revision, subject, created_at, expires_at, body";
/// What the comment of a table of ours begins with. The version follows.
pub(super) const COMMENT: &str = "obsession-sqlx ";

#[derive(Debug)]
pub(super) struct Texts {
    pub(super) load: Text,
    pub(super) settled: Text,
    pub(super) create: Text,
    pub(super) replace: Text,
    pub(super) update: Text,
    pub(super) touch: Text,
    pub(super) delete: Text,
    pub(super) end: Text,
    pub(super) expire: Text,
    pub(super) keys_of: Text,
    pub(super) list: Text,
    pub(super) scan: Text,
    pub(super) count: Text,
    pub(super) comment: Text,
    pub(super) probe: [Text; 2],
    pub(super) lock: Text,
    pub(super) unlock: Text,
}

impl Texts {
    pub(super) fn new(names: &Names) -> Self {
        let table = format!("`{}`", names.table);
        let state = format!(
            "CAST(CASE WHEN expires_at > {NOW} THEN 2 WHEN expires_at > {NOW} - {RECENT} THEN 1 \
             ELSE 0 END AS SIGNED)"
        );
        let seen = format!("SELECT {COLUMNS}, {state} FROM {table}");
        let lock = format!("sha1(concat('obsession ', database(), '.{}'))", names.table);
        let keys = ["?"; KEYS].join(",");
        let text = Text::from;
        Self {
            load: text(format!("{seen} WHERE `key` = ?")),
            settled: text(format!("{seen} WHERE `key` = ? LOCK IN SHARE MODE")),
            create: text(format!(
                "INSERT INTO {table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
            )),
            replace: text(format!(
                "DELETE FROM {table} WHERE `key` = ? AND expires_at <= {NOW}"
            )),
            update: text(format!(
                "UPDATE {table} SET revision = ?, subject = ?, created_at = ?, expires_at = ?, \
                 body = ? WHERE `key` = ? AND revision = ? AND expires_at > {NOW}"
            )),
            touch: text(format!(
                "UPDATE {table} SET expires_at = greatest(expires_at, ?) \
                 WHERE `key` = ? AND revision = ? AND expires_at > {NOW}"
            )),
            delete: text(format!(
                "DELETE FROM {table} WHERE `key` = ? AND expires_at > {NOW}"
            )),
            end: text(format!(
                "DELETE FROM {table} WHERE `key` IN ({keys}) AND subject = ? \
                 AND expires_at > {NOW}"
            )),
            expire: text(format!(
                "DELETE old FROM {table} AS old JOIN (SELECT `key` FROM {table} \
                 WHERE expires_at <= {BEGAN} ORDER BY expires_at, `key` LIMIT ? \
                 FOR UPDATE SKIP LOCKED) AS found ON old.`key` = found.`key`"
            )),
            keys_of: text(format!("SELECT `key` FROM {table} WHERE subject = ?")),
            list: text(format!(
                "{seen} WHERE subject = ? AND `key` > ? AND expires_at > {NOW} \
                 ORDER BY `key` LIMIT ?"
            )),
            scan: text(format!(
                "{seen} WHERE expires_at >= ? AND (expires_at > ? OR `key` > ?) \
                 AND expires_at > {BEGAN} ORDER BY expires_at, `key` LIMIT ?"
            )),
            count: text(format!(
                "SELECT count(*) FROM {table} WHERE expires_at > {BEGAN}"
            )),
            comment: text(format!(
                "SELECT table_comment FROM information_schema.tables \
                 WHERE table_schema = database() AND table_name = '{}'",
                names.table
            )),
            probe: [
                text(format!("SELECT {COLUMNS} FROM {table} LIMIT 0")),
                text(format!(
                    "UPDATE {table} SET revision = revision WHERE false"
                )),
            ],
            lock: text(format!("SELECT CAST(get_lock({lock}, 60) AS SIGNED)")),
            unlock: text(format!("SELECT CAST(release_lock({lock}) AS SIGNED)")),
        }
    }
}

/// All versions of the schema. Each is one statement, which these databases make whole or not at all, and
/// a table's version is in its comment.
pub(super) fn migrations(names: &Names) -> Vec<Migration> {
    vec![Migration {
        version: 1,
        statements: vec![format!(
            "CREATE TABLE IF NOT EXISTS `{}` (\n    `key` binary(16) NOT NULL PRIMARY KEY,\n    \
             revision bigint NOT NULL,\n    subject varbinary(1024),\n    \
             created_at bigint NOT NULL,\n    expires_at bigint NOT NULL,\n    \
             body longblob NOT NULL,\n    KEY `{}` (subject, `key`),\n    \
             KEY `{}` (expires_at, `key`)\n\
             ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='{COMMENT}1'",
            names.table,
            names.index("subject"),
            names.index("expires_at"),
        )],
    }]
}
