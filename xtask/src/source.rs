//! Just enough of Rust's grammar to read imports and macro calls: tokens with their lines.
//!
//! Comments, strings and character literals are dropped, so that words inside them can never be mistaken for
//! code. It does not parse: everything here works on the flat token list.

use std::path::{Path, PathBuf};

/// One token outside comments and literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// An identifier, `::`, or a single punctuation character.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// A file of the repository with its text.
pub struct File {
    /// Relative to the repository, with `/` between folders.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// Splits Rust source into tokens; never fails, whatever the input.
pub fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let step = match bytes[at] {
            b'\n' => 1,
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => block_comment(rest),
            b'"' => quoted(rest),
            b'\'' => character_or_lifetime(rest),
            b if b.is_ascii_alphabetic() || b == b'_' || !b.is_ascii() => {
                let word = word_length(rest);
                match literal_after_prefix(rest, word) {
                    Some(length) => length,
                    None => {
                        out.push(Token { text: rest[..word].to_owned(), line });
                        word
                    }
                }
            }
            b':' if rest.starts_with("::") => {
                out.push(Token { text: "::".to_owned(), line });
                2
            }
            b if b.is_ascii_whitespace() => 1,
            b if b.is_ascii_digit() => number_length(rest),
            b => {
                out.push(Token { text: char::from(b).to_string(), line });
                1
            }
        };
        line += rest[..step].matches('\n').count();
        at += step;
    }
    out
}

fn word_length(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || !c.is_ascii())).unwrap_or(rest.len())
}

fn number_length(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// `r"…"`, `br#"…"#`, `b"…"`, `c"…"`, `b'…'`: the whole literal's length when the word is such a prefix.
fn literal_after_prefix(rest: &str, word: usize) -> Option<usize> {
    let after = &rest[word..];
    match &rest[..word] {
        "b" | "c" if after.starts_with('"') => Some(word + quoted(after)),
        "b" if after.starts_with('\'') => Some(word + character_or_lifetime(after)),
        "r" | "br" | "cr" => {
            let hashes = after.len() - after.trim_start_matches('#').len();
            let body = after[hashes..].strip_prefix('"')?;
            let close = format!("\"{}", "#".repeat(hashes));
            let length = body.find(&close).map_or(body.len(), |end| end + close.len());
            Some(word + hashes + 1 + length)
        }
        _ => None,
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    let bytes = rest.as_bytes();
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `'a'`, `'\n'` and `'\u{1F}'` are literals; `'a` without a closing quote is a lifetime.
fn character_or_lifetime(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[3.min(rest.len())..].find('\'').map_or(rest.len(), |end| 3 + end + 1),
        Some((_, _)) => match chars.next() {
            Some((end, '\'')) => end + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// Every file under `folder` (relative to `root`) whose name ends with `suffix`, sorted by path.
///
/// Build output, dependencies and hidden folders are not visited. A folder that is missing holds no files.
pub fn files(root: &Path, folder: &str, suffix: &str) -> Vec<File> {
    const SKIPPED: [&str; 6] = ["target", "node_modules", "dist", "results", "screenshots", "corpus"];
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(suffix)
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push(File { path: relative, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_and_characters_are_not_code() {
        let text = r####"a // crate::x
            /* crate::y /* nested */ still */ b "crate::z \" q" r#"crate::"w" "# 'c' '\'' '\u{1F}' b'"' c"####;
        assert_eq!(words(text), ["a", "b", "c"]);
    }

    #[test]
    fn a_lifetime_does_not_swallow_what_follows() {
        assert_eq!(words("&'a str"), ["&", "a", "str"]);
        assert_eq!(words("fn f<'a>(x: &'a T) {}")[..4], ["fn", "f", "<", "a"]);
    }

    #[test]
    fn lines_are_counted_through_every_kind_of_literal() {
        let text = "\"one\ntwo\"\n/* three\n */ here";
        assert_eq!(tokens(text), [Token { text: "here".into(), line: 4 }]);
    }

    #[test]
    fn broken_source_still_ends() {
        for text in ["\"", "'", "/*", "r#\"", "b'", "'\\", "\\", "é'é", "'é'"] {
            tokens(text);
        }
    }
}
