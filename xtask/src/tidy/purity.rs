//! `media` and `domain` stay free of IO: nothing in their dependency trees can open a socket, a file or a task.

use super::Breach;
use std::path::Path;
use std::process::Command;

const PURE: [(&str, &str); 2] = [("stagedoor-media", "crates/media"), ("stagedoor-domain", "crates/domain")];

/// Crates that exist to touch the world. One of them anywhere in the tree means that purity is gone.
const WORLDLY: [&str; 14] = [
    "async-std",
    "axum",
    "crossbeam-channel",
    "hyper",
    "mio",
    "object_store",
    "rayon",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "sqlx-core",
    "tokio",
];

/// Asks cargo for the tree of normal dependencies of each pure crate, and reads each crate's own manifest.
pub fn check(root: &Path) -> Vec<Breach> {
    PURE.iter()
        .flat_map(|(package, folder)| {
            let path = format!("{folder}/Cargo.toml");
            let manifest = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
            let mut breaches = manifest_breaches(&path, &manifest);
            match tree(root, package) {
                Ok(text) => breaches.extend(tree_breaches(&path, &text)),
                Err(message) => breaches.push(Breach { path, line: 0, message }),
            }
            breaches
        })
        .collect()
}

fn tree(root: &Path, package: &str) -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run cargo tree: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// `cargo tree` prints one `name vX.Y.Z` per line.
fn tree_breaches(path: &str, tree: &str) -> Vec<Breach> {
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| WORLDLY.contains(name))
        .map(|name| Breach {
            path: path.to_owned(),
            line: 0,
            message: format!("`{name}` is in the dependency tree of a pure crate: IO belongs in the server"),
        })
        .collect()
}

/// The manifest itself, so that an optional or platform-only dependency is caught too.
fn manifest_breaches(path: &str, manifest: &str) -> Vec<Breach> {
    let mut section = "";
    let mut breaches = Vec::new();
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let normal = section.ends_with("dependencies]") && !section.contains("dev-dependencies");
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"');
        if normal && WORLDLY.contains(&name) {
            breaches.push(Breach {
                path: path.to_owned(),
                line: index + 1,
                message: format!("a pure crate depends on `{name}`: IO belongs in the server"),
            });
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokio_in_the_manifest_is_caught_and_in_dev_dependencies_is_not() {
        let text = "[dependencies]\nbytes = \"1\"\ntokio.workspace = true\n[dev-dependencies]\ntokio = \"1\"\n";
        let found = manifest_breaches("crates/media/Cargo.toml", text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 3);
    }

    #[test]
    fn a_platform_only_dependency_is_caught() {
        let text = "[target.'cfg(unix)'.dependencies]\nsocket2 = \"0.6\"\n";
        assert_eq!(manifest_breaches("crates/domain/Cargo.toml", text).len(), 1);
    }

    #[test]
    fn a_worldly_crate_deep_in_the_tree_is_caught_once() {
        let tree = "stagedoor-media v0.1.0\nbytes v1.12.0\nmio v1.2.0\nother v0.1.0\nmio v1.2.0\n";
        let found = tree_breaches("crates/media/Cargo.toml", tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("`mio`"));
    }
}
