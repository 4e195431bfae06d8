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
    let is_test =
        ["/tests.rs", "/testing.rs"].iter().any(|name| file.path.ends_with(name)) || file.path.contains("/tests/");
    let is_command_line = file.path.starts_with("crates/server/src/cli/") || file.path == "crates/server/src/main.rs";
    // Where the tests at the bottom of a file begin; a test may print its seed.
    let before_tests = file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count();
    source::tokens(&file.text)
        .windows(2)
        .filter(|pair| pair[1].text == "!")
        .filter_map(|pair| {
            let (name, line) = (pair[0].text.as_str(), pair[0].line);
            let may_print = is_test || is_command_line || line > before_tests;
            let message = if NEVER.contains(&name) {
                format!("`{name}!` is a note to yourself: finish it or remove it")
            } else if PRINTS.contains(&name) && !may_print {
                format!("`{name}!` in a library: return the value, or log it with tracing")
            } else {
                return None;
            };
            Some(Breach { path: file.path.clone(), line, message })
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
    fn a_test_may_print_its_seed_but_not_stay_unfinished() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n  fn g() { println!(\"seed\"); todo!() }\n}\n";
        assert_eq!(lines("crates/media/src/a.rs", text), [4]);
        assert_eq!(lines("crates/media/src/a/tests.rs", "fn g() { println!(\"seed\"); }"), [0; 0]);
    }

    #[test]
    fn words_in_comments_and_tests_folders_are_not_code() {
        assert_eq!(lines("crates/media/src/a.rs", "// todo!() later\nconst X: &str = \"dbg!(1)\";"), [0; 0]);
        assert_eq!(lines("crates/media/tests/a.rs", "fn f() { println!(\"seed\"); }"), [0; 0]);
    }
}
