//! Generated files are committed, so that review sees what changed, and they match what they were made from.

use super::Breach;
use std::path::Path;

/// Nothing is generated yet.
pub fn check(_root: &Path) -> Vec<Breach> {
    Vec::new()
}
