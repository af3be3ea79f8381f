//! Stores on MySQL and MariaDB.

use obsession_sqlx::{MySql, MySqlStore, SqlStoreBuilder};

/// A builder for a store on this table.
pub fn builder(url: &str, table: &str) -> SqlStoreBuilder<MySql> {
    MySqlStore::builder(url).table(table)
}

/// A store whose table has been made.
pub async fn migrated(builder: SqlStoreBuilder<MySql>) -> MySqlStore {
    builder.migrate().await.unwrap().connect().await.unwrap()
}
