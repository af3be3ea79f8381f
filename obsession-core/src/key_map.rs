//! A map by session keys.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::SessionKey;

pub(crate) type KeyMap<V> = HashMap<SessionKey, V, BuildHasherDefault<KeyHasher>>;

/// Keys are random already, and whoever looks one up cannot put one in: nobody can choose keys that
/// collide. So they are spread, over all bits since a map takes some from either end, and not hashed.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, word: u64) {
        // Both halves of the product: each bit of the word is in bits above it and below.
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        #[allow(clippy::cast_possible_truncation, reason = "the halves")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        self.0 = low ^ high;
    }

    /// The length, which is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    /// A map takes the bucket from the low bits and a tag from the upper seven.
    #[test]
    fn keys_that_differ_in_one_symbol_are_spread_at_both_ends() {
        let hasher = BuildHasherDefault::<KeyHasher>::default();
        for place in 0..SessionKey::LEN {
            let spread = (b'A'..=b'Z').map(|symbol| {
                let mut key = [b'.'; SessionKey::LEN];
                key[place] = symbol;
                hasher.hash_one(SessionKey::try_from(&key[..]).unwrap())
            });
            let spread: Vec<_> = spread.collect();
            let low: HashSet<_> = spread.iter().map(|hash| hash & 0xfff).collect();
            let high: HashSet<_> = spread.iter().map(|hash| hash >> 57).collect();
            assert!(low.len() > 23 && high.len() > 15, "{place}: {spread:x?}");
        }
    }
}
