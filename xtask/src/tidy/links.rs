//! Relative links in Markdown lead somewhere: to a file that exists, and to a heading that it has.

use super::Breach;
use crate::source::File;
use std::path::{Component, Path, PathBuf};

/// Checks every `[text](target)` of every document. Addresses with a scheme are not followed.
pub fn check(root: &Path, documents: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for document in documents {
        for (line, target) in links(&document.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let resolved = resolve(&document.path, path);
            let problem = match resolved {
                None => Some(format!("link `{target}` leads out of the repository")),
                Some(file) if !path.is_empty() && !root.join(&file).exists() => {
                    Some(format!("link `{target}` leads nowhere"))
                }
                Some(file) if !anchor.is_empty() => {
                    let text = if path.is_empty() {
                        document.text.clone()
                    } else {
                        std::fs::read_to_string(root.join(&file)).unwrap_or_default()
                    };
                    let missing =
                        file.extension().is_some_and(|e| e == "md") && !headings(&text).contains(&anchor.to_owned());
                    missing.then(|| format!("link `{target}`: no heading makes the anchor `#{anchor}`"))
                }
                Some(_) => None,
            };
            if let Some(message) = problem {
                breaches.push(Breach { path: document.path.clone(), line, message });
            }
        }
    }
    breaches
}

/// The path that a link in `document` names, relative to the repository; `None` when it climbs out of it.
fn resolve(document: &str, target: &str) -> Option<PathBuf> {
    if target.is_empty() {
        return Some(PathBuf::from(document));
    }
    let mut resolved = if target.starts_with('/') {
        PathBuf::new()
    } else {
        Path::new(document).parent().unwrap_or(Path::new("")).to_path_buf()
    };
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir if resolved.pop() => {}
            Component::ParentDir => return None,
            Component::Normal(name) => resolved.push(name),
            _ => {}
        }
    }
    Some(resolved)
}

/// (line, target) of each relative link outside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        let mut rest = content.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            let target = rest[..end].split_whitespace().next().unwrap_or_default().trim_matches(['<', '>']);
            if !target.is_empty() && !target.contains(':') && !target.starts_with("//") {
                found.push((line, target.to_owned()));
            }
            rest = &rest[end..];
        }
    }
    found
}

/// The lines outside fenced blocks, with `code spans` blanked.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside: Vec<&str> = line.split('`').step_by(2).collect();
            out.push((index + 1, outside.join("`")));
        }
    }
    out
}

/// The anchors that the headings of a document make, by the rule that code hosts share.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut out = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            out.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(text: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let document = File { path: "src/page.md".into(), text: text.into() };
        check(root, &[document]).into_iter().map(|breach| breach.to_string()).collect()
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_is_caught() {
        let found = breaches("fine\n\nsee [this](missing.md)");
        assert_eq!(found, ["src/page.md:3: link `missing.md` leads nowhere"]);
    }

    #[test]
    fn links_to_files_folders_and_addresses_are_fine() {
        assert_eq!(breaches("[a](main.rs) [b](tidy/links.rs) [c](https://example.org/x) [d](../Cargo.toml)"), [""; 0]);
    }

    #[test]
    fn an_anchor_must_match_a_heading() {
        assert_eq!(breaches("# Two commands, one picture\n[ok](#two-commands-one-picture)"), [""; 0]);
        assert_eq!(breaches("# Here\n[bad](#there)").len(), 1);
    }

    #[test]
    fn a_link_out_of_the_repository_is_caught() {
        assert!(breaches("[x](../../../../../../etc/passwd)")[0].contains("leads out of the repository"));
    }

    #[test]
    fn code_is_not_a_link() {
        assert_eq!(breaches("`[x](missing.md)`\n```\n[y](missing.md)\n```"), [""; 0]);
    }
}
