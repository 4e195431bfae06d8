//! Every route has a guard, or is listed as open on purpose.

use super::Breach;
use std::path::Path;

const ROUTES: &str = "crates/server/tests/it/routes.txt";
const OPEN: &str = "crates/server/tests/it/open_routes.txt";

/// Reads the committed lists; both are generated from the router, so a new hole shows up here and in the diff.
pub fn check(root: &Path) -> Vec<Breach> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    compare(&read(ROUTES), &read(OPEN))
}

/// A line of `routes.txt` is `METHOD /path guard`; a guard of `open` (or none) must be in `open_routes.txt`.
fn compare(routes: &str, open: &str) -> Vec<Breach> {
    let allowed: Vec<(usize, String)> = lines(open).map(|(line, text)| (line, route(&text))).collect();
    let mut unused = allowed.clone();
    let mut breaches = Vec::new();
    for (line, text) in lines(routes) {
        let route = route(&text);
        let guard = text.split_whitespace().nth(2).unwrap_or("open");
        let listed = allowed.iter().any(|(_, open)| *open == route);
        if guard == "open" && listed {
            unused.retain(|(_, open)| *open != route);
        } else if guard == "open" {
            let message = format!("`{route}` has no guard and is not in open_routes.txt");
            breaches.push(Breach { path: ROUTES.to_owned(), line, message });
        }
    }
    breaches.extend(unused.into_iter().map(|(line, route)| Breach {
        path: OPEN.to_owned(),
        line,
        message: format!("`{route}` is not an open route any more: remove the line"),
    }));
    breaches
}

/// (line number, text) of the lines that say something.
fn lines(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim().to_owned()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn route(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_without_guard_is_caught_unless_it_is_listed() {
        let routes = "GET /livez open\nGET /api/v1/events organiser\nPOST /api/v1/secret\n";
        let found = compare(routes, "# reasons\nGET /livez   the balancer asks\n");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].path.as_str()), (3, ROUTES));
    }

    #[test]
    fn a_permission_that_nobody_needs_any_more_is_caught() {
        let found = compare("GET /livez organiser\n", "GET /livez\nGET /gone\n");
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|breach| breach.path == OPEN));
    }
}
