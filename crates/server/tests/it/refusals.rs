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
    const PREFIXES: [(&str, &str); 16] = [
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
