//! The outside world: what has two real implementations, or must be faked in tests.

pub mod blobs;
pub mod bus;
pub mod clock;
pub mod db;
pub mod fetch;
pub mod oidc;
pub mod random;

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
