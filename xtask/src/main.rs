//! The repository checks its own manners, so that review can be about thought.
//!
//! `tidy` fails on a breach of the house rules; `smells` only prints what deserves a second look.
//! Neither builds the project: they read text, so they answer within a second.

// The only output of this program is its report to the person or the CI that called it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod smells;
mod source;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy     fail on a breach of the house rules (floors, purity, routes, generated files, links, leftovers)
  smells   print long files, long functions and crowded modules; never fails
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let root = repository_root();
    match command.as_str() {
        "tidy" => report(&tidy::run(&root)),
        "smells" => {
            for smell in smells::run(&root) {
                println!("{smell}");
            }
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn report(breaches: &[tidy::Breach]) -> ExitCode {
    for breach in breaches {
        println!("{breach}");
    }
    match breaches.len() {
        0 => {
            println!("tidy: every rule holds");
            ExitCode::SUCCESS
        }
        count => {
            println!("tidy: {count} breach{}", if count == 1 { "" } else { "es" });
            ExitCode::FAILURE
        }
    }
}

/// The folder above `xtask/`, fixed when this program is built: it is always run through cargo.
fn repository_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
