//! Stores on servers that all cases of a suite share.

use obsession_core::conformance::Setup;
use obsession_redis::RedisStore;
use testing::Servers;
pub use testing::Shared;

/// Servers that write everything to disk before they answer, so that what was acknowledged is there
/// after a kill.
pub const DURABLE: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// What a case works with.
pub async fn setup<S: Servers>(
    calm: &'static Shared<S>,
    killed: &'static Shared<S>,
) -> Setup<RedisStore> {
    let names = [super::prefix(), super::prefix()];
    testing::setup(calm, killed, names, |url, prefix, deadline| async move {
        let builder = RedisStore::builder(url).prefix(&prefix);
        builder.deadline(deadline).connect().await.unwrap()
    })
    .await
}
