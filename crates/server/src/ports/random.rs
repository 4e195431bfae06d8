//! Random bytes and fresh ids. Only this file asks the operating system.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use stagedoor_domain::Time;
use uuid::{Builder, Uuid};

/// A source of randomness; cheap to clone.
#[derive(Clone, Debug)]
pub enum Random {
    /// A cryptographic generator per thread, seeded by the operating system.
    System,
    /// The same bytes for the same seed: for tests that must be rerunnable.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// The source that production uses.
    #[must_use]
    pub fn system() -> Self {
        Self::System
    }

    /// A source that repeats itself.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes, good enough for secrets.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => rand::rng().fill_bytes(&mut bytes),
            Self::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes),
        }
        bytes
    }

    /// A UUID of version 7 for something made at `now`: what every id is made of.
    #[must_use]
    pub fn uuid(&self, now: Time) -> Uuid {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_the_system_does_not() {
        let bytes: [u8; 16] = Random::seeded(1).bytes();
        assert_eq!(bytes, Random::seeded(1).bytes());
        assert_ne!(bytes, Random::system().bytes());
    }

    #[test]
    fn ids_sort_by_their_time() {
        let random = Random::system();
        let ids: Vec<_> = (0..100).map(|at| random.uuid(Time::from_millis(1_000 + at))).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].get_version_num(), 7);
    }
}
