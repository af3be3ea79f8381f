//! A secret for forms, of which a page of another site knows nothing.
//!
//! `hex(pad) hex(pad XOR h)`, where `h` is the first half of
//! `SHA-256(domain separator, realm, "form", token)` and `pad` is random, so that no two pages show the
//! same text: where pages are compressed, its length would give it away byte by byte (BREACH).

use std::fmt::Write;

use subtle::ConstantTimeEq;

use crate::{Error, Session};

const HALF: usize = 16;

impl Session {
    /// A token to put into a form, or nothing where there is no session whose rights could be abused.
    ///
    /// It is made of the session's token, so nothing is stored, and it is good until that is replaced:
    /// a form from before a sign-in is refused after it. The session's token can not be told from it.
    ///
    /// # Errors
    ///
    /// As for [`id`](Self::id).
    pub async fn form_token(&self) -> Result<Option<String>, Error> {
        let Some(id) = self.id().await? else {
            return Ok(None);
        };
        let shared = &self.manager().shared;
        let mut pad = [0; HALF];
        (shared.random)(&mut pad)?;
        let mut token = String::with_capacity(4 * HALF);
        let masked = pad.iter().zip(shared.hasher.form(&id)).map(|(a, b)| a ^ b);
        for byte in pad.into_iter().chain(masked) {
            // Writing to a String does not fail.
            let _ = write!(token, "{byte:02x}");
        }
        Ok(Some(token))
    }

    /// Whether `token` is one that [`form_token`](Self::form_token) made for this session as the
    /// client has it now. Compared in constant time.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Corrupt`] if the session could not be loaded.
    pub async fn accepts_form_token(&self, token: &str) -> Result<bool, Error> {
        self.look().await?;
        let Some(id) = self.state().id.clone() else {
            return Ok(false);
        };
        let Some((pad, masked)) = parse(token) else {
            return Ok(false);
        };
        let mut shown = [0; HALF];
        for (shown, (a, b)) in shown.iter_mut().zip(pad.iter().zip(masked)) {
            *shown = a ^ b;
        }
        let ours = self.manager().shared.hasher.form(&id);
        Ok(shown[..].ct_eq(&ours[..HALF]).into())
    }
}

fn parse(token: &str) -> Option<([u8; HALF], [u8; HALF])> {
    let (digits, rest) = token.as_bytes().as_chunks::<2>();
    if digits.len() != 2 * HALF || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; 2 * HALF];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
        let digit = |c: u8| {
            char::from(c)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    let (mut pad, mut masked) = ([0; HALF], [0; HALF]);
    pad.copy_from_slice(&bytes[..HALF]);
    masked.copy_from_slice(&bytes[HALF..]);
    Some((pad, masked))
}
