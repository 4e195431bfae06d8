//! The outside world: what has two real implementations, or must be faked in tests.

pub mod blobs;
pub mod clock;
pub mod db;
pub mod random;
