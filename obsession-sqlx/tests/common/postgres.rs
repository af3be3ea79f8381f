//! Stores on Postgres.

use obsession_sqlx::{PostgresStore, SqlStoreBuilder};

/// A builder for a store on this table.
pub fn builder(url: &str, table: &str) -> SqlStoreBuilder<obsession_sqlx::Postgres> {
    PostgresStore::builder(url).table(table)
}

/// A store whose table has been made.
pub async fn migrated(builder: SqlStoreBuilder<obsession_sqlx::Postgres>) -> PostgresStore {
    builder.migrate().await.unwrap().connect().await.unwrap()
}
