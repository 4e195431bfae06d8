//! Imports point down the floors of ARCHITECTURE.md: features are strangers, hubs look only to their right.

use super::Breach;
use crate::source::{self, File, Token};

const SRC: &str = "crates/server/src/";

/// Where a top-level module of the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    /// Sees everything on a floor below, and assembly modules of a higher number.
    Assembly(u8),
    /// Sees hubs and the world, never another feature.
    Feature,
    /// Sees hubs of a higher number and the world.
    Hub(u8),
    /// Sees only world modules of a higher number.
    World(u8),
}

/// The floors, top down. A module that is not here is a breach: give it a floor on purpose.
const FLOORS: &[(&str, Floor)] = &[
    ("main", Floor::Assembly(0)),
    ("cli", Floor::Assembly(1)),
    ("app", Floor::Assembly(2)),
    ("lib", Floor::Assembly(3)),
    ("http", Floor::Assembly(4)),
    ("api", Floor::Feature),
    ("chat", Floor::Feature),
    ("deliver", Floor::Feature),
    ("ingest", Floor::Feature),
    ("jobs", Floor::Feature),
    ("messages", Floor::Feature),
    ("record", Floor::Feature),
    ("transcode", Floor::Feature),
    ("webhooks", Floor::Feature),
    ("live", Floor::Hub(0)),
    ("people", Floor::Hub(1)),
    ("access", Floor::Hub(2)),
    ("facts", Floor::Hub(3)),
    ("ports", Floor::World(0)),
    ("config", Floor::World(1)),
    ("assets", Floor::World(1)),
    ("telemetry", Floor::World(1)),
];

fn floor(module: &str) -> Option<Floor> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn may_import(from: Floor, to: Floor) -> bool {
    use Floor::{Assembly, Feature, Hub, World};
    match (from, to) {
        (Assembly(a), Assembly(b)) | (Hub(a), Hub(b)) | (World(a), World(b)) => a < b,
        (Assembly(_), _) | (Feature, Hub(_) | World(_)) | (Hub(_), World(_)) => true,
        _ => false,
    }
}

/// Checks every `crate::…` and `super::…` path in the server's sources.
pub fn check(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files {
        let Some(inside) = file.path.strip_prefix(SRC) else { continue };
        let home = module_path(inside);
        let from_name = home.first().map_or(inside.trim_end_matches(".rs"), String::as_str).to_owned();
        let Some(from) = floor(&from_name) else {
            breaches.push(Breach {
                path: file.path.clone(),
                line: 0,
                message: format!("module `{from_name}` has no floor: add it to xtask/src/tidy/floors.rs"),
            });
            continue;
        };
        for (line, to_name) in imports(&source::tokens(&file.text), &home) {
            let Some(to) = floor(&to_name) else { continue };
            if to_name != from_name && !may_import(from, to) {
                breaches.push(Breach {
                    path: file.path.clone(),
                    line,
                    message: format!(
                        "`{from_name}` imports `{to_name}`, which is not below it: talk through a hub or a port"
                    ),
                });
            }
        }
    }
    breaches
}

/// `live/hub.rs` → `[live, hub]`, `live/mod.rs` → `[live]`, `lib.rs` → `[]`.
fn module_path(inside: &str) -> Vec<String> {
    let mut parts: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] || parts == ["main"] {
        parts.pop();
    }
    parts
}

/// Every (line, top-level module) that a path in these tokens leads to.
fn imports(tokens: &[Token], home: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inline_modules: Vec<usize> = Vec::new();
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    inline_modules.push(depth);
                }
            }
            "}" => {
                if inline_modules.last() == Some(&depth) {
                    inline_modules.pop();
                }
                depth = depth.saturating_sub(1);
            }
            "crate" if begins_path(tokens, at) => tops(tokens, at + 2, &mut found),
            "super" if begins_path(tokens, at) => {
                let supers = 1 + chained_supers(tokens, at);
                let above = (home.len() + inline_modules.len()).checked_sub(supers);
                match above {
                    Some(0) => tops(tokens, at + 2 * supers, &mut found),
                    Some(_) if !home.is_empty() => found.push((token.line, home[0].clone())),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    found
}

/// The word at `at` starts a path (it is not in the middle of one) and goes on with `::`.
fn begins_path(tokens: &[Token], at: usize) -> bool {
    let starts = at == 0 || tokens[at - 1].text != "::";
    starts && tokens.get(at + 1).is_some_and(|next| next.text == "::")
}

fn chained_supers(tokens: &[Token], at: usize) -> usize {
    tokens[at + 1..]
        .chunks(2)
        .take_while(|pair| pair.len() == 2 && pair[0].text == "::" && pair[1].text == "super")
        .count()
}

/// Collects the first word of the path at `at`, or of each path of the group `{a::b, c}` there.
fn tops(tokens: &[Token], at: usize, found: &mut Vec<(usize, String)>) {
    let Some(first) = tokens.get(at) else { return };
    if first.text != "{" {
        found.push((first.line, first.text.clone()));
        return;
    }
    let mut depth = 0usize;
    let mut at_start = true;
    for token in &tokens[at..] {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => at_start = true,
            text if depth == 1 && at_start => {
                found.push((token.line, text.to_owned()));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(inside: &str, text: &str) -> Vec<String> {
        let file = File { path: format!("{SRC}{inside}"), text: text.to_owned() };
        check(&[file]).into_iter().map(|breach| breach.to_string()).collect()
    }

    #[test]
    fn a_feature_that_imports_a_feature_is_caught() {
        let found = breaches("api/viewer.rs", "//! Docs.\nuse crate::deliver::Router;");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/server/src/api/viewer.rs:2: `api` imports `deliver`"), "{found:?}");
    }

    #[test]
    fn a_feature_hidden_in_a_group_is_caught() {
        let found = breaches("ingest/rtmp.rs", "use crate::{live::{self, Hub}, api::Problem, ports::Clock};");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("`ingest` imports `api`"), "{found:?}");
    }

    #[test]
    fn a_path_in_the_middle_of_code_is_caught() {
        assert_eq!(breaches("deliver/hls.rs", "fn f() { crate::api::problem::not_found() }").len(), 1);
    }

    #[test]
    fn a_hub_sees_only_hubs_to_its_right() {
        assert_eq!(breaches("live/hub.rs", "use crate::access::Access; use crate::facts::Log;"), [""; 0]);
        assert_eq!(breaches("access/mod.rs", "use crate::live::Hub;").len(), 1);
        assert_eq!(breaches("facts/log.rs", "use crate::access::Access;").len(), 1);
    }

    #[test]
    fn the_world_sees_nobody_above() {
        assert_eq!(breaches("ports/db/mod.rs", "use crate::config::Database;"), [""; 0]);
        assert_eq!(breaches("ports/db/mod.rs", "use crate::facts::Log;").len(), 1);
        assert_eq!(breaches("config/mod.rs", "use crate::ports::Db;").len(), 1);
    }

    #[test]
    fn the_assembly_sees_everything_below() {
        assert_eq!(breaches("app.rs", "use crate::{api, deliver, ingest, live, ports, config};"), [""; 0]);
        assert_eq!(breaches("app.rs", "use crate::cli::Args;").len(), 1);
    }

    #[test]
    fn super_is_resolved_like_the_compiler_does() {
        assert_eq!(breaches("api/mod.rs", "use super::deliver::X;").len(), 1);
        assert_eq!(breaches("api/viewer.rs", "use super::problem::Problem;"), [""; 0]);
        assert_eq!(breaches("api/viewer.rs", "use super::super::deliver::X;").len(), 1);
        assert_eq!(breaches("api/viewer.rs", "mod tests { use super::super::error::Problem; use super::*; }"), [""; 0]);
        assert_eq!(breaches("api/viewer.rs", "mod tests { use super::super::super::deliver::X; }").len(), 1);
    }

    #[test]
    fn comments_and_strings_import_nothing() {
        assert_eq!(breaches("api/mod.rs", "// crate::deliver::X\nconst A: &str = \"crate::deliver\";"), [""; 0]);
    }

    #[test]
    fn a_module_without_a_floor_is_caught() {
        assert!(breaches("utils.rs", "")[0].contains("has no floor"));
    }
}
