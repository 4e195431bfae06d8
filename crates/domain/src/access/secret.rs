//! Secrets that are made here and only ever compared by their hash: stream keys, API tokens, cookie values.

use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A secret text. `Debug` shows nothing; [`expose`](Self::expose) says what it does.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// `prefix` and 32 letters that hold 160 random bits. The letters need no escaping in URLs, headers or cookies.
    #[must_use]
    pub fn from_random(prefix: &str, random: [u8; 20]) -> Self {
        let mut text = String::with_capacity(prefix.len() + 32);
        text.push_str(prefix);
        for five in random.chunks_exact(5) {
            let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for letter in 0..8 {
                text.push(char::from(ALPHABET[usize::from((bits >> (35 - 5 * letter)) as u8 & 31)]));
            }
        }
        Self(text)
    }

    /// The secret text `text`, as somebody presented it or as it came out of the vault.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for the one who may know it, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `****` and the last four letters: enough to tell two keys apart, useless to guess with.
    #[must_use]
    pub fn hint(&self) -> String {
        let tail = self.0.char_indices().rev().nth(3).map_or("", |(at, _)| &self.0[at..]);
        format!("****{tail}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(****)")
    }
}

/// What a hash is for: the same text has different hashes for different purposes, so that no table can stand in for
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An invitee's code.
    Code,
    /// A publisher's stream key.
    StreamKey,
    /// A `sd_…` token.
    ApiToken,
    /// The cookie of an organiser.
    UserCookie,
    /// The cookie of a viewer.
    ViewerCookie,
    /// The cookie of somebody who waits in line: signed, not looked up.
    QueueTicket,
    /// The cookie of somebody who waits for another screen to make way.
    TakeoverTicket,
    /// A telephone number in E.164, to find its owner by.
    Phone,
    /// An e-mail address in lower case, to find its owner by.
    Email,
    /// A code that stands in for a lost second factor.
    RecoveryCode,
    /// What a session's page signs its signs of life with: not stored, made anew whenever it is needed.
    Heartbeat,
    /// What moves a session's mark over the picture: made anew like the one before.
    Watermark,
}

impl Purpose {
    fn tag(self) -> &'static [u8] {
        match self {
            Self::Code => b"code\0",
            Self::StreamKey => b"stream-key\0",
            Self::ApiToken => b"api-token\0",
            Self::UserCookie => b"user-cookie\0",
            Self::ViewerCookie => b"viewer-cookie\0",
            Self::QueueTicket => b"queue-ticket\0",
            Self::TakeoverTicket => b"takeover-ticket\0",
            Self::Phone => b"phone\0",
            Self::Email => b"email\0",
            Self::RecoveryCode => b"recovery-code\0",
            Self::Heartbeat => b"heartbeat\0",
            Self::Watermark => b"watermark\0",
        }
    }
}

/// 32 bytes of keyed BLAKE3.
pub type Digest = [u8; 32];

/// The key of all stored hashes: a stolen database alone cannot be searched for a code or a key.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The hash under which `text` is stored and looked up.
    #[must_use]
    pub fn digest(&self, purpose: Purpose, text: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(purpose.tag());
        hasher.update(text);
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_only_when_asked() {
        let secret = Secret::from_random("sd_", [0xff; 20]);
        assert_eq!(secret.expose(), format!("sd_{}", "z".repeat(32)));
        assert_eq!(format!("{secret:?}"), "Secret(****)");
        assert_eq!(secret.hint(), "****zzzz");
        assert_eq!(Secret::new("äö".into()).hint(), "****");
        assert_ne!(Secret::from_random("", [1; 20]), Secret::from_random("", [2; 20]));
    }

    #[test]
    fn a_hash_depends_on_key_purpose_and_text() {
        let key = HashKey::new([1; 32]);
        let digest = key.digest(Purpose::Code, b"x");
        assert_eq!(digest, key.digest(Purpose::Code, b"x"));
        assert_ne!(digest, key.digest(Purpose::StreamKey, b"x"));
        assert_ne!(digest, key.digest(Purpose::Code, b"y"));
        assert_ne!(digest, HashKey::new([2; 32]).digest(Purpose::Code, b"x"));
    }
}
