//! Secrets that must be shown again: sealed at rest, opened only against a permission.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use stagedoor_domain::access::{Allowed, Reveal, Sealed, Secret};

use crate::ports::random::Random;

const NONCE_BYTES: usize = 24;

/// Seals and opens. What is sealed for one row cannot be opened as another's: the row's id is authenticated with it.
pub(super) struct Vault(XChaCha20Poly1305);

/// What is in the row was not sealed by this vault, or for another row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret cannot be opened: was the master key replaced?")]
pub struct Unopenable;

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(****)")
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
        Sealed::Signing => "signing".to_owned(),
    }
}

impl Vault {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&key.into()))
    }

    /// A random nonce of 24 bytes, then the cipher text and its tag.
    pub(super) fn seal(&self, what: Sealed, secret: &str, random: &Random) -> Vec<u8> {
        self.seal_bytes(what, secret.as_bytes(), random)
    }

    /// [`seal`](Self::seal) for what is no text.
    pub(super) fn seal_bytes(&self, what: Sealed, secret: &[u8], random: &Random) -> Vec<u8> {
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
        String::from_utf8(self.open_bytes(allowed, sealed)?).map(Secret::new).map_err(|_| Unopenable)
    }

    /// [`open`](Self::open) for what is no text.
    pub(super) fn open_bytes(&self, allowed: &Allowed<Reveal>, sealed: &[u8]) -> Result<Vec<u8>, Unopenable> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unopenable)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Unopenable)?;
        let payload = Payload { msg: text, aad: &label(allowed.sealed).into_bytes() };
        self.0.decrypt(&XNonce::from(nonce), payload).map_err(|_| Unopenable)
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

    #[test]
    fn a_secret_is_opened_for_its_own_row_with_its_own_key_only() {
        let vault = Vault::new([1; 32]);
        let (row, other) =
            (Sealed::StreamKey(KeyId::new(Uuid::from_u128(1))), Sealed::StreamKey(KeyId::new(Uuid::from_u128(2))));
        let sealed = vault.seal(row, "secret", &Random::system());
        assert_eq!(vault.open(&allowed(row), &sealed).unwrap().expose(), "secret");
        assert_eq!(vault.open(&allowed(other), &sealed), Err(Unopenable));
        assert_eq!(Vault::new([2; 32]).open(&allowed(row), &sealed), Err(Unopenable));
        assert_ne!(sealed, vault.seal(row, "secret", &Random::system()), "a nonce is used once");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault.open(&allowed(row), &changed), Err(Unopenable));
            assert_eq!(vault.open(&allowed(row), &sealed[..at]), Err(Unopenable));
        }
    }
}
