//! Where bytes are written until their length is known.

use std::cell::Cell;

/// What a thread keeps, in bytes at most.
const KEPT: usize = 4096;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer with this much room. It is taken, since what is written may have others written
/// meanwhile.
pub(crate) fn take(room: usize) -> Vec<u8> {
    if room > KEPT {
        return Vec::with_capacity(room);
    }
    let mut bytes = SCRATCH.try_with(Cell::take).unwrap_or_default();
    bytes.clear();
    bytes.reserve(room);
    bytes
}

/// Gives a buffer back, for the next one to take.
pub(crate) fn give_back(bytes: Vec<u8>) {
    if bytes.capacity() <= KEPT {
        // A thread that is about to end keeps none.
        let _ = SCRATCH.try_with(|scratch| scratch.set(bytes));
    }
}
