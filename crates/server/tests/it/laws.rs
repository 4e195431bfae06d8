//! Generated truth: committed, compared, read in review.

use stagedoor_server::api;
use stagedoor_server::config::Hidden;

/// What the router serves beside the documented routes.
const UNDOCUMENTED: [&str; 12] = [
    "GET / open",
    "GET /api/v1/openapi.json open",
    "GET /assets/{*path} open",
    "GET /authorize/live/{token}/{stream}/{*path} playback_token",
    "GET /e/{event} open",
    "GET /events/{*rest} open",
    "GET /live/{token}/{stream}/{*path} playback_token",
    "GET /log open",
    "GET /settings open",
    "GET /settings/{*rest} open",
    "GET /sign-in open",
    "GET /webhooks open",
];

pub fn routes() -> Vec<(String, String, String)> {
    let document: serde_json::Value = serde_json::from_str(&api::openapi()).unwrap();
    let mut routes: Vec<(String, String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schemes: Vec<&str> = operation["security"]
                .as_array()
                .map(|list| {
                    list.iter().filter_map(|entry| entry.as_object()?.keys().next()).map(String::as_str).collect()
                })
                .unwrap_or_default();
            let guard = match schemes.as_slice() {
                [] => "open",
                ["organiser_cookie", "api_token"] => "organiser",
                ["organiser_cookie"] => "organiser_not_token",
                ["viewer_cookie"] => "viewer",
                other => panic!("{path}: no name for {other:?}"),
            };
            routes.push((method.to_uppercase(), path.clone(), guard.to_owned()));
        }
    }
    routes.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    routes
}

#[track_caller]
pub fn compare(file: &str, generated: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "{file} is stale: run `UPDATE=1 cargo test -p stagedoor-server --test it laws`");
}

#[test]
fn the_committed_openapi_document_is_the_real_one() {
    let document = api::openapi();
    assert!(document.contains("\"openapi\": \"3.1."), "{}", &document[..40]);
    compare("openapi.json", &document);
}

#[test]
fn the_committed_routes_are_the_real_ones() {
    let mut lines: Vec<String> =
        routes().into_iter().map(|(method, path, guard)| format!("{method} {path} {guard}")).collect();
    lines.extend(UNDOCUMENTED.map(str::to_owned));
    lines.sort_by(|a, b| {
        let key = |line: &str| line.split_once(' ').map(|(method, rest)| (rest.to_owned(), method.to_owned()));
        key(a).cmp(&key(b))
    });
    let head = "# Every route with its guard. Generated: UPDATE=1 cargo test -p stagedoor-server --test it laws\n\n";
    compare("tests/it/routes.txt", &format!("{head}{}\n", lines.join("\n")));
    let open: Vec<&str> = lines.iter().filter_map(|line| line.strip_suffix(" open")).collect();
    let head = "# Routes without a guard: everybody may call them. Generated like routes.txt; every new line is a decision.\n\n";
    compare("tests/it/open_routes.txt", &format!("{head}{}\n", open.join("\n")));
}

#[test]
fn every_signal_stands_in_the_operators_book_with_its_story() {
    let file = "../../docs/operate/protection.md";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("--test it laws -->\n", "<!-- end -->");
    let (head, rest) = page.split_once(begin).unwrap();
    let (_, tail) = rest.split_once(end).unwrap();
    compare(file, &format!("{head}{begin}\n{}\n{end}{tail}", stagedoor_domain::risk::signal::document()));
}

#[test]
fn every_key_of_the_configuration_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate/configuration.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut config = stagedoor_server::config::Config::default();
    // A key without a default is not written down unless it has a value.
    config.http.public_url = Some(String::new());
    config.rtmp.public_url = Some(String::new());
    config.publish.token_issuer = Some(String::new());
    config.publish.token_audience = Some(String::new());
    config.publish.token_keys = Some(std::path::PathBuf::new());
    config.database.url = Some(String::new());
    config.admin.metrics_listen = Some(config.http.listen);
    config.tls.acme_contact = Some(String::new());
    config.tls.acme_roots = Some(std::path::PathBuf::new());
    config.oidc.issuer = Some(String::new());
    config.oidc.client_id = Some(String::new());
    config.oidc.client_secret = Some(Hidden::new(String::new()));
    let hidden = || stagedoor_server::config::Hidden::new("");
    config.sms.account_sid = Some(String::new());
    config.sms.auth_token = Some(hidden());
    config.sms.auth_token_file = Some(std::path::PathBuf::new());
    config.sms.from = Some(String::new());
    config.sms.messaging_service_sid = Some(String::new());
    config.email.url = Some(hidden());
    config.email.from = Some(String::new());
    let table = toml::Table::try_from(config).unwrap();
    let mut keys = 0;
    for (section, value) in &table {
        let names: Vec<String> = match value {
            toml::Value::Table(section_table) => section_table.keys().map(|key| format!("{section}.{key}")).collect(),
            _ => vec![section.clone()],
        };
        for name in names {
            keys += 1;
            assert!(
                document.contains(&format!("`{name}`")),
                "docs/operate/configuration.md does not tell about {name}"
            );
        }
    }
    assert!(keys >= 11, "{keys}");
}

/// Two types of one name: the document keeps one of them, for both, and nothing complains.
#[test]
fn no_two_types_of_the_api_have_one_name_in_the_document() {
    let mut places: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    let api = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    for entry in std::fs::read_dir(api).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap_or_default();
        for declared in source.split("ToSchema)]").skip(1) {
            let head = declared.split_inclusive(['{', ';']).next().unwrap_or_default();
            let renamed = head.split_once("schema(as = ").and_then(|(_, rest)| rest.split([')', ',']).next());
            let written = ["struct ", "enum "].iter().find_map(|word| Some(head.split_once(word)?.1));
            let name = renamed.or_else(|| written?.split(|c: char| !c.is_alphanumeric()).next());
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            places.entry(name.unwrap_or_default().to_owned()).or_default().push(file);
        }
    }
    assert!(places.len() > 60, "{}", places.len());
    let twice: Vec<_> = places.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(twice.is_empty(), "rename one of each, or write #[schema(as = OtherName)]: {twice:?}");
}

/// Rust sources below a folder, joined.
fn sources(folder: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => sources(&path, into),
            Some("rs" | "ts") => into.push_str(&std::fs::read_to_string(&path).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn every_test_that_the_threats_name_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = std::fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let mut text = String::new();
    for folder in ["crates/domain/src", "crates/media/src", "crates/server/src", "crates/server/tests", "e2e/tests"] {
        sources(&root.join(folder), &mut text);
    }
    let rust = document.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2);
    let rust = rust.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)));
    let ends = document.split('\u{201c}').skip(1).filter_map(|rest| rest.split('\u{201d}').next());
    let mut named = 0;
    for name in rust {
        named += 1;
        assert!(text.contains(&format!("fn {name}(")), "docs/threats.md names a test that does not exist: {name}");
    }
    for name in ends {
        named += 1;
        assert!(text.contains(&format!("test(\"{name}\"")), "docs/threats.md names a test that does not exist: {name}");
    }
    assert!(named > 80, "{named}");
}
