//! The memory store keeps the contract.

use obsession_core::MemoryStore;
use obsession_core::conformance::Time;

async fn make(time: Time) -> MemoryStore {
    MemoryStore::builder().clock(time.clock()).build()
}

obsession_core::conformance!(make, index);
