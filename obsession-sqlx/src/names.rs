//! The names of tables: checked, so that they can be part of a statement.

use crate::ConnectError;

/// What Postgres takes; MySQL takes one more, SQLite any.
const LONGEST: usize = 63;
/// The longest that is made of a table's name.
const SUFFIX: &str = "_expires_at_idx";

/// The names of the store's things.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    pub schema: Option<String>,
    pub table: String,
}

impl Names {
    /// Checks both.
    ///
    /// They are small letters, digits and underscores, for databases differ in what they make of
    /// others, and no name is cut short: cut names of two tables' indexes could be the same.
    pub fn new(schema: Option<&str>, table: &str) -> Result<Self, ConnectError> {
        let longest = LONGEST - SUFFIX.len();
        check(table, longest).map_err(|reason| ConnectError::Name {
            name: table.to_owned(),
            reason,
        })?;
        if let Some(schema) = schema {
            check(schema, LONGEST).map_err(|reason| ConnectError::Name {
                name: schema.to_owned(),
                reason,
            })?;
        }
        Ok(Self {
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
        })
    }

    /// The table where the version of the schema is.
    pub fn version(&self) -> String {
        format!("{}_version", self.table)
    }

    /// The index of this column or these columns.
    pub fn index(&self, of: &str) -> String {
        format!("{}_{of}_idx", self.table)
    }
}

fn check(name: &str, longest: usize) -> Result<(), &'static str> {
    if !name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_') {
        return Err("it has to begin with one of a to z or an underscore");
    }
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.chars().all(valid) {
        return Err("it may have a to z, 0 to 9 and underscores only");
    }
    if name.len() > longest {
        return Err("it is too long: what is made of it has to have at most 63 characters");
    }
    if name.starts_with("sqlite_") || name.starts_with("pg_") {
        return Err("names that begin so belong to the database");
    }
    Ok(())
}
