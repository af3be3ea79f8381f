//! The memory store keeps the contract.

use obsession_core::MemoryStore;
use obsession_core::conformance::{Setup, Time};

async fn make(time: Time) -> Setup<MemoryStore> {
    let store = || MemoryStore::builder().clock(time.clock()).build();
    let (one, neighbour) = (store(), store());
    Setup::new(one.clone()).peer(one).neighbour(neighbour)
}

obsession_core::conformance!(make, index, neighbour, peer);
