//! The rules that a machine can judge. Each rule is a pure function from text to breaches, and each has a test
//! that shows a breach being caught.

mod floors;
mod generated;
mod leftovers;
mod links;
mod purity;
mod routes;

use crate::source;
use std::fmt;
use std::path::Path;

/// One place where the repository breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The file, relative to the repository.
    pub path: String,
    /// Counted from 1; 0 when the breach is about the whole file.
    pub line: usize,
    /// What is wrong and what to do about it, in one sentence.
    pub message: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Runs every rule over the repository at `root`.
pub fn run(root: &Path) -> Vec<Breach> {
    let server = source::files(root, "crates/server/src", ".rs");
    let crates = source::files(root, "crates", ".rs");
    let documents = source::files(root, "", ".md");
    [
        floors::check(&server),
        purity::check(root),
        routes::check(root),
        generated::check(root),
        links::check(root, &documents),
        leftovers::check(&crates),
    ]
    .concat()
}
