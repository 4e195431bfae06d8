//! The playback token: the part of a media URL that says which session asks.
//!
//! 75 bytes in 100 letters of unpadded base64url:
//!
//! ```text
//! 0        1              17             33        37          43                 75
//! │version │ session (16) │ stream (16)  │ epoch 4 │ expiry 6  │ keyed BLAKE3 (32) │     big endian
//! ```
//!
//! It names no key, no algorithm and no issuer, so there is nothing of the kind to lie about. 75 is divisible by three:
//! every token has exactly one text, and any changed letter changes a signed byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::id::{SessionId, StreamId};
use crate::time::Time;

const VERSION: u8 = 1;
const CLAIMS_BYTES: usize = 43;
const TOKEN_BYTES: usize = CLAIMS_BYTES + 32;
/// Letters of a token's text.
pub const TOKEN_CHARS: usize = TOKEN_BYTES / 3 * 4;
/// Six bytes of milliseconds end in the year 10889.
const EXPIRY_MAX: i64 = (1 << 48) - 1;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The session that watches.
    pub session: SessionId,
    /// The only stream it may watch with this token.
    pub stream: StreamId,
    /// The event's epoch when the token was made; raising the event's epoch ends every older token.
    pub epoch: u32,
    /// When it ends by itself.
    pub expires_at: Time,
}

/// The text is no token of ours. There is deliberately one reason: a forger learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a playback token")]
pub struct Forged;

/// Signs and verifies playback tokens.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(****)")
    }
}

impl TokenKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The text of a token with these claims: [`TOKEN_CHARS`] letters that are safe in a path.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[0] = VERSION;
        bytes[1..17].copy_from_slice(claims.session.uuid().as_bytes());
        bytes[17..33].copy_from_slice(claims.stream.uuid().as_bytes());
        bytes[33..37].copy_from_slice(&claims.epoch.to_be_bytes());
        let expiry = claims.expires_at.millis().clamp(0, EXPIRY_MAX);
        bytes[37..43].copy_from_slice(&expiry.to_be_bytes()[2..]);
        let mac = blake3::keyed_hash(&self.0, &bytes[..CLAIMS_BYTES]);
        bytes[CLAIMS_BYTES..].copy_from_slice(mac.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What `text` says, if this key signed it. Says nothing about whether the token is still good: that is
    /// [`decide`](super::decide)'s matter.
    ///
    /// # Errors
    ///
    /// [`Forged`] for everything else, whatever is wrong with it.
    pub fn verify(&self, text: &str) -> Result<Claims, Forged> {
        if text.len() != TOKEN_CHARS {
            return Err(Forged);
        }
        let mut bytes = [0; TOKEN_BYTES];
        let written = URL_SAFE_NO_PAD.decode_slice_unchecked(text, &mut bytes).map_err(|_| Forged)?;
        if written != TOKEN_BYTES {
            return Err(Forged);
        }
        let (claims, mac) = bytes.split_at(CLAIMS_BYTES);
        let mac: [u8; 32] = mac.try_into().map_err(|_| Forged)?;
        // `blake3::Hash` compares in constant time.
        if blake3::keyed_hash(&self.0, claims) != blake3::Hash::from_bytes(mac) || claims[0] != VERSION {
            return Err(Forged);
        }
        let sixteen = |from: usize| -> [u8; 16] { std::array::from_fn(|index| claims[from + index]) };
        let expiry = claims[37..43].iter().fold(0_i64, |value, byte| value << 8 | i64::from(*byte));
        Ok(Claims {
            session: SessionId::new(Uuid::from_bytes(sixteen(1))),
            stream: StreamId::new(Uuid::from_bytes(sixteen(17))),
            epoch: claims[33..37].iter().fold(0, |value, byte| value << 8 | u32::from(*byte)),
            expires_at: Time::from_millis(expiry),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims() -> Claims {
        Claims {
            session: SessionId::new(Uuid::from_u128(0x0192_aaaa)),
            stream: StreamId::new(Uuid::from_u128(0x0192_bbbb)),
            epoch: 3,
            expires_at: Time::from_millis(1_795_203_000_123),
        }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let key = TokenKey::new([7; 32]);
        let text = key.sign(&claims());
        assert_eq!(text.len(), TOKEN_CHARS);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        assert_eq!(key.verify(&text), Ok(claims()));
        assert_eq!(TokenKey::new([8; 32]).verify(&text), Err(Forged));
    }

    #[test]
    fn every_changed_bit_letter_and_length_is_forged() {
        let key = TokenKey::new([7; 32]);
        let text = key.sign(&claims());
        let mut tried = 0;
        for at in 0..text.len() {
            for letter in (0..=127_u8).filter(|letter| *letter != text.as_bytes()[at]) {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = letter;
                assert_eq!(key.verify(std::str::from_utf8(&bytes).unwrap()), Err(Forged), "{letter} at {at}");
                tried += 1;
            }
            assert_eq!(key.verify(&text[..at]), Err(Forged));
            assert_eq!(key.verify(&text[at..]).is_ok(), at == 0);
        }
        assert!(tried >= 5_000, "{tried}");
        for text in
            [format!("{text}A"), format!("{text}=="), format!("{text}{text}"), "A".repeat(10_000), "é".repeat(50)]
        {
            assert_eq!(key.verify(&text), Err(Forged));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes(text in ".{0,110}") {
            prop_assert_eq!(TokenKey::new([7; 32]).verify(&text), Err(Forged));
        }

        #[test]
        fn no_text_of_the_right_length_passes(text in "[A-Za-z0-9_-]{100}") {
            prop_assert_eq!(TokenKey::new([7; 32]).verify(&text), Err(Forged));
        }
    }
}
