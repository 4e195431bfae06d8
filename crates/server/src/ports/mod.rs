//! The outside world: what has two real implementations, or must be faked in tests.

pub mod acme;
pub mod blobs;
pub mod bus;
pub mod clock;
pub mod db;
pub mod fetch;
pub mod follow;
pub mod listen;
pub mod oidc;
pub mod random;
pub mod tls;

/// What nearly every part needs of the outside world; cheap to clone.
#[derive(Clone, Debug)]
pub struct World {
    /// The database.
    pub db: db::Db,
    /// The time.
    pub clock: clock::Clock,
    /// Randomness.
    pub random: random::Random,
    /// Hints that something changed.
    pub bus: bus::Bus,
}
