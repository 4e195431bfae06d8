//! Secrets that must be shown again: sealed at rest, opened only against a permission.

use arc_swap::ArcSwap;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use stagedoor_domain::access::{Allowed, Reveal, Sealed, Secret};

use crate::ports::random::Random;

const NONCE_BYTES: usize = 24;

/// What is in the row was not sealed by a key that is at hand, or for another row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret cannot be opened: was the master key replaced?")]
pub struct Unopenable;

/// One key that seals and opens. What is sealed for one row cannot be opened as another's: the row's id is authenticated
/// with it.
pub(super) struct Cipher(XChaCha20Poly1305);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(****)")
    }
}

fn label(what: Sealed) -> String {
    match what {
        Sealed::StreamKey(id) => id.to_string(),
        Sealed::Code(id) => id.to_string(),
        Sealed::Contact(id) => format!("contact {id}"),
        Sealed::ImportFile(id) => format!("import {id}"),
        Sealed::Message(id) => format!("message {id}"),
        Sealed::Totp(id) => format!("totp {id}"),
        Sealed::Webhook(id) => format!("webhook {id}"),
        Sealed::ContentKey(id) => id.to_string(),
        Sealed::Signing => "signing".to_owned(),
        Sealed::Keys => "keys".to_owned(),
    }
}

impl Cipher {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&key.into()))
    }

    /// A random nonce of 24 bytes, then the cipher text and its tag.
    pub(super) fn seal(&self, what: Sealed, secret: &[u8], random: &Random) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random.bytes();
        let label = label(what);
        let payload = Payload { msg: secret, aad: label.as_bytes() };
        let mut sealed = nonce.to_vec();
        sealed.extend(
            self.0.encrypt(&XNonce::from(nonce), payload).expect("a short text is below the cipher's limit of 256 GiB"),
        );
        sealed
    }

    /// What was sealed for the row that the permission names.
    pub(super) fn open(&self, allowed: &Allowed<Reveal>, sealed: &[u8]) -> Result<Secret, Unopenable> {
        text(self.plain(allowed.sealed, sealed)?)
    }

    /// [`open`](Self::open) for the keys themselves, which no permission is about.
    pub(super) fn plain(&self, what: Sealed, sealed: &[u8]) -> Result<Vec<u8>, Unopenable> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unopenable)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Unopenable)?;
        let payload = Payload { msg: text, aad: &label(what).into_bytes() };
        self.0.decrypt(&XNonce::from(nonce), payload).map_err(|_| Unopenable)
    }
}

fn text(bytes: Vec<u8>) -> Result<Secret, Unopenable> {
    String::from_utf8(bytes).map(Secret::new).map_err(|_| Unopenable)
}

/// Seals with the present key, opens with it and with those before it, as long as rows hang on them.
#[derive(Debug)]
pub(super) struct Vault(ArcSwap<Ring>);

#[derive(Debug)]
struct Ring {
    present: Cipher,
    older: Vec<Cipher>,
}

impl Ring {
    fn plain(&self, what: Sealed, sealed: &[u8]) -> Result<Vec<u8>, Unopenable> {
        let mut ciphers = std::iter::once(&self.present).chain(&self.older);
        ciphers.find_map(|cipher| cipher.plain(what, sealed).ok()).ok_or(Unopenable)
    }
}

impl Vault {
    pub(super) fn new(present: Cipher, older: Vec<Cipher>) -> Self {
        Self(ArcSwap::from_pointee(Ring { present, older }))
    }

    /// From now on seals with `present`, and opens what `older` sealed as well.
    pub(super) fn turn(&self, present: Cipher, older: Vec<Cipher>) {
        self.0.store(std::sync::Arc::new(Ring { present, older }));
    }

    pub(super) fn seal(&self, what: Sealed, secret: &str, random: &Random) -> Vec<u8> {
        self.seal_bytes(what, secret.as_bytes(), random)
    }

    /// [`seal`](Self::seal) for what is no text.
    pub(super) fn seal_bytes(&self, what: Sealed, secret: &[u8], random: &Random) -> Vec<u8> {
        self.0.load().present.seal(what, secret, random)
    }

    /// What was sealed for the row that the permission names.
    pub(super) fn open(&self, allowed: &Allowed<Reveal>, sealed: &[u8]) -> Result<Secret, Unopenable> {
        text(self.open_bytes(allowed, sealed)?)
    }

    /// [`open`](Self::open) for what is no text.
    pub(super) fn open_bytes(&self, allowed: &Allowed<Reveal>, sealed: &[u8]) -> Result<Vec<u8>, Unopenable> {
        self.0.load().plain(allowed.sealed, sealed)
    }

    /// The same secret sealed by the present key; `None` when it is already.
    pub(super) fn anew(&self, what: Sealed, sealed: &[u8], random: &Random) -> Result<Option<Vec<u8>>, Unopenable> {
        let ring = self.0.load();
        if ring.present.plain(what, sealed).is_ok() {
            return Ok(None);
        }
        Ok(Some(ring.present.seal(what, &ring.plain(what, sealed)?, random)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stagedoor_domain::id::KeyId;
    use uuid::Uuid;

    use crate::ports::db::testing::proof;

    fn allowed(sealed: Sealed) -> Allowed<Reveal> {
        proof::of(Reveal { event: None, sealed })
    }

    fn cipher(key: u8) -> Cipher {
        Cipher::new([key; 32])
    }

    fn row(number: u128) -> Sealed {
        Sealed::StreamKey(KeyId::new(Uuid::from_u128(number)))
    }

    #[test]
    fn a_secret_is_opened_for_its_own_row_with_its_own_key_only() {
        let vault = Vault::new(cipher(1), Vec::new());
        let (row, other) = (row(1), row(2));
        let sealed = vault.seal(row, "secret", &Random::system());
        assert_eq!(vault.open(&allowed(row), &sealed).unwrap().expose(), "secret");
        assert_eq!(vault.open(&allowed(other), &sealed), Err(Unopenable));
        assert_eq!(Vault::new(cipher(2), Vec::new()).open(&allowed(row), &sealed), Err(Unopenable));
        assert_ne!(sealed, vault.seal(row, "secret", &Random::system()), "a nonce is used once");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault.open(&allowed(row), &changed), Err(Unopenable));
            assert_eq!(vault.open(&allowed(row), &sealed[..at]), Err(Unopenable));
        }
    }

    #[test]
    fn an_older_key_opens_until_it_is_taken_away_and_seals_nothing() {
        let random = Random::system();
        let vault = Vault::new(cipher(1), Vec::new());
        let old = vault.seal(row(1), "secret", &random);
        assert_eq!(vault.anew(row(1), &old, &random), Ok(None));
        vault.turn(cipher(2), vec![cipher(1)]);
        assert_eq!(vault.open(&allowed(row(1)), &old).unwrap().expose(), "secret");
        let new = vault.anew(row(1), &old, &random).unwrap().unwrap();
        assert_eq!(vault.anew(row(1), &new, &random), Ok(None));
        assert_eq!(vault.anew(row(2), &old, &random), Err(Unopenable), "for another row");
        vault.turn(cipher(2), Vec::new());
        assert_eq!(vault.open(&allowed(row(1)), &new).unwrap().expose(), "secret");
        assert_eq!(vault.open(&allowed(row(1)), &old), Err(Unopenable));
    }
}
