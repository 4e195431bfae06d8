//! What is refused before any handler sees it, and who may not call what.

use std::net::IpAddr;

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;
use stagedoor_server::config::Config;

use crate::laws::routes;
use crate::stage::{Stage, configured, on_sqlite};

/// `path` with an id for every parameter: one of the right kind that nothing has.
pub fn filled(path: &str) -> String {
    const PREFIXES: [(&str, &str); 17] = [
        ("event", "evt"),
        ("invitation", "inv"),
        ("session", "ses"),
        ("key", "key"),
        ("token", "tok"),
        ("user", "usr"),
        ("team", "tem"),
        ("browser", "brw"),
        ("passkey", "psk"),
        ("import", "imp"),
        ("renewal", "rnw"),
        ("send", "snd"),
        ("message", "msg"),
        ("takeover", "tko"),
        ("webhook", "whk"),
        ("delivery", "dlv"),
        ("incident", "inc"),
    ];
    let fill = |path: String, (name, prefix): (&str, &str)| {
        path.replace(&format!("{{{name}}}"), &format!("{prefix}_01kaf3x6m8e9t8s2v4w6y8z0ab"))
    };
    PREFIXES.into_iter().fold(path.to_owned(), fill)
}

#[tokio::test]
async fn every_guarded_route_refuses_strangers_viewers_and_the_wrong_credential() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let code = admin.invite(&event, "Bob").await.code;
        let bob = stage.browser();
        bob.enter(&event, &code).await;
        let (stranger, token) = (stage.browser(), admin.token("ci").await);
        let mut guarded = 0;
        for (method, path, guard) in routes() {
            if guard == "open" {
                continue;
            }
            guarded += 1;
            let method: Method = method.parse().unwrap();
            let theirs = filled(&path.replace("{event}", &event));
            let body = [Method::POST, Method::PATCH, Method::PUT].contains(&method).then(|| json!({}));
            let answer = stranger.send(method.clone(), &theirs, body.clone()).await;
            assert_eq!(answer.status, 401, "{method} {path} as a stranger: {answer:?}");
            if guard != "viewer" {
                let answer = bob.send(method.clone(), &theirs, body.clone()).await;
                assert_eq!(answer.status, 401, "{method} {path} as a viewer: {answer:?}");
            } else {
                let answer = admin.send(method.clone(), &theirs, body.clone()).await;
                assert_eq!(answer.status, 401, "{method} {path} as an organiser: {answer:?}");
                let elsewhere = filled(&path);
                let answer = bob.send(method.clone(), &elsewhere, body.clone()).await;
                assert_eq!(answer.status, 401, "{method} {path} of another event: {answer:?}");
            }
            if guard == "organiser_not_token" {
                let request = Request::builder()
                    .method(method.clone())
                    .uri(&theirs)
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", "application/json")
                    .body(Body::from(r#"{"name":"x"}"#));
                let answer = stage.browser().raw(request.unwrap()).await;
                // A body that makes no sense is refused before anybody asks whose it is.
                let refused = matches!(answer.status, 403 | 422);
                assert!(refused, "{method} {path} with a token: {answer:?}");
            }
        }
        assert!(guarded >= 20, "{guarded}");
    })
    .await;
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_the_same_404() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let unknown = admin.get(&filled("/api/v1/events/{event}")).await;
        unknown.refused(404, "not_found");
        for id in [
            "evt_",
            "x",
            "str_01kaf3x6m8e9t8s2v4w6y8z0ab",
            "EVT_01KAF3X6M8E9T8S2V4W6Y8Z0AB",
            "%00",
            "..",
            "%2e%2e",
            "'--",
        ] {
            let answer = admin.get(&format!("/api/v1/events/{id}")).await;
            answer.refused(404, "not_found");
            assert_eq!(answer.text, unknown.text, "{id}");
        }
        for path in ["/api", "/api/v1", "/api/v2/events", "/nothing", "/api/v1/events/", "/e/", "/assets/../Cargo.toml"]
        {
            admin.get(path).await.refused(404, "not_found");
        }
        admin.get("/assets/player/nothing.js").await.refused(404, "not_found");
        admin.get("/assets/%2e%2e/%2e%2e/Cargo.toml").await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn other_methods_bodies_and_types_are_problems_too() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let answer = admin.send(Method::PUT, "/api/v1/events", Some(json!({}))).await;
        answer.refused(405, "method_not_allowed");
        assert!(answer.header("allow").contains("GET") && answer.header("allow").contains("POST"), "{answer:?}");

        let post = async |kind: &str, body: Vec<u8>| {
            let request =
                Request::post("/api/v1/events").header("origin", "http://stage.test").header("content-type", kind);
            admin.raw(request.body(Body::from(body)).unwrap()).await
        };
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""]
        {
            post(kind, b"{\"title\":\"x\"}".to_vec()).await.refused(415, "not_json");
        }
        for body in ["", "{", "{\"title\":\"x\"}}", "{\"title\":\"x\"} {}", "\u{feff}{}", "{'title':1}"] {
            post("application/json", body.into()).await.refused(400, "malformed_json");
        }
        post("application/json", b"{\"title\":\"\xff\"}".to_vec()).await.refused(400, "malformed_json");
        let deep = "[".repeat(60_000);
        assert!(matches!(post("application/json", deep.into()).await.status, 400 | 422));
        let large = format!("{{\"title\":\"{}\"}}", "x".repeat(70_000));
        post("application/json", large.into()).await.refused(413, "too_large");
        assert_eq!(post("application/json; charset=utf-8", b"{\"title\":\"x\"}".to_vec()).await.status, 201);
    })
    .await;
}

async fn made_by(stage: &Stage, origin: Option<&str>, cookies: &str) -> u16 {
    let mut request =
        Request::post("/api/v1/events").header("content-type", "application/json").header("cookie", cookies);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    stage.browser().raw(request.body(Body::from(r#"{"title":"x"}"#)).unwrap()).await.status
}

#[tokio::test]
async fn another_site_cannot_make_a_browser_do_anything() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let cookies = admin.cookie_header("/");
        for origin in [
            None,
            Some("null"),
            Some("http://evil.test"),
            Some("http://stage.test.evil.test"),
            Some("http://sub.stage.test"),
            Some("http://stage.test:8081"),
            Some("ftp://stage.test"),
            Some("stage.test"),
            Some(""),
        ] {
            assert_eq!(made_by(stage, origin, &cookies).await, 403, "{origin:?}");
        }
        assert_eq!(made_by(stage, Some("http://stage.test"), &cookies).await, 201);
        assert_eq!(made_by(stage, Some("https://stage.test"), &cookies).await, 201, "behind a proxy with TLS");

        // Also without a cookie: signing somebody in to the attacker's session is an attack as well.
        let event = admin.create_event("Evening").await;
        let request = Request::post(format!("/api/v1/events/{event}/sessions"))
            .header("origin", "http://evil.test")
            .header("content-type", "application/json");
        let answer = stage.browser().raw(request.body(Body::from(r#"{"code":"x"}"#)).unwrap()).await;
        answer.refused(403, "foreign_origin");
        let socket = Request::get(format!("/api/v1/events/{event}/feed"))
            .header("origin", "http://evil.test")
            .header("cookie", &cookies)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket");
        stage.browser().raw(socket.body(Body::empty()).unwrap()).await.refused(403, "foreign_origin");
        // Nothing is offered to other sites to read.
        assert!(admin.get("/api/v1/me").await.headers.get("access-control-allow-origin").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_host_that_is_none_is_refused_before_it_ends_up_in_a_link() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        for host in ["a b", "a/b", "a\"b", "<script>", "a@b", &"x".repeat(300)] {
            let request = Request::get("/api/v1/events").header("host", host).body(Body::empty()).unwrap();
            admin.raw(request).await.refused(400, "bad_host");
        }
    })
    .await;
}

#[tokio::test]
async fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let proxied = async |stage: &Stage, peer: [u8; 4], client: &str| {
        let event = stage.admin().await.create_event("Evening").await;
        for _ in 0..5 {
            let request = Request::post(format!("/api/v1/events/{event}/sessions"))
                .header("x-forwarded-for", client)
                .header("content-type", "application/json");
            let request = request.body(Body::from(r#"{"code":"ABCD-EFGH-JKLM"}"#)).unwrap();
            stage.browser_at(IpAddr::from(peer)).raw(request).await.refused(403, "code_invalid");
        }
        let direct = stage.browser_at(IpAddr::from(peer)).redeem(&event, "ABCD-EFGH-JKLM").await.status;
        let client = stage.browser_at(client.parse().unwrap()).redeem(&event, "ABCD-EFGH-JKLM").await.status;
        (direct, client)
    };
    on_sqlite(async |stage| {
        assert_eq!(
            proxied(stage, [192, 0, 2, 1], "203.0.113.5").await,
            (429, 403),
            "an untrusted peer is counted itself"
        );
    })
    .await;
    let mut config = Config::default();
    config.http.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    configured(config, async |stage| {
        assert_eq!(proxied(stage, [192, 0, 2, 1], "203.0.113.5").await, (403, 429), "the client behind it is counted");
    })
    .await;
}

/// Every route that changes something, with what a page elsewhere could guess: ids of the right kind that nothing has.
fn mutating() -> Vec<(Method, String, String)> {
    let all =
        routes().into_iter().map(|(method, path, guard)| (method.parse::<Method>().unwrap(), filled(&path), guard));
    let signed = |path: &str| path.starts_with("/hooks/");
    // The gateway's reports come without a cookie and are worth nothing without its signature.
    let routes: Vec<_> = all.filter(|(method, path, _)| *method != Method::GET && !signed(path)).collect();
    assert!(routes.len() >= 55, "{}", routes.len());
    routes
}

#[tokio::test]
async fn no_route_that_changes_anything_is_open_to_another_site() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let viewer = stage.browser();
        viewer.enter(&event, &admin.invite(&event, "Bob").await.code).await;
        let ours = admin.cookie_header("/");
        let theirs = viewer.cookie_header(&format!("/api/v1/events/{event}"));
        // What a browser sends for a form, for a `fetch` that needs no leave, and for one that would.
        let kinds = [
            ("application/x-www-form-urlencoded", "title=x"),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nx\r\n--x--",
            ),
            ("text/plain", "{\"title\":\"x\"}"),
            ("application/json", "{}"),
            ("", ""),
        ];
        let origins: [&[&str]; 12] = [
            &["http://evil.test"],
            &["null"],
            &[],
            &["http://sub.stage.test"],
            &["http://stage.test.evil.test"],
            &["http://stage.test:8081"],
            &["http://stage.test@evil.test"],
            &["http://evilstage.test"],
            &["chrome-extension://stage.test"],
            &["http://stage.test/"],
            &["http://stage.test", "http://evil.test"],
            &["http://stage.test http://evil.test"],
        ];
        let mut tried = 0;
        for (method, path, guard) in mutating() {
            let path = path.replace("evt_01kaf3x6m8e9t8s2v4w6y8z0ab", &event);
            for origins in origins {
                for (kind, body) in kinds {
                    // One of each kind is enough where the origin is the obvious one.
                    if origins != ["http://evil.test"] && kind != "text/plain" {
                        continue;
                    }
                    let mut request = Request::builder().method(&method).uri(&path);
                    for origin in origins {
                        request = request.header("origin", *origin);
                    }
                    if !kind.is_empty() {
                        request = request.header("content-type", kind);
                    }
                    let cookies = if guard == "viewer" { &theirs } else { &ours };
                    let request = request.header("cookie", cookies).body(Body::from(body)).unwrap();
                    let answer = stage.browser().raw(request).await;
                    assert_eq!(
                        (answer.status, answer.at("/code").as_str()),
                        (403, "foreign_origin"),
                        "{method} {path} from {origins:?} as {kind}: {answer:?}"
                    );
                    tried += 1;
                }
            }
            // Without a cookie there is nobody to act as; but nobody is signed in as somebody else either.
            let stranger = Request::builder().method(&method).uri(&path).header("origin", "http://evil.test");
            let answer = stage.browser().raw(stranger.body(Body::empty()).unwrap()).await;
            answer.refused(403, "foreign_origin");
            // A page elsewhere that asks for leave gets none.
            let asks = Request::options(&path)
                .header("origin", "http://evil.test")
                .header("access-control-request-method", method.as_str())
                .header("access-control-request-headers", "authorization, content-type");
            let answer = stage.browser().raw(asks.body(Body::empty()).unwrap()).await;
            assert!(answer.status >= 400, "{method} {path}: {answer:?}");
            let granted = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(granted.count(), 0, "{method} {path}: {answer:?}");
        }
        assert!(tried >= 800, "{tried}");
        // Everything is as it was.
        assert_eq!(admin.get(&format!("/api/v1/events/{event}")).await.at("/title"), "Evening");
        assert_eq!(viewer.current(&event).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_a_form_can_send_is_no_json() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let document: serde_json::Value = serde_json::from_str(&stagedoor_server::api::openapi()).unwrap();
        let mut tried = 0;
        for (method, path, guard) in routes() {
            let operation = &document["paths"][&path][method.to_lowercase()];
            if operation["requestBody"]["content"]["application/json"].is_null() || guard == "viewer" {
                continue;
            }
            tried += 1;
            for kind in
                ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"]
            {
                let request = Request::builder().method(method.as_str()).uri(filled(&path));
                let request = request.header("origin", "http://stage.test").header("content-type", kind);
                let answer = admin.raw(request.body(Body::from("{}")).unwrap()).await;
                // A path that leads nowhere may be told first.
                assert!(matches!(answer.status, 404 | 415), "{method} {path} as {kind}: {answer:?}");
            }
        }
        assert!(tried >= 30, "{tried}");
    })
    .await;
}

#[tokio::test]
async fn a_cookie_that_comes_twice_is_nobodys() {
    on_sqlite(async |stage| {
        let (admin, other) = (stage.admin().await, stage.admin().await);
        let (one, two) = (admin.cookie_header("/"), other.cookie_header("/"));
        for cookies in [format!("{one}; {two}"), format!("{one}; {one}"), format!("stagedoor_user=; {one}")] {
            let request = Request::get("/api/v1/me").header("cookie", cookies);
            stage.browser().raw(request.body(Body::empty()).unwrap()).await.refused(401, "signed_out");
        }
        let request = Request::get("/api/v1/me").header("cookie", &one).header("cookie", &two);
        stage.browser().raw(request.body(Body::empty()).unwrap()).await.refused(401, "signed_out");
        // Another method in a header is not believed.
        let event = admin.create_event("Evening").await;
        let request = Request::get(format!("/api/v1/events/{event}"))
            .header("x-http-method-override", "DELETE")
            .header("x-method-override", "DELETE")
            .header("origin", "http://stage.test");
        assert_eq!(admin.raw(request.body(Body::empty()).unwrap()).await.status, 200);
        assert_eq!(admin.get(&format!("/api/v1/events/{event}?_method=DELETE")).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn no_socket_opens_for_another_site_and_no_page_is_shown_inside_one() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let viewer = stage.browser();
        viewer.enter(&event, &admin.invite(&event, "Bob").await.code).await;
        let mut feeds = 0;
        for (method, path, guard) in routes().into_iter().filter(|(_, path, _)| path.ends_with("/feed")) {
            feeds += 1;
            let path = filled(&path.replace("{event}", &event));
            let cookies = match guard.as_str() {
                "organiser" => admin.cookie_header("/"),
                _ => viewer.cookie_header(&path),
            };
            for origin in [Some("http://evil.test"), Some("null"), Some("http://sub.stage.test"), None] {
                for connection in ["Upgrade", "keep-alive, Upgrade", "upgrade"] {
                    let mut request = Request::builder()
                        .method(method.as_str())
                        .uri(&path)
                        .header("connection", connection)
                        .header("upgrade", "websocket")
                        .header("sec-websocket-version", "13")
                        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
                        .header("cookie", &cookies);
                    if let Some(origin) = origin {
                        request = request.header("origin", origin);
                    }
                    let answer = stage.browser().raw(request.body(Body::empty()).unwrap()).await;
                    answer.refused(403, "foreign_origin");
                }
            }
        }
        assert!(feeds >= 2, "{feeds}");
        for path in ["/", &format!("/e/{event}"), "/sign-in", "/settings", "/log", "/api/v1/me", "/api/v1/openapi.json"]
        {
            let answer = admin.get(path).await;
            assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
            let policy = answer.header("content-security-policy");
            assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
            assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"), "{path}: {policy}");
        }
    })
    .await;
}

#[tokio::test]
async fn where_the_server_is_known_by_https_a_page_without_is_another_site() {
    let mut config = Config::default();
    config.http.public_url = Some("https://stage.test".to_owned());
    configured(config, async |stage| {
        let admin = stage.browser();
        let right = json!({"username": "ada", "password": stage.password()});
        let request = |origin: &str| {
            Request::post("/api/v1/login")
                .header("origin", origin)
                .header("content-type", "application/json")
                .body(Body::from(right.to_string()))
                .unwrap()
        };
        admin.raw(request("http://stage.test")).await.refused(403, "foreign_origin");
        let signed_in = admin.raw(request("https://stage.test")).await;
        assert_eq!(signed_in.status, 200, "{signed_in:?}");
        assert!(signed_in.header("set-cookie").contains("; Secure"), "{signed_in:?}");
    })
    .await;
}
