//! The token: a key that finds the record and a secret that proves the right to it.
//!
//! A token is 40 characters of `A-Za-z0-9.-`, 6 random bits each: 240 bits, canonical by
//! construction because every character is a full symbol. The first 16 (96 bits) are the
//! [`SessionKey`]; the last 24 (144 bits) are the secret, of which only a hash is ever kept
//! (OWASP ASVS 5.0 7.2.3 asks for 128 bits).

use std::fmt;
use std::str::{self, FromStr};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
const KEY_LEN: usize = 16;
const SECRET_LEN: usize = 24;
const TOKEN_LEN: usize = KEY_LEN + SECRET_LEN;

/// A source of random bytes; the operating system's unless a test replaces it.
pub(crate) type Random = fn(&mut [u8]) -> Result<(), getrandom::Error>;

/// The public, stable half of a token: the primary key of a session's record for its whole life.
///
/// 16 characters of `A-Za-z0-9.-`. It is **not** secret: it may be logged, listed and shown, and
/// knowing it gives no access to the session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey([u8; KEY_LEN]);

impl SessionKey {
    /// The length in bytes, which is also the length in characters.
    pub const LEN: usize = KEY_LEN;

    /// The key as its 16 ASCII characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// The key as its 16 ASCII bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl TryFrom<&[u8]> for SessionKey {
    type Error = InvalidId;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
        let key = bytes.try_into().map_err(|_| InvalidId)?;
        if symbols_only(bytes) {
            Ok(Self(key))
        } else {
            Err(InvalidId)
        }
    }
}

impl FromStr for SessionKey {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        s.as_bytes().try_into()
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", self.as_str())
    }
}

/// A whole token, as the client holds it: a key and a secret.
///
/// Whoever has it is the session's user, so it is treated as a password: `Debug` shows the key
/// alone, there is no `Display`, comparison takes constant time, and the memory is wiped on drop.
#[derive(Clone)]
pub struct SessionId([u8; TOKEN_LEN]);

impl SessionId {
    /// The length of a token in bytes, which is also its length in characters.
    pub const LEN: usize = TOKEN_LEN;

    /// Reads a token.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] unless it is exactly 40 characters of `A-Za-z0-9.-`. Nothing is trimmed,
    /// decoded or case-folded: every token has one spelling.
    pub fn parse(token: &[u8]) -> Result<Self, InvalidId> {
        let bytes = token.try_into().map_err(|_| InvalidId)?;
        if symbols_only(token) {
            Ok(Self(bytes))
        } else {
            Err(InvalidId)
        }
    }

    /// The key, which is not secret.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        let mut key = [0; KEY_LEN];
        key.copy_from_slice(&self.0[..KEY_LEN]);
        SessionKey(key)
    }

    /// The token itself, for handing it to its client and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        ascii(&self.0)
    }

    /// A token that nobody has.
    pub(crate) fn generate(random: Random) -> Result<Self, getrandom::Error> {
        let mut id = Self([0; TOKEN_LEN]);
        fill_symbols(&mut id.0, random)?;
        Ok(id)
    }

    /// The same key with a secret that nobody has.
    pub(crate) fn cycled(key: SessionKey, random: Random) -> Result<Self, getrandom::Error> {
        let mut id = Self([0; TOKEN_LEN]);
        id.0[..KEY_LEN].copy_from_slice(&key.0);
        fill_symbols(&mut id.0[KEY_LEN..], random)?;
        Ok(id)
    }
}

impl FromStr for SessionId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        Self::parse(s.as_bytes())
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SessionId {}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}, secret redacted)", self.key())
    }
}

/// The text is not a token or a key of ours. It says nothing more, so that nothing leaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a session id")
    }
}

impl std::error::Error for InvalidId {}

/// What a record keeps of a secret: `SHA-256(domain separator, realm, key, secret)`.
#[derive(Clone, Copy)]
pub(crate) struct TokenHash([u8; TokenHash::LEN]);

impl TokenHash {
    pub(crate) const LEN: usize = 32;

    pub(crate) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        let words = |hash: &Self| {
            let (words, _) = hash.0.as_chunks::<8>();
            [0, 1, 2, 3].map(|n| words.get(n).copied().map_or(0, u64::from_le_bytes))
        };
        words(self).ct_eq(&words(other)).into()
    }
}

/// Hashes tokens for one realm, so that a token of one application is worthless to another that
/// shares its store.
#[derive(Clone)]
pub(crate) struct TokenHasher(Sha256);

impl TokenHasher {
    /// What forms of the session of `id` are marked with, unmasked. No record holds it, and its input
    /// is longer than that of any [`hash`](Self::hash).
    pub(crate) fn form(&self, id: &SessionId) -> [u8; 32] {
        let hasher = self.0.clone().chain_update(b"form").chain_update(id.0);
        hasher.finalize().into()
    }

    pub(crate) fn new(realm: &str) -> Self {
        let mut block = [0; 64];
        block[..18].copy_from_slice(b"obsession token v1");
        block[32..].copy_from_slice(&Sha256::digest(realm.as_bytes()));
        // One whole SHA-256 block, so that its compression is done once here and not per token.
        Self(Sha256::new_with_prefix(block))
    }

    pub(crate) fn hash(&self, id: &SessionId) -> TokenHash {
        let mut hasher = self.0.clone();
        hasher.update(id.0);
        TokenHash(hasher.finalize().into())
    }
}

impl fmt::Debug for TokenHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHasher")
    }
}

fn fill_symbols(symbols: &mut [u8], random: Random) -> Result<(), getrandom::Error> {
    // One random byte a symbol: 256 is a multiple of 64, so the low six bits are unbiased.
    let mut bytes = Zeroizing::new([0; TOKEN_LEN]);
    let bytes = &mut bytes[..symbols.len()];
    random(bytes)?;
    for (symbol, byte) in symbols.iter_mut().zip(bytes) {
        *symbol = ALPHABET[usize::from(*byte & 63)];
    }
    Ok(())
}

/// Whether it is in the alphabet.
fn is_symbol(b: u8) -> bool {
    matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')
}

fn symbols_only(bytes: &[u8]) -> bool {
    // All of them, without a branch for each: the compiler takes many at once.
    bytes.iter().fold(true, |all, b| all & is_symbol(*b))
}

/// `bytes` are symbols of the alphabet, checked where they came in.
fn ascii(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_the_alphabet() {
        for b in 0..=u8::MAX {
            assert_eq!(is_symbol(b), ALPHABET.contains(&b), "{b}");
        }
    }

    #[test]
    fn a_hash_depends_on_realm_key_and_secret() {
        let id = SessionId::generate(getrandom::fill).unwrap();
        let hash = TokenHasher::new("a").hash(&id);
        assert!(hash.matches(&TokenHasher::new("a").hash(&id)));
        assert!(!hash.matches(&TokenHasher::new("b").hash(&id)));
        for at in [0, KEY_LEN - 1, KEY_LEN, TOKEN_LEN - 1] {
            let mut other = id.clone();
            other.0[at] = if other.0[at] == b'A' { b'B' } else { b'A' };
            assert!(
                !hash.matches(&TokenHasher::new("a").hash(&other)),
                "position {at}"
            );
        }
    }

    #[test]
    fn a_failing_generator_is_an_error() {
        fn broken(_: &mut [u8]) -> Result<(), getrandom::Error> {
            Err(getrandom::Error::UNSUPPORTED)
        }
        let key = SessionId::generate(getrandom::fill).unwrap().key();
        assert!(SessionId::generate(broken).is_err());
        assert!(SessionId::cycled(key, broken).is_err());
    }

    #[test]
    fn cycling_keeps_the_key_and_changes_the_secret() {
        let id = SessionId::generate(getrandom::fill).unwrap();
        let next = SessionId::cycled(id.key(), getrandom::fill).unwrap();
        assert_eq!(id.key(), next.key());
        assert_ne!(id, next);
    }
}
