//! What repeats the code in another form says the same as the code.
//!
//! Files that only the running server can make (the OpenAPI document, the list of routes, the access table) are compared
//! by the test that makes them, and the pages' API types by `npm run types`. This is for the rest.

use super::Breach;
use std::path::Path;

const CONFIG: &str = "crates/server/src/config/mod.rs";
const REFERENCE: &str = "docs/operate/configuration.md";

/// Every key of the configuration is in its reference, and nothing else.
pub fn check(root: &Path) -> Vec<Breach> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    compare(&keys_in_code(&read(CONFIG)), &keys_in_reference(&read(REFERENCE)))
}

fn compare(code: &[String], reference: &[(usize, String)]) -> Vec<Breach> {
    let missing = code.iter().filter(|key| !reference.iter().any(|(_, documented)| documented == *key)).map(|key| {
        let message = format!("`{key}` is a configuration key without a row here");
        Breach { path: REFERENCE.to_owned(), line: 0, message }
    });
    let stale = reference.iter().filter(|(_, key)| !code.contains(key)).map(|(line, key)| {
        let message = format!("`{key}` is not a configuration key");
        Breach { path: REFERENCE.to_owned(), line: *line, message }
    });
    missing.chain(stale).collect()
}

/// `data_dir` of `Config`, `http.listen` of `Http`: the public fields of the structs, as an operator writes them.
fn keys_in_code(text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut section: Option<String> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("pub struct ") {
            let name = name.trim_end_matches(" {");
            section = Some(if name == "Config" { String::new() } else { format!("{}.", name.to_lowercase()) });
        } else if line == "}" {
            section = None;
        } else if let (Some(section), Some(field)) = (&section, line.strip_prefix("    pub ")) {
            let Some((name, kind)) = field.split_once(": ") else { continue };
            // A field of `Config` whose type is named like it is a section, not a key.
            let is_section = section.is_empty() && kind.trim_end_matches(',').to_lowercase() == name;
            if !is_section {
                keys.push(format!("{section}{name}"));
            }
        }
    }
    keys
}

/// The first cell of each row of the tables, when it is `code`.
fn keys_in_reference(text: &str) -> Vec<(usize, String)> {
    let rows = text.lines().enumerate().filter_map(|(index, line)| {
        let key = line.strip_prefix("| `")?.split('`').next()?;
        Some((index + 1, key.to_owned()))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "
pub struct Config {
    /// Docs.
    pub data_dir: PathBuf,
    pub http: Http,
}
pub struct Http {
    pub listen: SocketAddr,
}
";

    #[test]
    fn keys_are_read_as_an_operator_writes_them() {
        assert_eq!(keys_in_code(CODE), ["data_dir", "http.listen"]);
    }

    #[test]
    fn a_key_without_a_row_and_a_row_without_a_key_are_caught() {
        let reference = keys_in_reference("| key | meaning |\n|---|---|\n| `data_dir` | x |\n| `http.port` | y |\n");
        let found = compare(&keys_in_code(CODE), &reference);
        assert_eq!(found.len(), 2);
        assert!(found[0].message.contains("`http.listen` is a configuration key without a row"));
        assert_eq!((found[1].line, found[1].message.contains("`http.port` is not")), (4, true));
    }
}
