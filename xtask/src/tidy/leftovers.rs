//! No half-finished code in the tree, and no library that writes to the terminal.

use super::Breach;
use crate::source::{self, File};

const NEVER: [&str; 3] = ["dbg", "todo", "unimplemented"];
const PRINTS: [&str; 4] = ["print", "println", "eprint", "eprintln"];

/// Checks the sources of all crates; only the command line of the server may print.
pub fn check(files: &[File]) -> Vec<Breach> {
    files.iter().filter(|file| file.path.contains("/src/")).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Breach> {
    let prints = file.path.starts_with("crates/server/src/cli/")
        || file.path == "crates/server/src/cli.rs"
        || file.path == "crates/server/src/main.rs";
    source::tokens(&file.text)
        .windows(2)
        .filter(|pair| pair[1].text == "!")
        .filter_map(|pair| {
            let name = pair[0].text.as_str();
            let message = if NEVER.contains(&name) {
                format!("`{name}!` is a note to yourself: finish it or remove it")
            } else if PRINTS.contains(&name) && !prints {
                format!("`{name}!` in a library: return the value, or log it with tracing")
            } else {
                return None;
            };
            Some(Breach { path: file.path.clone(), line: pair[0].line, message })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&[File { path: path.into(), text: text.into() }]).into_iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn leftovers_are_caught_where_they_stand() {
        assert_eq!(lines("crates/media/src/a.rs", "fn f() {\n  dbg!(1);\n  todo!()\n}\n"), [2, 3]);
    }

    #[test]
    fn a_library_that_prints_is_caught_and_the_command_line_is_not() {
        assert_eq!(lines("crates/server/src/live/hub.rs", "fn f() { println!(\"x\"); }"), [1]);
        assert_eq!(lines("crates/server/src/cli/demo.rs", "fn f() { println!(\"x\"); }"), [0; 0]);
        assert_eq!(lines("crates/server/src/cli/demo.rs", "fn f() { dbg!(1); }"), [1]);
    }

    #[test]
    fn words_in_comments_and_tests_folders_are_not_code() {
        assert_eq!(lines("crates/media/src/a.rs", "// todo!() later\nconst X: &str = \"dbg!(1)\";"), [0; 0]);
        assert_eq!(lines("crates/media/tests/a.rs", "fn f() { println!(\"seed\"); }"), [0; 0]);
    }
}
