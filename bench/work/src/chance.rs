//! Numbers that nobody can foresee and nobody needs to.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// splitmix64.
pub struct Chance(u64);

impl Chance {
    #[expect(clippy::new_without_default, reason = "two are not equal")]
    pub fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A place in something of this length, which is not zero.
    pub fn below(&mut self, len: usize) -> usize {
        (self.next() >> 33) as usize % len
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}
