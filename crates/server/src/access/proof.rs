//! Proof of work: what everybody pays while somebody is guessing.
//!
//! The challenge is signed instead of stored, so that asking for a million of them costs us nothing. A solved one is
//! remembered until it expires, so that it pays for one guess only.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use stagedoor_domain::Time;
use utoipa::ToSchema;

use crate::ports::random::Random;

/// Leading zero bits: 262 144 hashes on average, a second or less on a phone, and one guess a second and core for an
/// attacker.
pub const BITS: u32 = 18;
/// A slow phone has found its nonce by then.
const LIFETIME_MS: i64 = 120_000;
/// Solved challenges remembered. Each was paid for with 262 144 hashes; when there are more, the oldest is forgotten.
const USED_MAX: usize = 10_000;

/// A solved challenge.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Proof {
    /// The challenge as it was sent.
    #[schema(max_length = 128)]
    pub challenge: String,
    /// A number, in decimal digits, such that SHA-256 of `challenge:nonce` begins with as many zero bits as were asked.
    #[schema(max_length = 32)]
    pub nonce: String,
}

/// Signs challenges.
#[derive(Clone)]
pub(super) struct ChallengeKey([u8; 32]);

impl std::fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChallengeKey(****)")
    }
}

impl ChallengeKey {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Expiry (8 bytes), random (16), keyed BLAKE3 of both (32).
    pub(super) fn challenge(&self, now: Time, random: &Random) -> String {
        let mut bytes = [0; 56];
        bytes[..8].copy_from_slice(&(now.millis() + LIFETIME_MS).to_be_bytes());
        bytes[8..24].copy_from_slice(&random.bytes::<16>());
        let mac = blake3::keyed_hash(&self.0, &bytes[..24]);
        bytes[24..].copy_from_slice(mac.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether the challenge is one of ours, still fresh and solved; then the 16 random bytes that name it.
    fn verify(&self, proof: &Proof, now: Time) -> Option<[u8; 16]> {
        if proof.challenge.len() != 75
            || proof.nonce.len() > 32
            || !proof.nonce.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let bytes: [u8; 56] = URL_SAFE_NO_PAD.decode(&proof.challenge).ok()?.try_into().ok()?;
        let mac: [u8; 32] = bytes[24..].try_into().ok()?;
        if blake3::keyed_hash(&self.0, &bytes[..24]) != blake3::Hash::from_bytes(mac) {
            return None;
        }
        let expiry = i64::from_be_bytes(bytes[..8].try_into().ok()?);
        if now.millis() >= expiry || !solves(&proof.challenge, &proof.nonce) {
            return None;
        }
        bytes[8..24].try_into().ok()
    }
}

fn solves(challenge: &str, nonce: &str) -> bool {
    let hash = Sha256::new().chain_update(challenge).chain_update(":").chain_update(nonce).finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]).leading_zeros() >= BITS
}

/// Finds the nonce, as a page does. For tests and for the load generator.
#[must_use]
pub fn solve(challenge: &str) -> Proof {
    let nonce = (0_u64..).map(|nonce| nonce.to_string()).find(|nonce| solves(challenge, nonce));
    Proof { challenge: challenge.to_owned(), nonce: nonce.unwrap_or_default() }
}

/// Solved challenges that must not pay twice.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    all: HashSet<[u8; 16]>,
    oldest_first: VecDeque<[u8; 16]>,
}

impl Used {
    /// Whether `proof` pays for one guess now.
    pub(super) fn accept(&self, key: &ChallengeKey, proof: &Proof, now: Time) -> bool {
        let Some(name) = key.verify(proof, now) else { return false };
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.all.insert(name) {
            return false;
        }
        used.oldest_first.push_back(name);
        if used.oldest_first.len() > USED_MAX
            && let Some(oldest) = used.oldest_first.pop_front()
        {
            used.all.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solved_challenge_pays_once_and_only_while_it_is_fresh() {
        let (key, used, now) = (ChallengeKey::new([1; 32]), Used::default(), Time::from_millis(1_000));
        let proof = solve(&key.challenge(now, &Random::seeded(1)));
        assert!(!used.accept(&ChallengeKey::new([2; 32]), &proof, now), "signed by somebody else");
        assert!(!used.accept(&key, &proof, Time::from_millis(1_000 + LIFETIME_MS)), "expired");
        assert!(used.accept(&key, &proof, now));
        assert!(!used.accept(&key, &proof, now), "used");
    }

    #[test]
    fn what_was_not_solved_does_not_pay() {
        let (key, used, now) = (ChallengeKey::new([1; 32]), Used::default(), Time::from_millis(1_000));
        let solved = solve(&key.challenge(now, &Random::seeded(2)));
        let nonce: u64 = solved.nonce.parse().unwrap();
        let wrong =
            (nonce + 1..).map(|nonce| nonce.to_string()).find(|nonce| !solves(&solved.challenge, nonce)).unwrap();
        for (challenge, nonce) in [
            (solved.challenge.as_str(), wrong.as_str()),
            (&solved.challenge, ""),
            (&solved.challenge, "-1"),
            (&solved.challenge, &"1".repeat(33)),
            ("", &solved.nonce),
            (&solved.challenge[1..], &solved.nonce),
            (&"A".repeat(75), &solved.nonce),
        ] {
            let proof = Proof { challenge: challenge.to_owned(), nonce: nonce.to_owned() };
            assert!(!used.accept(&key, &proof, now), "{proof:?}");
        }
    }
}
