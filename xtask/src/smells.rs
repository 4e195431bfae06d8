//! Prints what deserves a second look. Size is a smell, not a limit, so nothing here fails.

use crate::source::{self, File, Token};
use std::path::Path;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const PUBLIC_NAMES: usize = 12;

/// One line per smell, in the order of the files.
pub fn run(root: &Path) -> Vec<String> {
    ["crates", "xtask"]
        .iter()
        .flat_map(|folder| source::files(root, folder, ".rs"))
        .flat_map(|file| smells(&file))
        .collect()
}

fn smells(file: &File) -> Vec<String> {
    let mut out = Vec::new();
    // Tests at the bottom of a file are not what makes it long to understand.
    let code = file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().count();
    if lines > FILE_LINES {
        out.push(format!("{}: {lines} lines of code: two ideas?", file.path));
    }
    let tokens = source::tokens(code);
    for (name, line, length) in functions(&tokens) {
        if length > FUNCTION_LINES {
            out.push(format!("{}:{line}: fn {name} is {length} lines: two ideas?", file.path));
        }
    }
    let public = public_names(&tokens);
    if public > PUBLIC_NAMES {
        out.push(format!("{}: {public} public names: what is this module's one thing?", file.path));
    }
    out
}

/// (name, first line, lines) of each function with a body.
fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let mut out = Vec::new();
    for at in 0..tokens.len().saturating_sub(1) {
        let is_definition =
            tokens[at].text == "fn" && tokens[at + 1].text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if is_definition && let Some(end) = body_end(&tokens[at..]) {
            out.push((tokens[at + 1].text.clone(), tokens[at].line, end - tokens[at].line + 1));
        }
    }
    out
}

/// The line of the brace that closes the first body; `None` for a declaration that ends with `;`.
fn body_end(tokens: &[Token]) -> Option<usize> {
    let (mut braces, mut others) = (0usize, 0usize);
    for token in tokens {
        match token.text.as_str() {
            "(" | "[" => others += 1,
            ")" | "]" => others = others.saturating_sub(1),
            ";" if braces == 0 && others == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(token.line);
                }
            }
            _ => {}
        }
    }
    None
}

/// Public items at the top of the file: not methods, not fields.
fn public_names(tokens: &[Token]) -> usize {
    const ITEMS: [&str; 10] = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "use", "async"];
    let mut depth = 0usize;
    let mut count = 0;
    for pair in tokens.windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "pub" if depth == 0 && ITEMS.contains(&pair[1].text.as_str()) => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: String) -> File {
        File { path: "a.rs".into(), text }
    }

    #[test]
    fn a_long_file_smells() {
        assert!(smells(&file("// line\n".repeat(601)))[0].contains("601 lines"));
        assert!(smells(&file("// line\n".repeat(600))).is_empty());
    }

    #[test]
    fn a_long_function_smells_and_its_tests_do_not() {
        let long = format!("fn f(a: [u8; 2]) {{\n{}}}\n", "    g();\n".repeat(70));
        assert_eq!(smells(&file(long.clone())), ["a.rs:1: fn f is 72 lines: two ideas?"]);
        assert!(smells(&file(format!("#[cfg(test)]\nmod tests {{\n{long}}}\n"))).is_empty());
    }

    #[test]
    fn a_crowded_module_smells_and_methods_do_not_count() {
        let crowded: String = (0..13).map(|n| format!("pub struct S{n};\n")).collect();
        assert!(smells(&file(crowded))[0].contains("13 public names"));
        let methods: String = (0..20).map(|n| format!("pub fn m{n}() {{}}\n")).collect();
        assert!(smells(&file(format!("impl S {{\n{methods}}}\n"))).is_empty());
    }
}
