//! Passwords: Argon2id, off the async threads, a bounded number at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::ports::random::Random;

/// 19 MiB, two passes, one lane: OWASP's first choice for Argon2id. About 30 ms of one core here; an attacker with the
/// table pays the same memory for each guess.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at a time: together at most 38 MiB, and a core stays free for media on a small machine.
const AT_A_TIME: usize = 2;
/// Waiting for their turn; one more is sent away rather than queued for seconds.
const WAITING_MAX: usize = 32;
/// Longer passwords are refused before they are hashed.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Hashes and verifies passwords.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Too many passwords are being checked; try again in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub(super) struct Busy;

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the constants above are within Argon2's ranges");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { running: Arc::new(Semaphore::new(AT_A_TIME)), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        // The permits go with the work: a request that is dropped in between does not free what is still running.
        let task = tokio::task::spawn_blocking(move || {
            let _permits = (waiting, running);
            work()
        });
        task.await.map_err(|_| Busy)
    }

    /// The PHC text of `password` with a random salt.
    pub(super) async fn hash(&self, password: String, random: &Random) -> Result<String, Busy> {
        let salt: [u8; 16] = random.bytes();
        self.run(move || {
            let hash = argon2().hash_password_with_salt(password.as_bytes(), &salt);
            hash.expect("a salt of 16 bytes and a bounded password are accepted").to_string()
        })
        .await
    }

    /// Whether `password` is the one behind `hash`. Without a hash it takes as long and says no: the time does not tell
    /// whether the account exists.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Busy> {
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
            let verified =
                PasswordHash::new(&hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok());
            verified && known
        })
        .await
    }
}

/// A hash with the parameters above that no known password leads to.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RhZ2Vkb29yLXNhbHQhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_by_its_hash_only() {
        let (passwords, random) = (Passwords::new(), Random::seeded(1));
        let hash = passwords.hash("correct".into(), &random).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("wrong".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct".into(), Some("nonsense".into())).await.unwrap());
        assert!(!passwords.verify("correct".into(), None).await.unwrap());
        assert!(PasswordHash::new(NOBODY).is_ok(), "an unknown account costs the same work");
    }

    #[tokio::test]
    async fn more_than_can_wait_are_sent_away() {
        let passwords = Passwords::new();
        let _all = passwords.waiting.clone().try_acquire_many_owned(32).unwrap();
        assert_eq!(passwords.verify("x".into(), None).await, Err(Busy));
    }
}
