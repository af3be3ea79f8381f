//! A store around a store is a store: the suite on a cache, on one that seals bodies and on one that
//! migrates, and what the suite does not see of them.
//!
//! Their broken twins are among the mutants, in `tests/mutants/wrapping/`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod around;
mod cache;
mod forged;
mod migrating;
mod moves;
mod sealed;

mod leftovers;
mod rows;

mod cached {
    use std::sync::Arc;

    use obsession_core::conformance::{Setup, Time};

    use crate::around::{Inner, Store, setup};
    use crate::cache::Cache;

    async fn make(time: Time) -> Setup<Store> {
        setup(&time, |cache: Arc<Cache<Inner>>| cache)
    }

    obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
}

mod encrypted {
    use std::sync::Arc;

    use obsession_core::conformance::{Setup, Time};

    use crate::around::{Inner, Store, setup};
    use crate::sealed::Sealed;

    async fn make(time: Time) -> Setup<Store> {
        setup(&time, |sealed: Arc<Sealed<Inner>>| sealed)
    }

    obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
}

mod migrated {
    use std::sync::Arc;

    use obsession_core::conformance::{Setup, Time};

    use crate::around::{Inner, Store, setup};
    use crate::migrating::Migrating;

    async fn make(time: Time) -> Setup<Store> {
        setup(&time, |migrating: Arc<Migrating<Inner>>| migrating)
    }

    obsession_core::conformance!(make, index, reopen, outage, neighbour, peer);
}
