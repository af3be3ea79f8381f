//! Stores on servers that all cases of a suite share.

use obsession_core::SessionIndex;
use obsession_core::conformance::Setup;
use obsession_redis::RedisStore;
use testing::Servers;
pub use testing::Shared;

/// Servers that write everything to disk before they answer, so that what was acknowledged is there
/// after a kill.
pub const DURABLE: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// What a case works with, as `shown` shows it to the suite.
pub async fn setup<S: Servers, T: SessionIndex>(
    calm: &'static Shared<S>,
    killed: &'static Shared<S>,
    shown: fn(RedisStore) -> T,
) -> Setup<T> {
    let names = [super::prefix(), super::prefix()];
    let open = move |url: String, prefix: String, deadline| async move {
        // On a busy machine, servers that hundreds connect to may take longer than a call may.
        for _ in 0..5 {
            let builder = RedisStore::builder(&*url).prefix(&prefix);
            if let Ok(store) = builder.deadline(deadline).connect().await {
                return shown(store);
            }
        }
        unreachable!("the servers cannot be connected to")
    };
    testing::setup(calm, killed, names, open).await
}
